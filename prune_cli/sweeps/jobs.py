"""What is known of the jobs of a multirun, in a folder that jobs in other processes and on other machines write to as well.

`sweep.json` lists the jobs, from before the first of them is launched; `N.json`, written by job N itself, says how far it is.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from filelock import FileLock
from rich import box
from rich.table import Table
from rich.text import Text

from prune_cli.artifacts.result import Result
from prune_cli.console.failures import DIVERGED, PROGRAM, USER
from prune_cli.files import is_held, write_text
from prune_cli.plain import from_json
from prune_cli.redaction import redact
from prune_cli.report.numbers import duration

FORMAT = 1
"""Version of the layout of sweep.json."""
SWEEP = "sweep.json"
_LOCK = ".lock"

_STYLES = {"done": "green", "skipped": "yellow", "interrupted": "yellow", "failed": "bold red"}
_WORDS = {"skipped": "finished before", "left out": "not begun"}
_SEED = "seed="

Status = Literal["waiting", "running", "held", "done", "skipped", "failed", "interrupted", "left out"]
_AT_THE_END: dict[Status, Status] = {"waiting": "left out", "held": "left out", "running": "interrupted"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a multirun.

    Attributes:
        number: Position in the multirun, from 1.
        status: How far it is. Skipped where the same configuration had finished before, here or in another job; held where
            another process is at the very same run; interrupted where a signal stopped it; left out where `fail_fast` or a
            signal ended the multirun.
        folder: The run folder, absolute; empty where the configuration cannot work.
        result: The numbers of result.json by which runs are compared; empty where there is none.
        code: Exit code it would have had alone.
    """

    number: int
    overrides: list[str]
    status: Status
    folder: str = ""
    result: dict[str, Any]
    problems: list[str]
    code: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.status in ("done", "skipped", "failed", "interrupted", "left out")

    @property
    def settled(self) -> Job:
        """The job as it is once nobody launches any more."""
        return replace(self, status=_AT_THE_END.get(self.status, self.status))

    def save(self, folder: Path) -> None:
        """Write this down beside the other jobs of the multirun."""
        write_text(folder / f"{self.number}.json", json.dumps(redact(asdict(self))))


@dataclass(frozen=True)
class Sweep:
    """The folder of a multirun.

    Attributes:
        folder: An existing folder.
    """

    folder: Path

    def plan(self, jobs: Sequence[Job]) -> None:
        """Write down which jobs there are, and how far."""
        listed = [redact(asdict(job)) for job in jobs]
        content = {"format": FORMAT, "begun": self.begun() or time.time(), "jobs": listed, "seeds": over_seeds(jobs)}
        write_text(self.folder / SWEEP, json.dumps(content, indent=2) + "\n")

    def begun(self) -> float | None:
        """When the jobs were written down first, in seconds since 1970; None before."""
        file = self.folder / SWEEP
        return from_json(file.read_text(encoding="utf-8"))["begun"] if file.is_file() else None

    def jobs(self) -> list[Job]:
        """All jobs, in their order, as far as they are now."""
        file = self.folder / SWEEP
        planned = from_json(file.read_text(encoding="utf-8"))["jobs"] if file.is_file() else []
        jobs_planned = {job["number"]: Job(**job) for job in planned}
        for path in self.folder.glob("[0-9]*.json"):
            job = Job(**from_json(path.read_text(encoding="utf-8")))
            jobs_planned[job.number] = job
        return [jobs_planned[number] for number in sorted(jobs_planned)]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Show other processes that this one is launching the jobs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / _LOCK):
            yield

    def busy(self) -> bool:
        """Whether a process is launching the jobs now."""
        return is_held(self.folder / _LOCK)

    def job(self, overrides: Sequence[str], otherwise: int) -> Job:
        """The planned job with these overrides; a new one where a sweeper of somebody else's planned none."""
        new = Job(number=otherwise, overrides=redact([*overrides]), status="waiting", result={}, problems=[])
        return next((job for job in self.jobs() if job.overrides == new.overrides), new)


