"""`prune run`: overrides are diagnosed, then Hydra composes and launches one run or many."""

from __future__ import annotations

import itertools
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.text import Text

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.checks import output_problems
from prune_cli.config.compose import HYDRA_VERSION, choices_of, register_schema
from prune_cli.config.diagnose import diagnose
from prune_cli.config.overrides import expand_home
from prune_cli.config.run_config import RunConfig
from prune_cli.console.failures import Carried, carrying, failure_of, show, traceback_wanted
from prune_cli.console.handing import HAND_OVER
from prune_cli.console.interrupts import exit_code as code_of
from prune_cli.console.interrupts import tell
from prune_cli.console.printer import heading, importing, printer
from prune_cli.errors import Held, Stopped, UserError
from prune_cli.launched import rank, started
from prune_cli.paths import CONF
from prune_cli.redaction import redact
from prune_cli.sweeps.following import JOBLIB, ending_with_parent, in_this_process
from prune_cli.sweeps.jobs import SWEEP, Job, Sweep, exit_code, jobs_table, numbers, over_seeds, seeds_table, time_left

if TYPE_CHECKING:
    from rich.console import Console

    from prune_cli.run.run import Outcome

register_schema()

_WHAT_TO_TYPE = """what is to be pruned? For instance

  prune run experiment=demo                                   a small run on made-up records, nothing is downloaded but MiniLM
  prune run task=mrpc sparsity=0.9                            BERT on a task of GLUE
  prune run task=classification data=local data.path=FILE.csv a file of yours, with the columns text and label

`prune list` shows tasks, models and the rest, `prune run --help` how to combine them."""
"""Said where nothing was given."""


def launch(
    overrides: Sequence[str], *, multirun: bool = False, config_dir: str | None = None, inspect: Sequence[str] = ()
) -> int:
    """Do what `prune run` was asked for.

    Args:
        inspect: Options of Hydra that print something instead of running.

    Returns:
        The exit code.

    Raises:
        UserError: If an override cannot work, or a single run cannot.
    """
    if not overrides and not inspect and config_dir is None:
        raise UserError(_WHAT_TO_TYPE)
    if not inspect:
        return _launch(overrides, multirun, config_dir).code
    overrides = [expand_home(override) for override in overrides]
    cfg = diagnose(overrides, config_dir, values=False)
    for option, key in itertools.pairwise(inspect):
        if option == "--package" and key != "_global_" and OmegaConf.select(cfg, key) is None:
            raise UserError(f"--package {key}: nothing is there (--cfg job prints all keys)")
    _hand_to_hydra([*overrides, *_options(config_dir), *inspect])
    return 0


@dataclass(frozen=True)
class Launched:
    """A multirun as it ended.

    Attributes:
        jobs: As they ended; none where a signal stopped it.
    """

    code: int
    jobs: list[Job]
    folder: Path


def launch_many(overrides: Sequence[str], config_dir: str | None = None, *, checked: DictConfig | None = None) -> Launched:
    """Run every combination of swept values.

    Args:
        checked: The configuration of one of the runs, where they were checked before.

    Raises:
        UserError: If an override cannot work.
    """
    return _launch(overrides, True, config_dir, checked)


def _launch(overrides: Sequence[str], multirun: bool, config_dir: str | None, checked: DictConfig | None = None) -> Launched:
    overrides = [expand_home(override) for override in overrides]
    options = _options(config_dir)
    first = checked or diagnose(overrides, config_dir, multirun=multirun)
    sweep_dir = Path(str(first.hydra.sweep.dir)).expanduser().absolute()
    many = multirun or first.hydra.mode == RunMode.MULTIRUN
    if many and (here := started()) is not None and here.count > 1:
        raise UserError(
            "a multirun was started in several processes, each of which would begin all of its runs: start it once, and give"
            " launcher.processes=N for each of its runs"
        )
    hydras = sweep_dir if many else Path(str(first.hydra.run.dir))
    if problems := list(output_problems(hydras, f"hydra.{'sweep' if many else 'run'}.dir")):
        raise UserError(*problems)
    try:
        if many:
            return _launch_jobs(overrides, options, sweep_dir)
        _hand_to_hydra([*overrides, *options])
    except Carried as failed:
        raise failed.error from None
    except KeyboardInterrupt as stop:
        tell(stop)
        return Launched(code_of(stop), [], sweep_dir)
    return Launched(0, [], sweep_dir)


def _options(config_dir: str | None) -> list[str]:
    return [] if config_dir is None else ["--config-dir", str(Path(config_dir).expanduser())]


def _launch_jobs(overrides: Sequence[str], options: Sequence[str], sweep_dir: Path) -> Launched:
    """Run all jobs, then tell what became of each."""
    # The folder has the time in its name: it is settled here, once for this process and all jobs.
    quoted = QuotedString(str(sweep_dir), Quote.single).with_quotes()
    sweep = Sweep(sweep_dir)
    try:
        with sweep.held():
            _hand_to_hydra([*overrides, f"hydra.sweep.dir={quoted}", *options, "--multirun"])
        failed_launch = 0
    except SystemExit as stop:  # the launcher itself failed, and Hydra has said why
        failed_launch = 1 if stop.code else 0
    finally:
        jobs = [job.settled for job in sweep.jobs()]
        if jobs:
            sweep.plan(jobs)
        _show_jobs(jobs, sweep_dir)
    return Launched(exit_code(jobs) or failed_launch, jobs, sweep_dir)


