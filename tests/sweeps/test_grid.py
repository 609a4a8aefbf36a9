"""A grid does each run once, whatever else happens, with runs that only pretend."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.compose import HYDRA_VERSION, register_schema
from prune_cli.config.identity import identity
from prune_cli.paths import CONF
from prune_cli.sweeps import grid
from prune_cli.sweeps.grid import Jobs, combinations
from prune_cli.sweeps.jobs import Job, Sweep
from tests.made_runs import made_result
from tests.tiers import exhaustive

BASE = ["task=rte", "data=synthetic", "data.train=40", "data.validation=8", "model=tiny_bert", "tracking=none"]
Does = Callable[[Job, Sweep], None]


def finishes(job: Job, sweep: Sweep) -> None:
    """What a job does that goes well."""
    folder = RunFolder(Path(job.folder))
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.history.write_text("")
    folder.model.mkdir(exist_ok=True)
    folder.predictions.write_text("")
    folder.finish(replace(made_result(folder.path.name, id=folder.path.name.rpartition("-")[2]), promised=folder.promises()))
    moved(job, "done", result={"metric": 0.5, "primary_metric": "f1"}).save(sweep.folder)


def moved(job: Job, status: Any, **changes: Any) -> Job:
    return Job(**{**vars(job), "status": status, **changes})


class PretendedLauncher:
    """Does with each job what the test wants, and remembers all batches."""

    def __init__(self, sweep: Sweep, does: Does) -> None:
        self.sweep, self.does = sweep, does
        self.batches: list[list[int]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        jobs = [self.sweep.job(overrides, otherwise=0) for overrides in job_overrides]
        self.batches.append([job.number for job in jobs])
        for job in jobs:
            self.does(job, self.sweep)
        return []


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A grid in a folder of its own, without waiting."""
    monkeypatch.setattr(grid, "POLL", 0.01)
    monkeypatch.setattr(grid, "identity", lambda *run: identity(*run)[:8])  # as much as the folder's name tells
    register_schema()
    number = 0

    def jobs(does: Does, *overrides: str) -> tuple[Jobs, PretendedLauncher]:
        nonlocal number
        number += 1
        sweep = Sweep(tmp_path / f"sweep-{number}")
        launcher = PretendedLauncher(sweep, does)
        loader = GlobalHydra.instance().config_loader()
        given = [*BASE, f"output_dir={tmp_path / 'runs'}"]
        general = [override for override in overrides if "=true" in override]
        config = loader.load_configuration(
            "config", [*given, *general, f"hydra.sweep.dir={sweep.folder}"], run_mode=RunMode.MULTIRUN
        )
        planned: Any = Jobs(loader, config, launcher)  # pyright: ignore
        planned.add(combinations([*given, *overrides], loader))
        return planned, launcher

    with initialize_config_dir(str(CONF), version_base=HYDRA_VERSION):
        yield jobs


def statuses(jobs: Jobs) -> list[str]:
    return [job.status for job in jobs.all]


def test_combinations_are_the_product_and_the_later_value_counts() -> None:
    assert combinations(["a=1,2", "b=x", "c=range(1,3)"]) == [
        ["a=1", "b=x", "c=1"],
        ["a=1", "b=x", "c=2"],
        ["a=2", "b=x", "c=1"],
        ["a=2", "b=x", "c=2"],
    ]
    assert combinations(["seed=1,2", "seed=3"]) == [["seed=3"]]


def test_a_dense_run_that_a_grid_needs_several_times_is_made_once(make: Any) -> None:
    jobs, launcher = make(finishes, "sparsity=0,0.5", "criterion=pins,magnitude,random")
    jobs.carry_out()
    assert launcher.batches == [[1, 4, 5, 6]]
    assert statuses(jobs) == ["done", "skipped", "skipped", "done", "done", "done"]
    assert {job.folder for job in jobs.all[:3]} == {jobs.all[0].folder}
    assert [job.result["metric"] for job in jobs.all] == [0.5] * 6


def test_a_larger_grid_does_what_is_missing_and_what_failed(make: Any) -> None:
    def second_fails(job: Job, sweep: Sweep) -> None:
        if job.number == 2:
            moved(job, "failed", problems=["no records"], code=2).save(sweep.folder)
        else:
            finishes(job, sweep)

    first, launcher = make(second_fails, "seed=1,2,3")
    first.carry_out()
    assert statuses(first) == ["done", "failed", "done"]
    assert launcher.batches == [[1, 2, 3]]  # what fails is not tried again at once

    larger, launcher = make(finishes, "seed=1,2,3,4")
    assert statuses(larger) == ["skipped", "waiting", "skipped", "waiting"]  # no process is started for the finished
    larger.carry_out()
    assert launcher.batches == [[2, 4]]
    assert statuses(larger) == ["skipped", "done", "skipped", "done"]


