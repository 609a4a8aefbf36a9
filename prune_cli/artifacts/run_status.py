"""How far a run is, as another process can tell from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prune_cli.artifacts.history import History
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.artifacts.state import State, standing
from prune_cli.errors import UserError

JobState = State | Literal["waiting", "not begun"]


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far a run is.

    Attributes:
        folder: The run folder, which need not exist yet; empty where no run can come of a job.
        state: Waiting or not begun where it is a job of a multirun that still runs, or does not.
        step: Optimizer steps so far, as logged.
        steps: Optimizer steps in all; None where that is not known yet.
        metric: Its last value.
        best: Its best value.
        sparsity: Fraction of the prunable weights that is removed now.
        steps_per_second: Over the whole run so far, evaluations included.
        seconds_left: At that speed; None where the run is not running.
        problems: Why it failed, or what is broken.
    """

    name: str
    folder: str
    state: JobState
    step: int = 0
    steps: int | None = None
    primary_metric: str | None = None
    metric: float | None = None
    best: float | None = None
    sparsity: float | None = None
    steps_per_second: float | None = None
    seconds_left: float | None = None
    problems: tuple[str, ...] = ()


def run_status(path: Path) -> RunStatus | None:
    """Look at a run folder.

    Returns:
        How far its run is; None where it is no run folder.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        return None
    now, noted = standing(folder), folder.noted()
    steps, primary = noted.get("steps"), noted.get("primary_metric")
    return RunStatus(
        name=path.name,
        folder=str(path),
        state=now.state,
        steps=steps,
        primary_metric=primary,
        problems=now.problems if now.state in ("failed", "broken") else (),
        **_progress(folder, steps if now.state == "running" else None, f"eval_{primary}"),
    )


def _progress(folder: RunFolder, steps: int | None, metric: str) -> dict[str, Any]:
    """What the history says."""
    try:
        records = History.read(folder.history)
    except (OSError, UserError):  # none yet, or somebody has edited it: `prune run` says what to do
        return {}
    if not records:
        return {}
    last = records[-1]
    values = [record[metric] for record in records if record.get(metric) is not None]
    speed = last["step"] / last["seconds"] if last.get("seconds") else None
    return {
        "step": last["step"],
        "metric": values[-1] if values else None,
        "best": max(values, default=None),
        "sparsity": last.get("sparsity"),
        "steps_per_second": speed,
        "seconds_left": None if steps is None or not speed else (steps - last["step"]) / speed,
    }
