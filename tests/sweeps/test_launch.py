"""`prune run` from the command line to the run and back, with a run that only pretends."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from rich.console import Console

from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.run_config import RunConfig
from prune_cli.errors import Held, Stopped, UserError
from prune_cli.sweeps.jobs import Sweep
from tests.made_runs import made_result


@dataclass(frozen=True)
class Outcome:
    folder: Path
    status: Literal["done", "skipped"]
    result: Result


@dataclass
class PretendedRuns:
    """Stands in for prune_cli.run.run: remembers what was to be run, and ends each run as the test wishes."""

    seen: list[RunConfig] = field(default_factory=list)
    ends: Callable[[RunConfig], None] = lambda config: None

    def run(self, config: RunConfig, console: Console) -> Outcome:
        self.seen.append(config)
        console.print("working")
        self.ends(config)
        status = "skipped" if config.seed == 77 else "done"
        folder = RunFolder(config.output_dir / f"run-{config.seed}")
        result = made_result(folder.path.name, metric=config.seed / 4)
        if config.output_dir.name == "out":
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.finish(result)
        return Outcome(folder.path, status, result)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> PretendedRuns:
    """No model is loaded, and tables tell names alone."""
    pretended = PretendedRuns()
    tables = SimpleNamespace(
        samples_table=lambda samples: f"{len(samples)} samples",
        summary_table=lambda result, folder: f"summary of {result.name} in {folder}",
        runs_table=lambda results: "comparison of " + " ".join(result.name for result in results),
    )
    monkeypatch.setitem(sys.modules, "prune_cli.run.run", SimpleNamespace(run=pretended.run))
    monkeypatch.setitem(sys.modules, "prune_cli.report.tables", tables)
    monkeypatch.setitem(sys.modules, "prune_cli.comparison.pictures", SimpleNamespace(frontier=lambda results, picture: None))
    return pretended


BASE = ["run", "task=rte", "data=synthetic", "tracking=none"]


def fail(error: BaseException, seed: int | None = None) -> Callable[[RunConfig], None]:
    """End runs of this seed, or all, with an exception."""

    def end(config: RunConfig) -> None:
        if seed is None or config.seed == seed:
            raise error

    return end


def test_a_run_gets_what_the_command_line_says(prune: Any, runs: PretendedRuns, tmp_path: Path) -> None:
    ended = prune(*BASE, "sparsity=0.75", "model.name=someone/model", "output_dir=out")
    assert ended.code == 0
    [config] = runs.seen
    assert (config.sparsity, config.model.name, config.output_dir) == (0.75, "someone/model", Path("out"))
    assert config.choices["task"] == "rte"
    assert config.choices["model"] == "model"
    assert "summary of run-42 in out/run-42" in ended.out
    assert "working" in ended.err
    assert [folder.name for folder in tmp_path.iterdir()] == ["out"]  # Hydra leaves nothing behind


def test_a_finished_run_is_not_repeated(prune: Any, runs: PretendedRuns) -> None:
    ended = prune(*BASE, "seed=77")
    assert ended.code == 0
    assert "had finished before; overwrite=true redoes it" in ended.out


def test_a_users_groups_are_found_and_home_is_known(
    prune: Any, runs: PretendedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "groups" / "model").mkdir(parents=True)
    (tmp_path / "groups" / "model" / "mine.yaml").write_text("# Mine\nname: someone/mine\n")
    assert prune(*BASE, "model=mine", "--config-dir", "~/groups", "output_dir=~/runs").code == 0
    [config] = runs.seen
    assert (config.model.name, config.output_dir) == ("someone/mine", tmp_path / "runs")


def test_no_override_reaches_a_run_that_cannot_work(prune: Any, runs: PretendedRuns) -> None:
    assert prune(*BASE, "sparsity=1.2").code == 2
    assert prune(*BASE, "seed=1,2").code == 2
    assert prune(*BASE, "-m", "sparsity=0.5,1.2").code == 2
    assert runs.seen == []


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserError("records are broken", "so is the model"), 2, ["- records are broken", "- so is the model"]),
        (ZeroDivisionError("deep\nbelow"), 1, ["ZeroDivisionError: below", "HYDRA_FULL_ERROR=1"]),
        (Stopped(15), 143, ["Stopped. The same command begins again."]),
        (KeyboardInterrupt(), 130, ["Stopped. The same command begins again."]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_failed_run_is_told_without_a_traceback(
    prune: Any, runs: PretendedRuns, error: BaseException, code: int, told: list[str]
) -> None:
    runs.ends = fail(error)
    ended = prune(*BASE)
    assert ended.code == code
    assert all(text in ended.err for text in told)
    assert "Traceback" not in ended.err
    assert "Error executing job" not in ended.err  # Hydra's words


def test_tracebacks_are_shown_where_they_are_asked_for(prune: Any, runs: PretendedRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    from prune_cli.cli import main

    runs.ends = fail(ZeroDivisionError("deep"))
    monkeypatch.setattr(sys, "argv", ["prune", *BASE])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ZeroDivisionError, match="deep") as failed:
        main()
    assert failed.traceback[-1].name == "end"


def test_jobs_run_one_after_the_other_and_a_failing_one_stops_none(prune: Any, runs: PretendedRuns, tmp_path: Path) -> None:
    logger = logging.getLogger("prune_cli.some_module")
    runs.ends = fail(UserError("bad records", "and more"), seed=2)
    ended = prune(*BASE, "-m", "seed=1,2,77", "output_dir=out")
    assert ended.code == 2
    assert [config.seed for config in runs.seen] == [1, 2, 77]
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "1 seed=1 done out/run-1" in lines
    assert "2 seed=2 failed bad records (and 1 more)" in lines
    assert "3 seed=77 finished before out/run-77" in lines
    assert "f1 2 9.7500 13.4350" in lines  # over seeds: mean of 0.25 and 19.25, half their distance times the root of 2
    assert "comparison of run-1 run-77" in lines
    assert "- bad records" in ended.err
    [folder] = (tmp_path / "out" / ".multirun").iterdir()
    assert [job.status for job in Sweep(folder).jobs()] == ["done", "failed", "skipped"]
    told = json.loads((folder / "sweep.json").read_text())
    assert [(job["number"], job["status"]) for job in told["jobs"]] == [(1, "done"), (2, "failed"), (3, "skipped")]
    assert told["jobs"][1]["problems"] == ["bad records", "and more"]
    assert [(group["mean"], group["seeds"]) for group in told["seeds"]] == [(9.75, 2)]
    assert not logger.disabled  # as Hydra's own logging would have it for later jobs


def test_interrupting_a_job_stops_all_and_tells_what_was_done(prune: Any, runs: PretendedRuns) -> None:
    runs.ends = fail(KeyboardInterrupt(), seed=2)
    ended = prune(*BASE, "-m", "seed=1,2,3", "output_dir=out")
    assert ended.code == 130
    assert [config.seed for config in runs.seen] == [1, 2]
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "1 seed=1 done out/run-1" in lines
    assert any(line.startswith("2 seed=2 interrupted") for line in lines)
    assert any(line.startswith("3 seed=3 not begun") for line in lines)
    assert "Stopped." in ended.err


def test_fail_fast_begins_no_job_after_one_has_failed(prune: Any, runs: PretendedRuns, tmp_path: Path) -> None:
    runs.ends = fail(UserError("bad records"), seed=2)
    ended = prune(*BASE, "-m", "seed=1,2,3,4", "output_dir=out", "fail_fast=true")
    assert ended.code == 2
    assert [config.seed for config in runs.seen] == [1, 2]
    [folder] = (tmp_path / "out" / ".multirun").iterdir()
    assert [job.status for job in Sweep(folder).jobs()] == ["done", "failed", "left out", "left out"]
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert any(line.startswith("3 seed=3 not begun") for line in lines)


def test_a_job_says_which_it_is_of_how_many(prune: Any, runs: PretendedRuns) -> None:
    told = prune(*BASE, "-m", "seed=1,2", "output_dir=out").err
    assert "job 1 of 2" in told
    assert "job 2 of 2 · about" in told


def test_a_sweeper_of_somebody_else_does_not_know_of_how_many(prune: Any, runs: PretendedRuns) -> None:
    ended = prune(*BASE, "-m", "seed=1,2", "output_dir=out", "hydra/sweeper=basic")
    assert ended.code == 0
    assert "job 2" in ended.err.splitlines()
    assert "2 seed=2 done out/run-2" in [" ".join(line.split()) for line in ended.out.splitlines()]


def test_what_another_process_is_at_is_no_failure(prune: Any, runs: PretendedRuns, tmp_path: Path) -> None:
    calls = 0

    def held_once(config: RunConfig) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Held("another process is working on it")

    runs.ends = held_once
    ended = prune(*BASE, "-m", "seed=1,2", "output_dir=out")
    assert ended.code == 0
    assert [config.seed for config in runs.seen] == [1, 2, 1]
    assert "the job comes back to it" in ended.err


def test_an_experiment_may_be_a_sweep(prune: Any, runs: PretendedRuns, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "wide.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n"
    )
    strange = tmp_path / "it's \\ strange"
    assert prune(*BASE, "experiment=wide", "--config-dir", str(tmp_path), f'output_dir="{strange}/out"').code == 0
    assert {folder.name for folder in tmp_path.iterdir()} == {"experiment", strange.name}
    assert [config.seed for config in runs.seen] == [1, 2]
    assert runs.seen[0].choices["experiment"] == "wide"