def _show_jobs(jobs: Sequence[Job], sweep_dir: Path) -> None:
    """Print what became of the jobs, a table of their results, and where the picture is that compares them."""
    console = printer()
    if jobs:
        console.print(jobs_table(jobs))
    folders = dict.fromkeys(job.folder for job in jobs if job.result)
    results = [RunFolder(Path(folder)).read_result() for folder in folders]
    if len(results) > 1:
        from prune_cli.comparison.pictures import frontier
        from prune_cli.report.tables import runs_table

        console.print(runs_table(results))
        if seeds := over_seeds(jobs):
            console.print(seeds_table(seeds))
        picture = sweep_dir / "frontier.png"
        frontier(results, picture)
        console.print(f"Metric against sparsity: {picture}", soft_wrap=True)
    if jobs:
        console.print(f"All of it for programs: {sweep_dir / SWEEP}", soft_wrap=True)


def _show_run(outcome: Outcome) -> None:
    from prune_cli.report.tables import samples_table, summary_table

    console = printer()
    if samples := outcome.result.samples:
        console.print(samples_table(samples))
    console.print(summary_table(outcome.result, outcome.folder))
    if outcome.status == "skipped":
        console.print("This configuration had finished before; overwrite=true redoes it.")


def _hand_to_hydra(arguments: Sequence[str]) -> None:
    """Call Hydra, which reads its arguments from sys.argv only."""
    before = sys.argv
    sys.argv = ["prune run", *arguments]
    try:
        _job()
    finally:
        sys.argv = before


@hydra.main(version_base=HYDRA_VERSION, config_path=str(CONF), config_name="config")
def _job(cfg: DictConfig) -> float | None:
    """One run: what Hydra calls in this process or another.

    Returns:
        The primary metric, for a sweeper that searches; None where there is none.
    """
    node = HydraConfig.get()
    if node.mode == RunMode.MULTIRUN:
        with ending_with_parent() if str(node.launcher["_target_"]) == JOBLIB else nullcontext():
            return _job_of_many(cfg, node)
    with carrying(), ending_with_parent() if HAND_OVER in os.environ else nullcontext():
        outcome = _outcome(cfg, node, printer(stderr=True, quiet=rank() > 0))
    if rank() == 0:
        _show_run(outcome)
    return outcome.result.metric


def _outcome(cfg: DictConfig, node: HydraConf, screen: Console) -> Outcome:
    """Do one run, in this process or in as many as it asks for."""
    with importing():
        from prune_cli.run.run import run
        from prune_cli.run.workers import run_in_processes, worker_command

    config = RunConfig.from_hydra(cfg, choices_of(node, cfg))
    if config.launcher.processes == 1 or started() is not None:
        return run(config, screen)
    own = (source.path for source in node.runtime.config_sources if source.provider == "command-line")
    found = (text for text in node.overrides.hydra if text.startswith("hydra.searchpath="))
    given = [*map(str, node.overrides.task), *found, *(option for folder in own for option in _options(folder))]
    return run_in_processes(config, worker_command(given), screen)


def _job_of_many(cfg: DictConfig, node: HydraConf) -> float | None:
    """One job of a multirun, which writes down how far it is; a failure ends it alone."""
    screen = printer(stderr=True, quiet=not in_this_process(node))
    sweep = Sweep(Path(node.sweep.dir))
    jobs = sweep.jobs()
    overrides = [str(override) for override in node.overrides.task]
    job = sweep.job(overrides, otherwise=node.job.num + 1)
    begun = sweep.begun()  # None where a sweeper of somebody else's has planned nothing
    of = "" if begun is None else f" of {len(jobs)}"
    left = "" if begun is None else time_left(jobs, time.time() - begun)
    heading(screen, " · ".join(part for part in (f"job {job.number}{of}", left) if part))
    screen.print(Text(" ".join(redact(overrides)), style="dim"))
    if cfg.fail_fast and any(job.status == "failed" for job in jobs):
        screen.print("not begun: another job has failed, and fail_fast=true")
        replace(job, status="left out").save(sweep.folder)
        return None
    replace(job, status="running").save(sweep.folder)
    try:
        outcome = _outcome(cfg, node, screen)
        if (of_study := node.sweeper.get("folder")) is not None:
            from prune_cli.comparison.study import study

            study(of_study, []).keep(outcome.folder, anew=bool(cfg.overwrite))
    except Stopped as stop:  # also in another process, where nobody is told but by what is written down
        replace(job, status="interrupted", code=stop.exit_code).save(sweep.folder)
        raise
    except Held:
        screen.print("another process is at this very run: the job comes back to it")
        replace(job, status="held").save(sweep.folder)
        return None
    except Exception as error:  # noqa: BLE001  # told, written down, and no other job's concern
        failure = failure_of(error)
        show(failure, screen)
        if traceback_wanted():
            traceback.print_exception(error)
        replace(job, status="failed", problems=[*failure.problems], code=failure.code).save(sweep.folder)
        return None
    folder = str(outcome.folder.absolute())
    replace(job, status=outcome.status, folder=folder, result=numbers(outcome.result)).save(sweep.folder)
    return outcome.result.metric
