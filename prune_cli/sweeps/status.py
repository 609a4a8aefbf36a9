"""What `prune status` prints: how far the runs of a folder are, from another terminal or another machine."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.artifacts.run_status import RunStatus, run_status
from prune_cli.errors import UserError
from prune_cli.report.names import metric_label
from prune_cli.report.numbers import duration, percent
from prune_cli.sweeps.jobs import SWEEP, Sweep

EVERY = 2.0
"""Seconds between two looks of `--watch`."""
_SWEEPS = ".multirun"
_STYLES = {"done": "green", "running": "cyan", "failed": "bold red", "interrupted": "yellow"}
_REMEDIES = {
    "interrupted": "The same command goes on with what was interrupted.",
    "not begun": "The same multirun does what was not begun.",
}


def statuses(path: Path) -> list[RunStatus]:
    """How far each run is.

    Args:
        path: A folder of runs, the folder of one, or that of a multirun.

    Returns:
        The runs by name, then the jobs of multiruns of which there is no run yet.

    Raises:
        UserError: If there is no run.
    """
    if not path.is_dir():
        raise UserError(f"{path}: there is no such folder")
    if (one := run_status(path)) is not None:
        return [one]
    if (path / SWEEP).is_file():
        folders = [Path(job.folder) for job in Sweep(path).jobs() if job.folder]
        sweeps = [path]
    else:
        folders = [folder for folder in path.iterdir() if folder.is_dir()]
        sweeps = sorted(path.glob(f"{_SWEEPS}/*/"))
    runs = [status for folder in sorted(set(folders)) if (status := run_status(folder)) is not None]
    shown = [*runs, *_without_run(sweeps)]
    if not shown:
        raise UserError(f"{path} holds no run: give the output_dir of runs, `runs` by default")
    return shown


def _without_run(sweeps: Sequence[Path]) -> list[RunStatus]:
    """Jobs of multiruns that have made no run folder: not yet, or because no run can come of them."""
    by_name: dict[str, RunStatus] = {}
    for folder in sweeps:
        sweep = Sweep(folder)
        alive = sweep.busy()
        last = folder == sweeps[-1]
        for job in sweep.jobs():
            if job.status == "failed" and not job.folder and last:
                name = " ".join(job.overrides)
                by_name[name] = RunStatus(name=name, folder="", state="failed", problems=tuple(job.problems))
            elif job.folder and not RunFolder(Path(job.folder)).config.is_file():
                name, state = Path(job.folder).name, "waiting" if alive else "not begun"
                by_name[name] = RunStatus(name=name, folder=job.folder, state=state)
    return list(by_name.values())


def status_table(runs: Sequence[RunStatus]) -> RenderableType:
    """One line a run, what failed and why, and how many are in which state."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold", min_width=20)
    table.add_column("state", no_wrap=True)
    for name in ("steps", "best", "steps/s", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        done = f" {percent(run.step / run.steps, 0)}%" if run.steps and run.state != "done" else ""
        table.add_row(
            Text(run.name),
            Text(run.state + done, style=_STYLES.get(run.state, "dim")),
            f"{run.step:,}/{run.steps:,}" if run.steps else "",
            "" if run.best is None else f"{metric_label(run.primary_metric or '')} {run.best:.4f}",
            "" if run.steps_per_second is None else f"{run.steps_per_second:.2f}",
            "" if run.seconds_left is None else duration(run.seconds_left),
        )
    states = Counter(run.state for run in runs)
    lines = [Text(", ".join(f"{count} {state}" for state, count in states.items()), style="bold")]
    failures = [
        Text.assemble((run.name, "bold red"), ": ", "\n".join(run.problems), f"\n  {_log(run)}" if run.folder else "")
        for run in runs
        if run.state == "failed"
    ]
    remedies = [Text(remedy, style="dim") for state, remedy in _REMEDIES.items() if states[state]]
    return Group(table, *failures, *lines, *remedies)


def show_status(path: Path, *, watch: bool, as_json: bool, console: Console) -> None:
    """Print it once, or again and again until nothing runs or waits any more.

    Raises:
        UserError: If there is no run.
    """
    runs = statuses(path)
    if as_json:
        while True:
            console.print(json.dumps([asdict(run) for run in runs]), soft_wrap=True, markup=False, highlight=False)
            if not (watch and _more_to_come(runs)):
                return
            time.sleep(EVERY)
            runs = statuses(path)
    if not watch:
        console.print(status_table(runs))
        return
    with Live(status_table(runs), console=console, auto_refresh=False) as live:
        while _more_to_come(runs):
            time.sleep(EVERY)
            runs = statuses(path)
            live.update(status_table(runs), refresh=True)


def _more_to_come(runs: Sequence[RunStatus]) -> bool:
    return any(run.state in ("running", "waiting") for run in runs)


def _log(run: RunStatus) -> Path:
    return RunFolder(Path(run.folder)).log
