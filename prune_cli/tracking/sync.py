"""Sending to W&B what was logged offline."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prune_cli.artifacts.history import History
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.artifacts.state import standing
from prune_cli.errors import UserError
from prune_cli.plain import from_json
from prune_cli.redaction import redact
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.tracking.wandb import LEFT_BEHIND, Wandb

_MODE = "WANDB_MODE"
_PATIENCE = 60.0
"""Seconds that W&B has at least to write a whole run; no training waits."""
_OFFLINE = "offline-run-*"
_FOLDER = re.compile(r"offline-run-(?P<time>\d{8}_\d{6})-(?P<id>.+)")
_MARK = ".synced"
"""What W&B puts behind the name of a file that it has sent."""


@dataclass(frozen=True)
class OfflineRun:
    """What one process has logged of a run.

    Attributes:
        folder: W&B's folder of it, `offline-run-TIME-ID`.
        run_id: The run's identity, which a resumed run keeps.
        time: When it began, as text that sorts.
    """

    folder: Path
    run_id: str
    time: str

    @property
    def synced(self) -> bool:
        """Whether W&B has it."""
        return any(self.folder.glob(f"*{_MARK}"))


@dataclass(frozen=True)
class Synced:
    """What became of one run."""

    run: OfflineRun
    state: Literal["sent", "sent before", "failed"]
    problem: str = ""


def filled_in(paths: Iterable[Path]) -> int:
    """Write anew, as offline runs, those that W&B was to follow and had to be left behind in.

    Returns:
        How many were written.
    """
    count = 0
    for path in paths:
        for note in path.rglob(LEFT_BEHIND) if path.is_dir() else ():
            folder = RunFolder(note.parent.parent)
            try:
                values = from_json(note.read_text(encoding="utf-8"))
                values["timeout"] = max(values["timeout"], _PATIENCE)
                run = TrackedRun(**values, folder=folder.path, anew=True, earlier=History.read(folder.history))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(f"{note} cannot be read ({error}): remove it, and W&B stays without this run") from error
            if not folder.busy():
                count += _written_anew(folder, run)
    return count


def _written_anew(folder: RunFolder, run: TrackedRun) -> bool:
    """Log a whole run offline, as if it had just been made."""
    result = standing(folder).result
    tracker = Isolated(Wandb(), "wandb", run)
    before = os.environ.get(_MODE)
    os.environ[_MODE] = "offline"
    try:
        started = tracker.start() is not None
        tracker.finish(None if result is None else run_summary(result, result.samples))
    finally:
        if before is None:
            del os.environ[_MODE]
        else:
            os.environ[_MODE] = before
    return started


def offline_runs(paths: Iterable[Path]) -> list[OfflineRun]:
    """Find offline runs, the last part of each: a resumed run logs all that came before once more.

    Args:
        paths: Run folders, folders of such, or W&B's own.

    Raises:
        UserError: If a path is no folder.
    """
    by_run: dict[Path, OfflineRun] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: there is no such folder")
        for folder in [path, *path.rglob(_OFFLINE)]:
            if (match := _FOLDER.fullmatch(folder.name)) and any(folder.glob("*.wandb")):
                by_run[folder.resolve()] = OfflineRun(folder, match["id"], match["time"])
    last: dict[tuple[Path, str], OfflineRun] = {}
    for place, run in sorted(by_run.items(), key=lambda item: item[1].time):
        last[place.parent, run.run_id] = run
    return list(last.values())


def check_login() -> None:
    """Ask once for all runs whether somebody is logged in.

    Raises:
        UserError: If nobody is.
    """
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise UserError("nobody is logged in at W&B: `wandb login`, or give WANDB_API_KEY; then the same command sends all runs")


def sync(runs: Sequence[OfflineRun], told: Callable[[Synced], None]) -> list[Synced]:
    """Send runs, each once, by W&B's own command.

    Returns:
        What became of each.
    """
    ends: list[Synced] = []
    for run in runs:
        end = Synced(run, "sent before") if run.synced else _send(run)
        told(end)
        ends.append(end)
    return ends


def _send(run: OfflineRun) -> Synced:
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(run.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if run.synced and ended.returncode == 0:
        return Synced(run, "sent")
    lines = [line.removeprefix("wandb: ").strip() for line in ended.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "rror:" in line] or lines[-1:]
    return Synced(run, "failed", redact(errors[0] if errors else f"wandb sync ended with {ended.returncode}"))
