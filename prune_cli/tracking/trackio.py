"""Trackio: runs in a database of this machine, which `trackio show` shows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from prune_cli.extras import lacking
from prune_cli.tracking.base import RunSummary, TrackedRun
from prune_cli.tracking.rows import history_row

if TYPE_CHECKING:
    from trackio.run import Run


@final
@dataclass
class Trackio:
    """One Trackio run.

    Attributes:
        space_id: Hugging Face Space to send it to, "user/name"; None to keep it on this machine.
    """

    space_id: str | None = None

    def __post_init__(self) -> None:
        self._run: Run | None = None

    def problems(self) -> Iterator[str]:
        """Whether its package is missing."""
        if (problem := lacking("it", "trackio", "trackio")) is not None:
            yield problem

    def start(self, run: TrackedRun) -> str | None:
        """Write the run anew, what came before an interruption included.

        Returns:
            The command that shows it, or the Space.
        """
        import trackio

        with _quiet():
            if self.space_id is None:
                _forget(run)
            self._run = trackio.init(
                project=run.project,
                name=run.name,
                group=run.group,
                space_id=self.space_id,
                config={**run.config, "tags": [*run.tags], "job_type": run.job_type, "run_id": run.run_id},
                resume="never" if self.space_id is None or run.anew else "allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return self.space_id or f"trackio show --project {run.project}"

    def log(self, record: Mapping[str, Any]) -> None:
        """Log a record at its step."""
        assert self._run is not None
        row = history_row(record)
        self._run.log({name: value for name, value in row.items() if name != "step"}, step=record["step"])

    def finish(self, summary: RunSummary | None) -> None:
        """Log the final numbers and the tables."""
        import trackio

        assert self._run is not None
        if summary is not None:
            tables = {
                name: trackio.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
                for name, table in summary.tables.items()
            }
            self._run.log({**summary.values, **tables}, step=summary.step)
        with _quiet():
            self._run.finish()

    def close(self, *, failed: bool) -> None:
        """Nothing is left open."""

    def abandon(self) -> bool:
        """Its own threads end with the process."""
        return False


def _forget(run: TrackedRun) -> None:
    """Remove what the database has of this run: all of it is logged again."""
    import trackio

    with contextlib.suppress(ValueError):  # no such project yet
        for earlier in trackio.Api().runs(run.project):
            if earlier.name == run.name:
                earlier.delete()


def _quiet() -> contextlib.AbstractContextManager[Any]:
    """Trackio prints what would tear a progress bar."""
    return contextlib.redirect_stdout(io.StringIO())
