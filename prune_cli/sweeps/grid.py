"""A grid of runs: every combination of swept values, each done once, whoever else works on the same grid."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.compose import choices_of, without_hydra
from prune_cli.config.identity import Contents, contents, identity, run_name
from prune_cli.config.run_config import RunConfig
from prune_cli.console.failures import PROGRAM, failure_of
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.redaction import HIDDEN
from prune_cli.sweeps.following import following, in_this_process
from prune_cli.sweeps.jobs import Job, Status, Sweep, numbers

POLL = 1.0
"""Seconds between two looks at runs that other processes are at."""
TRIES = 2
"""How often a job is launched whose process dies: it may have been another job's fault."""
_DIED = "its process ended without a word: killed, or out of memory? The same command tries again"


def run_grid(overrides: Sequence[str], config_loader: ConfigLoader, config: DictConfig, launcher: Launcher) -> list[Job]:
    """Run every combination that is not done yet.

    Args:
        overrides: Sweeps among them; of two with the same key the later counts.
        launcher: Runs jobs, in this process or elsewhere.

    Returns:
        All jobs, as they ended.
    """
    jobs = Jobs(config_loader, config, launcher)
    jobs.add(combinations(overrides, config_loader))
    jobs.carry_out()
    return jobs.all


def combinations(overrides: Sequence[str], config_loader: ConfigLoader | None = None) -> list[list[str]]:
    """The product of all swept values.

    Args:
        overrides: Of two with the same key the later counts.

    Returns:
        Overrides of one value each; the last sweep changes fastest.

    >>> combinations(["task=rte", "sparsity=0.5,0.9", "task=mrpc"])
    [['task=mrpc', 'sparsity=0.5'], ['task=mrpc', 'sparsity=0.9']]
    """
    values: dict[str, list[str]] = {}
    for override in OverridesParser.create(config_loader=config_loader).parse_overrides([*overrides]):
        key = override.get_key_element()
        if override.is_sweep_override():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            values[key] = [override.input_line or ""]
    return [list(combination) for combination in itertools.product(*values.values())]


