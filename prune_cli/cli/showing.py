"""What `prune show` and `prune eval` print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError
from prune_cli.report.names import metric_label
from prune_cli.report.tables import layer_table, samples_table, summary_table


def result_of(path: Path) -> Result:
    """The result of a finished run.

    Raises:
        UserError: If it is no run folder, or its run has not finished.
    """
    from prune_cli.comparison.runs import places, read

    folder = RunFolder(path)
    if not folder.config.is_file():
        there = "there is no such folder"
        if path.is_dir():
            first = next((place for place in places(path) if place != path and read(place) is not None), None)
            there = f"it holds runs, such as {first}: show one, or `prune compare {path}`" if first else "it has no config.yaml"
        raise UserError(f"{path} is no run folder: {there}")
    return folder.read_result()


def run_shown(path: Path, config_dir: str | None = None, *, verify: bool = False, whole: bool = False) -> RenderableType:
    """Result, layers and command of a finished run, and whether its files are those that it wrote.

    Args:
        verify: Read the files and compare their checksums, and not sizes alone.

    Raises:
        UserError: If it is no run folder, its run has not finished, or a file that was to be verified is another.
    """
    from prune_cli.comparison.runs import find_runs, only
    from prune_cli.config.command import commands

    result, folder = result_of(path), RunFolder(path)
    broken = list(folder.broken_promises(result, thorough=verify))
    if broken and verify:
        raise UserError(*broken)
    verdict = [Text(problem, style="bold red") for problem in broken]
    if verify:
        verdict = [Text(f"{len(result.promised)} files have the checksums that result.json promises", style="green")]
    samples = [samples_table(result.samples)] if result.samples else []
    (command,) = commands([only(find_runs([path]), path).config], config_dir, lenient=True)
    config = [Text(folder.config.read_text(encoding="utf-8", errors="replace"))] if whole else []
    repeated = Text.assemble(("what differs from the defaults  ", "dim"), command)
    return Group(summary_table(result, path), *samples, layer_table(result.layers), repeated, *config, *verdict)


def repeating(path: Path, config_dir: str | None = None) -> str:
    """The command that repeats a run, finished or not.

    Args:
        path: The run folder, or a result that a study keeps.

    Raises:
        UserError: If it is no run folder, or a part of its configuration is not here.
    """
    from prune_cli.comparison.runs import find_runs, only
    from prune_cli.config.command import commands

    (command,) = commands([only(find_runs([path]), path).config], config_dir)
    return command


def metrics_table(metrics: Mapping[str, float], primary_metric: str) -> Table:
    """The metrics of an evaluation, the primary one first."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    for name in sorted(metrics, key=lambda name: (name != primary_metric, name)):
        style = "bold" if name == primary_metric else ""
        table.add_row(metric_label(name), f"{metrics[name]:.4f}", style=style)
    return table
