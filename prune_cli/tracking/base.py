"""Where a run is followed beside its folder: the seam that W&B and its kin share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told of a run at its start.

    Attributes:
        folder: Existing folder of the run.
        run_id: Hash of the configuration; a restarted run goes on under the same id.
        project: What runs are gathered under.
        entity: User or team of that project, None for the default of a login.
        group: Runs that belong together, None for none.
        tags: Words to find the run by.
        job_type: What kind of run it is.
        primary_metric: Name of the metric that decides, without prefix.
        config: The resolved configuration, plain dicts and lists, without secrets.
        timeout: Seconds that the start may take, and the end, > 0.
        anew: Replace what the tracker has of this id, because the run itself is made anew.
        earlier: Records of the history from before the run was interrupted, for those that the tracker lacks.
        artifacts: Whether to hand over the run's model and pictures at the end.
    """

    folder: Path
    run_id: str
    name: str
    project: str
    entity: str | None
    group: str | None
    tags: Sequence[str]
    job_type: str
    primary_metric: str
    config: Mapping[str, Any]
    timeout: float
    anew: bool = False
    earlier: Sequence[Mapping[str, Any]] = ()
    artifacts: bool = False


class Table(NamedTuple):
    """Rows of text and numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a tracker is told at the end."""

    step: int
    values: Mapping[str, Any]
    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Sequence[Path] = ()


class Tracker(Protocol):
    """One library that runs are logged to.

    A tracker may block, hang and raise as its library does: `prune_cli.tracking.isolation` calls it on a thread of its own,
    so that no run waits for it or falls with it. It is a dataclass whose fields are the options in its YAML; what it holds
    while it follows a run is no field.
    """

    def problems(self) -> Iterator[str]:
        """Why it cannot be used, before anything is run: most likely an extra that is not installed."""
        ...

    def start(self, run: TrackedRun) -> str | None:
        """Begin, or go on with what was begun under the same id.

        Returns:
            Where it can be seen; None where the user has switched the library off, and nothing more is to be done.
        """
        ...

    def log(self, record: Mapping[str, Any]) -> None:
        """Take one line of the history; those from before an interruption come first."""
        ...

    def finish(self, summary: RunSummary | None) -> None:
        """End.

        Args:
            summary: What came out; None where the run failed or was interrupted.
        """
        ...

    def close(self, *, failed: bool) -> None:
        """Let go of all that was begun, whatever came in between."""
        ...

    def abandon(self) -> bool:
        """Called from another thread where the library hangs: make it give up.

        Returns:
            Whether it may give up now; False where nothing can be done.
        """
        ...
