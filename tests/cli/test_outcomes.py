"""What is remembered and told of the jobs of a multirun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prune_cli.cli.outcomes import Job, exit_code, jobs_table, saved_jobs


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


@pytest.mark.parametrize(("codes", "expected"), [([], 0), ([2], 2), ([2, 2], 2), ([1], 1), ([2, 1], 1)])
def test_the_exit_code_tells_whether_the_user_can_mend_all(codes: list[int], expected: int) -> None:
    assert exit_code([job(), *(failed(number, code) for number, code in enumerate(codes))]) == expected


def test_jobs_are_read_back_in_their_order(tmp_path: Path) -> None:
    jobs = [job(number, folder=f"runs/{number}", result={"metric": 0.5}) for number in range(11)]
    for one in reversed(jobs):
        one.save(tmp_path)
    (tmp_path / "multirun.yaml").touch()
    assert saved_jobs(tmp_path) == jobs
    assert saved_jobs(tmp_path / "none") == []


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


def test_a_single_job_is_told_by_all_it_was_given() -> None:
    assert "0 task=rte seed=0 done runs/a" in told(job(0, folder="runs/a"))