def test_jobs_that_an_earlier_launch_left_waiting_are_launched_too(make: Any) -> None:
    first, _ = make(finishes, "seed=1,2")
    second, launcher = make(finishes, "seed=3")
    left = [Job(**{**vars(job), "number": job.number + 1}) for job in first.all]
    Sweep(second.folder).plan([*second.all, *left])
    second.carry_out()
    assert launcher.batches == [[1, 2, 3]]
    assert statuses(second) == ["done"] * 3


def test_a_secret_that_is_not_written_down_is_not_guessed(make: Any) -> None:
    first, _ = make(finishes, "seed=1,2")
    second, launcher = make(finishes, "seed=3")
    left = [moved(job, "waiting", number=job.number + 1) for job in first.all]
    hidden = moved(left[0], "waiting", overrides=[*left[0].overrides, "tracking.project=https://[hidden]@host/p"])
    Sweep(second.folder).plan([*second.all, hidden, left[1]])
    second.carry_out()
    assert launcher.batches == [[1, 3]]
    assert statuses(second) == ["done", "waiting", "done"]


def test_overwriting_makes_every_run_again_and_once(make: Any) -> None:
    make(finishes, "seed=1,2")[0].carry_out()
    jobs, launcher = make(finishes, "sparsity=0", "criterion=pins,magnitude", "overwrite=true")
    jobs.carry_out()
    again, launcher = make(finishes, "sparsity=0", "criterion=pins,magnitude", "overwrite=true")
    again.carry_out()
    assert launcher.batches == [[1]]
    assert statuses(again) == ["done", "skipped"]


def test_a_combination_that_cannot_work_fails_without_a_process(make: Any) -> None:
    jobs, launcher = make(finishes, "trainer.max_steps=100", "trainer.warmup=0,200")
    jobs.carry_out()
    assert launcher.batches == [[1]]
    assert statuses(jobs) == ["done", "failed"]
    assert "trainer.warmup is 200 steps of a run of 100" in jobs.all[1].problems[0]
    assert jobs.all[1].code == 2


def test_what_another_process_is_at_is_come_back_to(make: Any) -> None:
    jobs, launcher = make(finishes, "seed=1,2,3")
    theirs = Path(jobs.all[0].folder)
    theirs.mkdir(parents=True)
    lock = FileLock(theirs / ".lock")
    lock.acquire()

    def works(job: Job, sweep: Sweep) -> None:
        if job.number == 1:
            moved(job, "held").save(sweep.folder)
        else:
            finishes(job, sweep)
        if job.number == 3:  # the other process ends well
            finishes(jobs.all[0], Sweep(sweep.folder.with_name("other")))
            lock.release()

    launcher.does = works
    launcher.sweep.folder.with_name("other").mkdir()
    jobs.carry_out()
    assert launcher.batches == [[1, 2, 3]]
    assert statuses(jobs) == ["skipped", "done", "done"]


def test_what_another_process_left_unfinished_is_taken_over(make: Any) -> None:
    seen: list[int] = []

    def held_at_first(job: Job, sweep: Sweep) -> None:
        seen.append(job.number)
        if seen == [1]:
            moved(job, "held").save(sweep.folder)
        else:
            finishes(job, sweep)

    jobs, launcher = make(held_at_first, "seed=1,2")
    jobs.carry_out()
    assert launcher.batches == [[1, 2], [1]]
    assert statuses(jobs) == ["done", "done"]


def test_a_process_that_dies_takes_no_other_job_with_it(make: Any) -> None:
    def dies(job: Job, sweep: Sweep) -> None:
        moved(job, "running").save(sweep.folder)
        if job.number == 2:
            raise RuntimeError("a worker was killed")
        finishes(job, sweep)

    jobs, launcher = make(dies, "seed=1,2,3")
    jobs.carry_out()
    assert launcher.batches == [[1, 2, 3], [2, 3], [3]]
    assert statuses(jobs) == ["done", "failed", "done"]
    assert "its process ended without a word" in jobs.all[1].problems[0]


def test_a_launcher_that_cannot_work_says_so(make: Any) -> None:
    def refuses(job: Job, sweep: Sweep) -> None:
        raise RuntimeError("no such partition")

    jobs, _ = make(refuses, "seed=1,2")
    with pytest.raises(RuntimeError, match="no such partition"):
        jobs.carry_out()
    assert statuses(jobs) == ["waiting", "waiting"]


SLOW = """
import sys
from prune_cli.cli import main
sys.argv = ["prune", *sys.argv[1:]]
main()
"""
TINY = [*BASE, "trainer.max_steps=20", "trainer.precision=fp32", "sparsity=0.5,0.8", "seed=1,2"]


@exhaustive
def test_two_terminals_share_a_grid(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, "run", "-m", *TINY, "output_dir=runs"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    ends = [
        [job["status"] for job in json.loads(sweep.read_text())["jobs"]] for sweep in tmp_path.glob("runs/.multirun/*/sweep.json")
    ]
    assert len(ends) == 2
    assert [sorted(pair) for pair in zip(*ends, strict=True)] == [["done", "skipped"]] * 4
    results = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/result.json")]
    assert len(results) == 4
