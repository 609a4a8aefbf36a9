"""`prune run`: overrides are diagnosed, then Hydra composes and launches one run or many."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from prune_cli.cli.failures import INTERRUPTED, failure_of, show, traceback_wanted
from prune_cli.cli.outcomes import Job, exit_code, jobs_table, saved_jobs
from prune_cli.config.compose import HYDRA_VERSION, choices_of, register_schema
from prune_cli.config.diagnose import diagnose
from prune_cli.config.overrides import expand_home
from prune_cli.config.run_config import RunConfig
from prune_cli.errors import Stopped
from prune_cli.paths import CONF

if TYPE_CHECKING:
    from prune_cli.run import Outcome

register_schema()


class _JobFailed(BaseException):
    """Carries the failure of a single run through Hydra.

    Hydra catches every Exception of a job, prints it in its own way and exits with code 1. What is no Exception passes,
    as KeyboardInterrupt does, so that the failure reaches `main` with its traceback and gets our message and code.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def launch(
    overrides: Sequence[str], *, multirun: bool = False, config_dir: str | None = None, inspect: Sequence[str] = ()
) -> int:
    """Do what `prune run` was asked for.

    Args:
        overrides: As given on the command line.
        multirun: Run every combination of swept values.
        config_dir: A user's own folder of groups.
        inspect: Options of Hydra that print something instead of running.

    Returns:
        The exit code.

    Raises:
        UserError: If an override cannot work, or a single run cannot.
    """
    overrides = [expand_home(override) for override in overrides]
    options = [] if config_dir is None else ["--config-dir", str(Path(config_dir).expanduser())]
    if inspect:
        diagnose(overrides, config_dir, values=False)
        _hand_to_hydra([*overrides, *options, *inspect])
        return 0
    first = diagnose(overrides, config_dir, multirun=multirun)
    try:
        if multirun or first.hydra.mode == RunMode.MULTIRUN:
            return _launch_many(overrides, options, Path(str(first.hydra.sweep.dir)).expanduser().absolute())
        _hand_to_hydra([*overrides, *options])
    except _JobFailed as failed:
        raise failed.error from None
    except KeyboardInterrupt as stop:
        Console(stderr=True).print("Stopped. The same command goes on from the last checkpoint.")
        return stop.exit_code if isinstance(stop, Stopped) else INTERRUPTED
    return 0


def _launch_many(overrides: Sequence[str], options: Sequence[str], sweep_dir: Path) -> int:
    """Run all jobs, then tell what became of each."""
    # The folder has the time in its name: it is settled here, once for this process and all jobs.
    quoted = QuotedString(str(sweep_dir), Quote.single).with_quotes()
    try:
        _hand_to_hydra([*overrides, f"hydra.sweep.dir={quoted}", *options, "--multirun"])
        failed_launch = 0
    except SystemExit as stop:  # the launcher itself failed, and Hydra has said why
        failed_launch = 1 if stop.code else 0
    finally:
        jobs = saved_jobs(sweep_dir)
        _show_jobs(jobs, sweep_dir)
    return exit_code(jobs) or failed_launch


def _show_jobs(jobs: Sequence[Job], sweep_dir: Path) -> None:
    """Print what became of the jobs, a table of their results, and where the picture is that compares them."""
    console = Console()
    if jobs:
        console.print(jobs_table(jobs))
    results = [job.result for job in jobs if job.result]
    if len(results) > 1:
        from prune_cli.report.figures import frontier
        from prune_cli.report.tables import runs_table

        console.print(runs_table(results))
        picture = sweep_dir / "frontier.png"
        frontier(results, picture)
        console.print(f"Metric against sparsity: {picture}", soft_wrap=True)


def _show_run(outcome: Outcome) -> None:
    from prune_cli.report.tables import samples_table, summary_table

    console = Console()
    if samples := outcome.result.get("samples"):  # runs of earlier versions kept none
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
        The primary metric, for a sweeper that searches; None where the run failed.
    """
    node = HydraConfig.get()
    many = node.mode == RunMode.MULTIRUN
    screen = Console(stderr=True)
    overrides = [str(override) for override in node.overrides.task]
    if many:
        screen.rule(f"job {node.job.num}")
        screen.print(Text(" ".join(overrides), style="dim"))
    try:
        from prune_cli.run import run

        outcome = run(RunConfig.from_hydra(cfg, choices_of(node, cfg.model.name)), screen)
    except Exception as error:
        if not many:
            raise _JobFailed(error) from error
        failure = failure_of(error)
        show(failure, screen)
        if traceback_wanted():
            traceback.print_exception(error)
        problems = list(failure.problems)
        job = Job(
            number=node.job.num, overrides=overrides, status="failed", result={}, problems=problems, code=failure.code
        )
        job.save(Path(node.sweep.dir))
        return None
    result = dict(outcome.result)
    if many:
        folder = str(outcome.folder)
        job = Job(
            number=node.job.num, overrides=overrides, status=outcome.status, folder=folder, result=result, problems=[]
        )
        job.save(Path(node.sweep.dir))
    else:
        _show_run(outcome)
    return result["metric"]
