"""What `prune bench` does and prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from prune_cli.config.build import build
from prune_cli.config.option_files import folders, names
from prune_cli.config.suggest import did_you_mean
from prune_cli.console import outputs
from prune_cli.console.interrupts import steps
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.report.names import metric_label

if TYPE_CHECKING:
    from prune_cli.bench.base import Runtime
    from prune_cli.exporting.source import Source

GROUP = "runtime"
RESULT, PICTURE = "bench.json", "bench.png"


def runtimes(chosen: Sequence[str], config_dir: str | None) -> dict[str, Runtime]:
    """The runtimes of conf/runtime.

    Args:
        chosen: Some names; all without.

    Raises:
        UserError: If there is none of a name.
    """
    import yaml

    there = names(GROUP, folders(config_dir))
    if unknown := [name for name in chosen if name not in there]:
        raise UserError(f"--runtime {unknown[0]}: there is none{did_you_mean(unknown[0], there)} (one of {', '.join(there)})")
    runtimes: dict[str, Runtime] = {}
    for name in chosen or there:
        path = next(path for root in folders(config_dir) if (path := root / GROUP / f"{name}.yaml").is_file())
        runtimes[name] = build(
            yaml.safe_load(path.read_text(encoding="utf-8")), f"{GROUP}.{name}", "prune_cli.bench.base.Runtime"
        )
    return runtimes


def show_bench(
    given: Sequence[str],
    chosen: Sequence[str],
    output: Path | None,
    config_dir: str | None,
    console: Console,
    *,
    quick: bool,
) -> None:
    """Measure runs, write what came out, and print it.

    Args:
        given: Run folders, of one task, and overrides such as tracking=wandb.
        chosen: Runtimes; all that can be used here without.
        output: Folder for bench.json and bench.png; without, `bench` in that of the run, or in the working folder for several.
    """
    from prune_cli.bench.bench import QUICK, bench
    from prune_cli.bench.picture import draw
    from prune_cli.bench.tracked import track
    from prune_cli.models import silence

    used = runtimes(chosen or (QUICK if quick else ()), config_dir)
    silence()
    sources = _sources(given, config_dir)
    first = next(iter(sources.values()))
    alone = len(sources) == 1 and first.folder.name == "model"
    output = output or (first.folder.parent if alone else Path()) / "bench"
    with outputs.writing("--output", output):
        output.mkdir(parents=True, exist_ok=True)
    with steps("loading") as step:
        result = bench(sources, used, quick=quick, note=step)
    console.print(table(result), soft_wrap=False)  # first of all: it took minutes
    with outputs.writing("--output", output):
        write_text(output / RESULT, json.dumps(result, indent=2) + "\n")
        draw(result, output / PICTURE)
    console.print(f"{output / RESULT}, {output / PICTURE}", style="dim", soft_wrap=True)
    if first.config is not None:
        track(result, first.config, output, output / PICTURE)


def _sources(given: Sequence[str], config_dir: str | None) -> dict[str, Source]:
    """The runs of a command line by name, with its overrides."""
    from prune_cli.cli.exporting import source_of

    overrides = [each for each in given if "=" in each and not Path(each).exists()]
    runs = [Path(each).expanduser() for each in given if each not in overrides]
    if not runs:
        raise UserError(f"{' '.join(overrides)}: and which run? Give its folder")
    sources: dict[str, Source] = {}
    for run in runs:
        source = source_of(run, overrides, config_dir)
        if source.config is None:
            raise UserError(f"{run} is no run folder: give the task and data of its model, task=... data=...")
        name = run.resolve().name
        sources[name if name not in sources else str(run)] = source
    return sources


def table(result: Mapping[str, Any]) -> Group:
    """A line for each way, and what follows."""
    from prune_cli.bench.bench import verdict

    ways = result["ways"]
    numbers = {run: str(number) for number, run in enumerate(dict.fromkeys(way["run"] for way in ways), start=1)}
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    shown.add_column("way", no_wrap=True)
    shown.add_column("runtime", no_wrap=True)
    times = ways[0]["times"]
    batches = [f"{time['batch']}x{time['length']}" for time in times]
    labels = [f"{batch}\nms" for batch in batches] + [f"{batches[-1]}\n/s"]
    for name in (metric_label(result["primary_metric"]), "size\nMB", "memory\nMB", *labels):
        shown.add_column(name, justify="right", no_wrap=True)
    for way in ways:
        largest = way["times"][-1]
        shown.add_row(
            f"{numbers[way['run']]} {way['form']}{'*' if way['front'] else ''}",
            way["runtime"],
            "-" if way["metric"] is None else f"{way['metric']:.4f}",
            f"{way['bytes'] / 1e6:.1f}",
            "-" if way["memory_bytes"] is None else f"{way['memory_bytes'] / 1e6:.0f}",
            *(f"{1000 * time['median']:.3g}" for time in way["times"]),
            f"{largest['batch'] / largest['median']:.0f}",
            style="bold" if way["front"] else None,
        )
    machine = result["machine"]
    about = [f"{number}: {run}" for run, number in numbers.items()]
    about.append(
        "records x tokens: median milliseconds of a batch, in turns with all other ways, and records a second; memory: most that"
        " a process of its own grew by, loading it and running the largest batch; *: no other way is as good and faster, or"
        " better and as fast, at one record"
    )
    about.append(f"{machine['gpu'] or machine['processor']}, {machine['threads']} threads")
    about += [f"not used: {name}, {why}" for name, why in result["lacking"].items()]
    sentences = verdict([{**way, "run": numbers[way["run"]]} for way in ways], [way["front"] for way in ways])
    return Group(shown, *(Text(line, style="dim") for line in about), *map(Text, sentences))
