"""`prune status`: what is told of runs from their folders alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError
from prune_cli.sweeps import status
from prune_cli.sweeps.jobs import Job, Sweep
from tests.made_runs import made_result


def begun(path: Path, **noted: Any) -> RunFolder:
    """A run folder in which training is at step 30 of 120."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    folder.config.write_text("seed: 1\n")
    folder.note(steps=120, primary_metric="f1", **noted)
    records = [
        {"step": 10, "seconds": 2.0, "sparsity": 0.0, "eval_f1": 0.75},
        {"step": 20, "seconds": 4.0, "sparsity": 0.25, "eval_f1": 0.5},
        {"step": 30, "seconds": 6.0, "sparsity": 0.5},
    ]
    folder.history.write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def finished(path: Path) -> None:
    folder = begun(path)
    folder.model.mkdir()
    folder.predictions.write_text("")
    folder.finish(replace(made_result(), promised=folder.promises()))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """One run of each kind, and a multirun that another process launches."""
    folder = tmp_path / "runs"
    finished(folder / "a-done")
    begun(folder / "b-running")
    begun(folder / "c-interrupted")
    begun(folder / "d-failed", problems=["records are broken", "line 3"])
    sweep = Sweep(folder / ".multirun" / "today")
    sweep.folder.mkdir(parents=True)
    jobs = [("waiting", "e-waiting", []), ("done", "a-done", []), ("failed", "", ["no such task"])]
    sweep.plan(
        [
            Job(
                number=number,
                overrides=[f"seed={number}"],
                status=state,  # pyright: ignore
                folder=name and str(folder / name),
                result={},
                problems=problems,
            )
            for number, (state, name, problems) in enumerate(jobs, start=1)
        ]
    )
    with FileLock(folder / "b-running" / ".lock"), sweep.held():
        yield folder


def test_each_run_is_told_in_its_state(runs: Path) -> None:
    told = {run.name: run for run in status.statuses(runs)}
    states = {name: run.state for name, run in told.items()}
    assert states == {
        "a-done": "done",
        "b-running": "running",
        "c-interrupted": "interrupted",
        "d-failed": "failed",
        "e-waiting": "waiting",
        "seed=3": "failed",
    }
    running = told["b-running"]
    assert (running.step, running.steps, running.sparsity, running.metric, running.best) == (30, 120, 0.5, 0.5, 0.75)
    assert running.steps_per_second == 5.0
    assert running.seconds_left == 18.0  # 90 steps at 5 a second
    assert told["c-interrupted"].seconds_left is None
    assert told["d-failed"].problems == ("records are broken", "line 3")
    assert told["seed=3"].problems == ("no such task",)


def test_what_nobody_launches_any_more_was_not_begun(runs: Path) -> None:
    sweep = runs / ".multirun" / "today"
    (sweep / ".lock").unlink()  # as if its process had died, and with it the lock
    assert {run.name: run.state for run in status.statuses(sweep)}["e-waiting"] == "not begun"


def test_a_folder_may_be_one_run(runs: Path) -> None:
    assert [run.name for run in status.statuses(runs / "c-interrupted")] == ["c-interrupted"]


def test_the_table_says_what_failed_and_why(prune: Any, runs: Path) -> None:
    ended = prune("status", str(runs))
    assert ended.code == 0
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "a-done done 30/120 F1 0.7500 5.00" in lines
    assert "b-running running 25% 30/120 F1 0.7500 5.00 18 s" in lines
    assert "e-waiting waiting" in lines
    assert "d-failed: records are broken" in lines
    assert "1 done, 1 running, 1 interrupted, 2 failed, 1 waiting" in lines
    assert "The same command goes on with what was interrupted." in lines


def test_programs_get_json(prune: Any, runs: Path) -> None:
    told = json.loads(prune("status", str(runs), "--json").out)
    assert [(run["name"], run["state"], run["best"]) for run in told[:2]] == [
        ("a-done", "done", 0.75),
        ("b-running", "running", 0.75),
    ]


def test_watching_ends_when_nothing_runs_or_waits(prune: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    original = status.statuses

    def statuses(path: Path) -> list[Any]:
        nonlocal looks
        looks += 1
        return original(path if looks < 3 else runs / "a-done")

    monkeypatch.setattr(status, "EVERY", 0.0)
    monkeypatch.setattr(status, "statuses", statuses)
    assert prune("status", str(runs), "--watch").code == 0
    assert looks == 3


@pytest.mark.parametrize(("folder", "told"), [("nowhere", "there is no such folder"), (".", "holds no run")])
def test_no_run_is_said(prune: Any, tmp_path: Path, folder: str, told: str) -> None:
    ended = prune("status", str(tmp_path / folder))
    assert ended.code == 2
    assert told in ended.err


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    code = (
        "import os, signal, sys; from filelock import FileLock; FileLock(sys.argv[1]).acquire();"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path / ".lock")], check=False)
    assert not folder.busy()


def test_a_run_that_begins_anew_has_not_failed(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run", problems=["before"])
    folder.begin("seed: 1\n", anew=False)
    [told] = status.statuses(folder.path)
    assert told.state == "interrupted"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("line 3 is broken", "so is 4"), ("line 3 is broken", "so is 4")),
        (KeyError("x"), ("KeyError: 'x'",)),
        (UserError("https://me:pw@host/x is gone"), ("https://[hidden]@host/x is gone",)),
    ],
)
def test_a_run_that_fails_writes_down_why(tmp_path: Path, error: Exception, told: tuple[str, ...]) -> None:
    folder = begun(tmp_path / "run")
    with pytest.raises(type(error)), folder.logged(Console(quiet=True)):
        raise error
    [run] = status.statuses(folder.path)
    assert (run.state, run.problems) == ("failed", told)
    assert "pw" not in folder.log.read_text()
