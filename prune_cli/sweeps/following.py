"""What is shown of jobs that run in other processes, which would all write into one terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

from hydra.conf import HydraConf
from rich.console import Console
from rich.live import Live

from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.sweeps.jobs import Job, Sweep, time_left
from prune_cli.sweeps.status import status_table, statuses

EVERY = 1.0
"""Seconds between two looks."""
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
"""The launcher whose workers are children of the process that launches."""
_WATCH = "parent"
_WORKING = threading.Event()
_BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@contextlib.contextmanager
def ending_with_parent() -> Iterator[None]:
    """Do a job in a worker that ends once its parent has died: the job stops as by SIGTERM, then the worker itself."""
    if not any(thread.name == _WATCH for thread in threading.enumerate()):  # workers do one job after the other
        threading.Thread(target=_watch, args=(os.getppid(),), name=_WATCH, daemon=True).start()
    _WORKING.set()
    try:
        yield
    finally:
        _WORKING.clear()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    if _WORKING.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    while _WORKING.is_set():
        time.sleep(EVERY)
    os._exit(128 + signal.SIGTERM)  # nobody is there to be told, and the worker would wait for more


def in_this_process(hydra: HydraConf) -> bool:
    """Whether jobs run one after the other in the process that launches them."""
    return str(hydra.launcher["_target_"]) == _BASIC


@contextlib.contextmanager
def following(sweep: Sweep) -> Iterator[None]:
    """Show how far the jobs are while the launcher waits for them: a table on a terminal, a line a job elsewhere."""
    screen = printer(stderr=True)
    over = threading.Event()
    work = _table if screen.is_terminal else _lines
    thread = threading.Thread(target=work, args=(sweep, screen, over.wait), name="following", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _table(sweep: Sweep, screen: Console, over: Callable[[float], bool]) -> None:
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        while not over(EVERY):
            with contextlib.suppress(UserError):  # nothing has begun yet
                live.update(status_table(statuses(sweep.folder)), refresh=True)


def _lines(sweep: Sweep, screen: Console, over: Callable[[float], bool]) -> None:
    shown = {job.number for job in sweep.jobs() if job.ended}
    while True:
        ended = over(EVERY)
        jobs = sweep.jobs()
        for job in jobs:
            if job.ended and job.number not in shown:
                shown.add(job.number)
                screen.print(_line(job, jobs, time.time() - (sweep.begun() or time.time())), soft_wrap=True)
        if ended:
            return


def _line(job: Job, jobs: list[Job], seconds: float) -> str:
    metric = f"{job.result['primary_metric']} {job.result['metric']:.4f}" if job.result else ""
    problem = job.problems[0].partition("\n")[0] if job.problems else ""
    parts = [f"job {job.number} of {len(jobs)}: {job.status}", metric, problem, time_left(jobs, seconds)]
    return " · ".join(part for part in parts if part)
