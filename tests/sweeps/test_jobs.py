"""What is remembered and told of the jobs of a multirun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prune_cli.sweeps.jobs import Job, Sweep, exit_code, jobs_table, over_seeds, seeds_table, time_left


def job(number: int = 0, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "overrides": ["task=rte", f"seed={number}"],
        "status": "done",
        "result": {},
        "problems": [],
    }
    return Job(number=number, **{**values, **changes})


def failed(number: int, code: int) -> Job:
    return job(number, status="failed", code=code, problems=["no [records]\nat all"])


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([2], 2), ([2, 2], 2), ([1], 1), ([2, 1], 1), ([3], 3), ([2, 3], 3), ([3, 1], 1)]
)
def test_the_exit_code_tells_whether_the_user_can_mend_all(codes: list[int], expected: int) -> None:
    assert exit_code([job(), *(failed(number, code) for number, code in enumerate(codes))]) == expected


def test_jobs_are_read_back_in_their_order_as_far_as_they_are(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    assert sweep.jobs() == []
    sweep.plan([job(number, status="waiting") for number in range(12)])
    jobs = [job(number, folder=f"runs/{number}", result={"metric": 0.5, "primary_metric": "f1"}) for number in range(11)]
    for one in reversed(jobs):
        one.save(tmp_path)
    (tmp_path / "multirun.yaml").touch()
    assert sweep.jobs() == [*jobs, job(11, status="waiting")]
    begun = sweep.begun()
    sweep.plan(sweep.jobs())
    assert sweep.begun() == begun
    assert Sweep(tmp_path / "none").jobs() == []


def test_a_job_knows_itself_by_what_it_was_given(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    sweep.plan([job(1), job(2)])
    assert sweep.job(["task=rte", "seed=2"], otherwise=9).number == 2
    assert sweep.job(["task=rte", "seed=3"], otherwise=9).number == 9


@pytest.mark.parametrize(("done", "waiting", "expected"), [(2, 3, "about 9.0 s left"), (0, 3, ""), (2, 0, "")])
def test_the_time_left_is_at_the_pace_of_those_done(done: int, waiting: int, expected: str) -> None:
    jobs = [*[job()] * done, *[job(status="waiting")] * waiting, job(status="skipped")]
    assert time_left(jobs, 6.0) == expected


def test_seeds_are_averaged_where_nothing_else_differs() -> None:
    def made(number: int, overrides: list[str], metric: float) -> Job:
        result = {"metric": metric, "primary_metric": "f1"}
        return job(number, overrides=overrides, folder=f"runs/{number}", result=result)

    jobs = [
        made(1, ["sparsity=0.5", "seed=1"], 0.5),
        made(2, ["sparsity=0.5", "seed=2"], 1.0),
        made(3, ["sparsity=0.9", "seed=1"], 0.25),
        made(1, ["sparsity=0.5", "seed=1"], 0.5),  # the same run again counts once
    ]
    [group] = over_seeds(jobs)
    assert group["overrides"] == ["sparsity=0.5"]
    assert (group["metric"], group["mean"], group["seeds"]) == ("f1", 0.75, 2)
    assert group["deviation"] == pytest.approx(0.35355339)  # of a sample: sqrt(2 * 0.25^2 / 1)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(seeds_table([group]))
    assert "f1 2 0.7500 0.3536" in " ".join(captured.get().split())


def told(*jobs: Job) -> list[str]:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(jobs_table(jobs))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_the_table_tells_what_differs_and_why_a_job_failed() -> None:
    lines = told(job(0, folder="runs/a"), failed(1, 2), job(2, status="skipped", folder="runs/c"))
    assert "0 seed=0 done runs/a" in lines
    assert "1 seed=1 failed no [records]" in lines
    assert "2 seed=2 finished before runs/c" in lines


def test_a_job_that_is_the_same_run_as_another_says_so() -> None:
    assert "2 seed=2 as job 1 runs/a" in told(job(1, folder="runs/a"), job(2, status="skipped", folder="runs/a"))


def test_a_single_job_is_told_by_all_it_was_given() -> None:
    assert "0 task=rte seed=0 done runs/a" in told(job(0, folder="runs/a"))
