"""What became of the jobs of a multirun.

Each writes a small file, so that jobs in other processes and on other machines count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from prune_cli.cli.failures import PROGRAM, USER
from prune_cli.files import write_text

_STYLES = {"done": "green", "skipped": "yellow", "failed": "bold red"}
_WORDS = {"done": "done", "skipped": "finished before", "failed": "failed"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a multirun.

    Attributes:
        number: Position in the multirun, from 0.
        overrides: What it was started with.
        status: How it ended; skipped where the same configuration had finished before.
        folder: The run folder; empty where it failed.
        result: Content of result.json; empty where it failed.
        problems: Why it failed.
        code: Exit code it would have had alone.
    """

    number: int
    overrides: list[str]
    status: Literal["done", "skipped", "failed"]
    folder: str = ""
    result: dict[str, Any]
    problems: list[str]
    code: int = 0

    def save(self, folder: Path) -> None:
        """Write this down beside the other jobs of the multirun."""
        write_text(folder / f"{self.number}.json", json.dumps(asdict(self)))


def saved_jobs(folder: Path) -> list[Job]:
    """Read what became of the jobs that have ended, in their order."""
    jobs = [Job(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.json")]
    return sorted(jobs, key=lambda job: job.number)


def exit_code(jobs: Sequence[Job]) -> int:
    """0 where none failed, 2 where all failures can be mended by the user, 1 otherwise."""
    codes = {job.code for job in jobs if job.status == "failed"}
    return 0 if not codes else USER if codes == {USER} else PROGRAM


def jobs_table(jobs: Sequence[Job]) -> Table:
    """One line a job: what it was, how it ended, and where it is or why it failed."""
    common = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    table = Table("job", "what differs", "outcome", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("folder, or what went wrong", overflow="fold")
    for job in jobs:
        differing = [override for override in job.overrides if override not in common]
        told = job.folder or job.problems[0].partition("\n")[0]
        more = f" (and {len(job.problems) - 1} more)" if len(job.problems) > 1 else ""
        outcome = Text(_WORDS[job.status], style=_STYLES[job.status])
        table.add_row(str(job.number), Text(" ".join(differing)), outcome, Text(told + more))
    return table