def exit_code(jobs: Sequence[Job]) -> int:
    """0 where none failed, 2 where all failures can be mended by the user, 3 where trainings diverged too, 1 otherwise."""
    codes = {job.code for job in jobs if job.status in ("failed", "interrupted")}
    return 0 if not codes else max(codes) if codes <= {USER, DIVERGED} else PROGRAM


def time_left(jobs: Sequence[Job], seconds: float) -> str:
    """How long the jobs that have not begun may take, at the pace of those that are done.

    Args:
        seconds: Since the first began.

    Returns:
        For instance "about 12 min 30 s left"; nothing where no job is done.
    """
    done = sum(job.status == "done" for job in jobs)
    left = sum(not job.ended for job in jobs)
    return f"about {duration(seconds / done * left)} left" if done and left else ""


def over_seeds(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Mean and deviation of the metric over jobs that differ in their seed alone, for those with several seeds.

    Returns:
        What they have in common, the metric's name, mean, sample standard deviation, and how many they are.
    """
    groups: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for job in jobs:
        if job.result:
            rest = tuple(override for override in job.overrides if not override.startswith(_SEED))
            groups.setdefault(rest, {})[job.folder] = job.result
    return [
        {
            "overrides": [*rest],
            "metric": next(iter(results.values()))["primary_metric"],
            "mean": mean(values),
            "deviation": stdev(values),
            "seeds": len(values),
        }
        for rest, results in groups.items()
        if len(values := [result["metric"] for result in results.values()]) > 1
    ]


def jobs_table(jobs: Sequence[Job]) -> Table:
    """One line a job: what it was, how it ended, and where it is or why it failed."""
    table = Table("job", "what differs", "outcome", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("folder, or what went wrong", overflow="fold")
    first: dict[str, int] = {}
    for job, differing in zip(jobs, differences([job.overrides for job in jobs]), strict=True):
        more = f" (and {len(job.problems) - 1} more)" if len(job.problems) > 1 else ""
        problem = job.problems[0].partition("\n")[0] + more if job.problems else ""
        where = "\n".join(part for part in (problem, job.folder and _nearest(job.folder)) if part)
        twin = first.setdefault(job.folder, job.number) if job.folder else job.number
        word = _WORDS.get(job.status, job.status) if twin == job.number else f"as job {twin}"
        outcome = Text(word, style=_STYLES.get(job.status, ""))
        table.add_row(str(job.number), Text(" ".join(differing)), outcome, Text(where))
    return table


def seeds_table(groups: Sequence[Mapping[str, Any]]) -> Table:
    """Mean and deviation over seeds, a line a group."""
    table = Table("over seeds", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("seeds", "mean", "deviation"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, differing in zip(groups, differences([group["overrides"] for group in groups]), strict=True):
        heading = " ".join([*(differing if len(groups) > 1 else []), group["metric"]])
        table.add_row(Text(heading), str(group["seeds"]), f"{group['mean']:.4f}", f"{group['deviation']:.4f}")
    return table


def differences(overrides: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """What each has that not all have; all that it has where it is alone."""
    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    yield from ([override for override in each if override not in common] for each in overrides)


def _nearest(folder: str) -> str:
    """A folder as seen from here, where it lies beneath."""
    path = Path(folder)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def numbers(result: Result) -> dict[str, Any]:
    """The part of result.json by which runs are compared."""
    return {
        "name": result.name,
        "seed": result.seed,
        "primary_metric": result.primary_metric,
        "metric": result.metric,
        "metrics": dict(result.metrics),
        "only_prediction": result.only_prediction,
        "seconds": asdict(result.seconds),
        "sparsity": result.sparsity.measured,
        **({} if result.arithmetic is None else {"arithmetic": result.arithmetic.share}),
    }
