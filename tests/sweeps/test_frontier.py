"""`prune frontier`: the answer of the full grid, no run twice, whatever was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prune_cli.sweeps import frontier
from prune_cli.sweeps.jobs import Job
from tests.commands import Prune
from tests.tiers import exhaustive

GRID = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99]
TINY = (
    "task=conll2003 model=tiny_bert data=synthetic data.train=400 data.validation=64 tracking=none trainer.max_steps=60"
    " trainer.batch_size=16 trainer.eval_steps=60 trainer.learning_rate=1e-2 trainer.precision=fp32 regularization=none"
).split()
SEARCH = [*TINY, f"grid={GRID}".replace(" ", ""), "max_drop=0.03"]


def results(folder: Path) -> dict[str, float]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/result.json")}


def answer(folder: Path) -> float | None:
    last = max((folder / "runs" / ".multirun").glob("*/frontier.json"), key=lambda path: path.parent.name)
    return json.loads(last.read_text())["answer"]


def arithmetic(folder: Path) -> list[float]:
    last = max((folder / "runs" / ".multirun").glob("*/frontier.json"), key=lambda path: path.parent.name)
    return [point["arithmetic"] for point in json.loads(last.read_text())["points"]]


@exhaustive
def test_killed_and_launched_again_it_finds_the_answer_of_the_grid_and_repeats_no_run(prune: Prune, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prune_cli", "frontier", *SEARCH]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(results(tmp_path)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = results(tmp_path)
    assert before
    ended = prune("frontier", *SEARCH)
    assert ended.code == 0, ended.err
    assert "within 0.03 F1 of dense" in " ".join(ended.out.split())
    assert "% arith" in ended.out
    assert all(0 < share <= 1 for share in arithmetic(tmp_path))
    tried = results(tmp_path)
    assert before.items() <= tried.items(), "a finished run was made again"
    assert len(tried) <= (len(GRID) + 1) / 2
    found = answer(tmp_path)
    assert prune("frontier", *SEARCH).code == 0 and results(tmp_path) == tried
    sparsities = "sparsity=" + ",".join(map(str, [0.0, *GRID]))
    assert prune("run", "-m", *TINY, sparsities).code == 0
    metrics = {
        result["sparsity"]["target"]: result["metric"]
        for path in (tmp_path / "runs").glob("*/result.json")
        for result in [json.loads(path.read_text())]
    }
    near = [sparsity for sparsity in GRID if metrics[0.0] - metrics[sparsity] <= 0.03]
    above = next((sparsity for sparsity in GRID if sparsity > (found or 0.0)), None)
    assert (found is None or found in near) and above not in near
    if near == [sparsity for sparsity in GRID if sparsity <= max(near, default=0.0)]:  # else noise has several answers
        assert found == max(near, default=None)


def searched(monkeypatch: pytest.MonkeyPatch, folder: Path, grid: list[float], fails: float) -> list[Job]:
    """Search without runs: each sparsity costs itself, and the run of one fails."""

    class Pretended:
        def __init__(self, *_: Any) -> None:
            self.folder, self.all = folder, list[Job]()

        def finished(self, overrides: Any) -> None:
            return None

        def add(self, combinations: list[list[str]]) -> None:
            for overrides in combinations:
                sparsity = float(overrides[-1].partition("=")[2])
                result = {"seed": 1, "metric": 1 - sparsity, "primary_metric": "f1"} if sparsity != fails else {}
                status = "done" if result else "failed"
                number = len(self.all) + 1
                self.all.append(Job(number=number, overrides=overrides, status=status, result=result, problems=[]))

        def carry_out(self) -> None: ...

    monkeypatch.setattr(frontier, "Jobs", Pretended)
    options: Any = None
    return frontier.run_frontier(["task=rte"], options, options, options, max_drop=0.6, grid=grid)


def test_a_failed_run_leaves_the_question_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jobs = searched(monkeypatch, tmp_path, [0.5, 0.7, 0.9], fails=0.7)
    assert [job.status for job in jobs] == ["done", "failed"]
    assert not (tmp_path / "frontier.json").exists()


def test_a_grid_may_be_as_fine_as_one_likes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    searched(monkeypatch, tmp_path, [0.123456789, 0.59999999, 0.60000001], fails=2)
    assert json.loads((tmp_path / "frontier.json").read_text())["answer"] == 0.59999999


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sparsity=0.9"], "prune frontier chooses sparsities itself"),
        (["max_drp=0.01"], "max_drp is not known: did you mean max_drop?"),
        (["max_drop=-1"], "max_drop is -1: give what the metric may cost"),
        (["max_drop=much"], "max_drop is much: give what the metric may cost"),
        (["grid=[0.5,90]"], "grid is [0.5, 90]: give sparsities above 0 and up to 1"),
        (["criterion=pins,magnitude"], "answers for one configuration, and criterion has several values"),
        (["trainer.epochs=-1"], "trainer.epochs"),
    ],
)
def test_what_cannot_work_is_refused(words: list[str], message: str, prune: Prune, tmp_path: Path) -> None:
    ended = prune("frontier", *TINY, *words)
    assert ended.code == 2 and message in ended.err, ended.err
    assert not list(tmp_path.glob("runs/*/config.yaml"))


def test_costs_of_a_model_without_skill_mean_nothing() -> None:
    jobs = [
        Job(
            number=number,
            overrides=[f"sparsity={sparsity}"],
            status="done",
            problems=[],
            result={"seed": 1, "metric": 0.684, "primary_metric": "f1", "only_prediction": said},
        )
        for number, (sparsity, said) in enumerate([(0.0, "equivalent"), (0.9, "equivalent"), (0.95, None)])
    ]
    said = frontier.answer_of(jobs, 0.01, [0.9, 0.95]).in_words()
    assert said[-1].startswith("At dense, 90.0% a model says the same of all records, so that its metric is that of no skill")