class Jobs:
    """The jobs of a multirun, planned and carried out.

    What has finished before is found out here, so that no process is started for it. A job that turns out to be the same
    run as an earlier one, as a dense run is for every criterion, waits for that one.
    """

    def __init__(self, config_loader: ConfigLoader, config: DictConfig, launcher: Launcher) -> None:
        self._config_loader = config_loader
        self._config = config
        self._launcher = launcher
        self._sweep = Sweep(Path(str(config.hydra.sweep.dir)))
        self._sweep.folder.mkdir(parents=True, exist_ok=True)
        self._given: dict[int, Sequence[str]] = {}
        """The overrides of each job as they were given; what is written down hides secrets."""

    @property
    def folder(self) -> Path:
        """The folder of the multirun."""
        return self._sweep.folder

    @property
    def all(self) -> list[Job]:
        """All jobs, as far as they are."""
        return self._sweep.jobs()

    def finished(self, overrides: Sequence[str]) -> dict[str, Any] | None:
        """The numbers of a run that has finished before; None where it has not, or is to be redone.

        Args:
            overrides: Of one value each.
        """
        job = self._plan(0, overrides)
        return job.result or None

    def identified(self, overrides: Sequence[str]) -> tuple[RunConfig, Contents, Path]:
        """What a run is, what it is made of, and the folder that it has or will have.

        Args:
            overrides: Of one value each.

        Raises:
            UserError: If the configuration cannot work.
        """
        cfg = self._config_loader.load_sweep_config(self._config, [*overrides])
        HydraConfig.instance().set_config(cfg)  # for ${hydra:...} in a user's configuration
        config = RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg), ask_source=False)
        run_contents = contents(config)
        return config, run_contents, (config.output_dir / run_name(config, identity(config, run_contents))).absolute()

    def add(self, combinations: Sequence[Sequence[str]]) -> list[Job]:
        """Plan jobs.

        Returns:
            The new jobs: waiting, skipped, or failed where the configuration cannot work.
        """
        before = self.all
        first = len(before) + 1
        new = [self._plan(number, overrides) for number, overrides in enumerate(combinations, start=first)]
        self._given |= {job.number: job.overrides for job in new}
        self._sweep.plan([*before, *new])
        return new

    def carry_out(self) -> None:
        """Launch what is left, and again what another process was at or what died, until nothing is left."""
        tries: Counter[int] = Counter()
        shown = 0
        while left := self._left():
            batch = [job for job in left if job.status != "held" or not RunFolder(Path(job.folder)).busy()]
            if not batch:
                if len(left) != shown:
                    shown = len(left)
                    printer(stderr=True).print(f"waiting for {shown} of these runs, which another process is at")
                time.sleep(POLL)
                continue
            problem = self._launch(batch)
            now = {job.number: job for job in self.all}
            lost = [now[job.number] for job in batch if now[job.number].status in ("waiting", "running")]
            if problem is not None and len(lost) == len(batch) and all(job.status == "waiting" for job in lost):
                raise problem  # the launcher itself cannot work
            if problem is not None:
                reason = failure_of(problem).problems[0].partition("\n")[0]
                printer(stderr=True).print(f"the launcher stopped, and goes on with what is left: {reason}", soft_wrap=True)
            for job in lost:
                tries[job.number] += job.status == "running" or problem is None
                if tries[job.number] == TRIES:
                    why = "" if problem is None else f" ({type(problem).__name__})"
                    self._end(job, "failed", problems=[f"{_DIED}{why}"], code=PROGRAM)
        self._sweep.plan(self.all)

    def _launch(self, batch: Sequence[Job]) -> Exception | None:
        """Let the launcher run some jobs; a process that died is its exception."""
        display = contextlib.nullcontext() if in_this_process(self._config.hydra) else following(self._sweep)
        try:
            with display:
                given = [self._given.get(job.number, job.overrides) for job in batch]  # of an earlier launch, as written
                self._launcher.launch(given, initial_job_idx=batch[0].number - 1)
        except Exception as error:  # noqa: BLE001  # launchers raise what their libraries do; it is told by who called
            return error
        return None

    def _left(self) -> list[Job]:
        """One job for each run that has not ended, once those are settled whose run has ended elsewhere."""
        jobs = self.all
        ends = {job.folder: job for job in jobs if job.folder and job.ended and not job.result}
        done = {job.folder for job in jobs if job.result}
        left: dict[str, Job] = {}
        for job in jobs:
            if job.ended or job.folder in left:
                continue
            if (end := ends.get(job.folder)) is not None:
                self._end(job, end.status, problems=end.problems, code=end.code)
            elif self._may_be_finished(job, done) and (result := self.finished_in(Path(job.folder))) is not None:
                self._end(job, "skipped", result=result)
            elif job.number in self._given or not any(HIDDEN in override for override in job.overrides):
                left[job.folder] = job  # a job of an earlier launch that was given a secret waits for the same command
        return list(left.values())

    def _plan(self, number: int, overrides: Sequence[str]) -> Job:
        """A job: what it is, and whether there is anything to do."""
        job = Job(number=number, overrides=[*overrides], status="waiting", result={}, problems=[])
        try:
            config, run_contents, folder = self.identified(overrides)
            result = None if config.overwrite else self.finished_in(folder, identity(config, run_contents))
        except UserError as error:
            failure = failure_of(error)
            return replace(job, status="failed", problems=[*failure.problems], code=failure.code)
        job = replace(job, folder=str(folder))
        return job if result is None else replace(job, status="skipped", result=result)

    def _may_be_finished(self, job: Job, done: Set[str]) -> bool:
        """Whether a result in the job's folder is one that it wants: not what `overwrite` is to replace."""
        return job.status == "held" or job.folder in done or not self._config.overwrite

    @staticmethod
    def finished_in(path: Path, run_id: str | None = None) -> dict[str, Any] | None:
        """The numbers of a finished run; None where it has not finished.

        Args:
            run_id: A result of another run than that is refused.
        """
        folder = RunFolder(path)
        if folder.unfinished_reason() is not None:
            return None
        return numbers(folder.read_result() if run_id is None else folder.read_result_of(run_id))

    def _end(self, job: Job, status: Status, **changes: Any) -> None:
        replace(job, status=status, **changes).save(self._sweep.folder)
