"""What `prune export` does and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.console import outputs
from prune_cli.console.interrupts import steps
from prune_cli.errors import UserError
from prune_cli.exporting.export import Exported, Wanted, export
from prune_cli.exporting.hub import checked_name, put_together, upload
from prune_cli.exporting.source import Source
from prune_cli.files import filled
from prune_cli.models import silence
from prune_cli.plain import from_json
from prune_cli.report.numbers import compared, percent, size


def source_of(run: Path, overrides: Sequence[str], config_dir: str | None = None) -> Source:
    """The model of a run folder, or a model alone.

    Args:
        overrides: Task and data, where they are to be others than the run's.

    Raises:
        UserError: If there is none.
    """
    from prune_cli.config.saved import saved_run

    model = run / "model" if (run / "model").is_dir() else run
    if not overrides and not (model.parent / "config.yaml").is_file():
        if not (model / "config.json").is_file():
            raise UserError(f"{run} is no run folder, and has no model: config.json and model.safetensors")
        return Source(model, None)
    config, model = saved_run(run, overrides, config_dir)
    return Source(model, config)


def show_export(
    run: Path, wanted: Wanted, output: Path | None, overrides: Sequence[str], config_dir: str | None, console: Console
) -> None:
    """Export, and say what came out.

    Args:
        output: The folder; one beside the run's model without.
        overrides: Task and data, where they are to be others than the run's.
    """
    if problems := list(wanted.problems()):
        raise UserError(*problems)
    silence()
    name = wanted.format + ("-int8" if wanted.int8 else "") + (f"-{wanted.dtype}" if wanted.dtype != "fp32" else "")
    output = output or (run if (run / "model").is_dir() else Path()) / "exports" / name
    source = source_of(run, overrides, config_dir)
    with steps("loading") as step:
        exported = export(source, wanted, output, step)
    console.print(exported_table(exported))


def exported_table(exported: Exported) -> Table:
    """What was written."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_row("folder", Text(str(exported.folder)))
    table.add_row(
        "weights",
        f"{size(exported.bytes)}, {compared(exported.bytes, exported.dense_bytes)} the saved model's"
        f" {size(exported.dense_bytes)}",
    )
    if exported.matrices and exported.matrices["sparse"]:
        sparse, dense = exported.matrices["sparse"], exported.matrices["dense"]
        table.add_row("pruned matrices", f"{size(sparse)}, {compared(sparse, dense)} their {size(dense)} in float32")
    if exported.arithmetic is not None:
        table.add_row("arithmetic", f"{percent(exported.arithmetic.share, 2)}% of the matrices' multiply-adds left")
    if exported.difference is not None:
        table.add_row("difference", f"{exported.difference:.1e} at most from the saved model, on {exported.checked_on}")
    table.add_row("to run it", "README.md there, a dozen lines")
    return table


def push(run: Path, repository: str, output: Path | None, console: Console, *, private: bool, dry_run: bool) -> None:
    """Send a run to the hub, or write the folder that would be sent.

    Args:
        output: Folder for a dry run; `hub` in the run folder without.
    """
    checked_name(repository)
    source = RunFolder(run)
    if dry_run:
        folder = output or run / "hub"
        if folder.exists() and not (folder.is_dir() and _same_run(source, folder)):
            raise UserError(f"--output {folder} is there: give a folder that is not, or an empty one")
        with outputs.writing("--output", folder), filled(folder) as temporary:
            put_together(source, temporary)
        files = [path for path in folder.rglob("*") if path.is_file()]
        whole = size(sum(path.stat().st_size for path in files))
        console.print(f"{len(files)} files ({whole}) in {folder}: what would go to {repository}", soft_wrap=True)
        return
    if output is not None:
        raise UserError("--output is for --dry-run: what is sent is put together elsewhere")
    with TemporaryDirectory(prefix="prune-push-") as temporary:
        put_together(source, Path(temporary))
        address = upload(Path(temporary), repository, private=private)
    console.print(f"sent: {address}", soft_wrap=True)


def _same_run(source: RunFolder, folder: Path) -> bool:
    """Whether a folder is empty, or what an earlier dry run of the same run made."""
    if not any(folder.iterdir()):
        return True
    try:
        earlier = from_json((folder / source.result.name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(earlier, dict) and "id" in earlier and "promised" not in earlier and earlier["id"] == source.read_result().id
    )
