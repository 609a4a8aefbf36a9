"""Launchers of other packages run the same grid to the same results; one that is not installed, an extra, is left out."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.tiers import exhaustive

pytestmark = exhaustive  # every process of theirs imports torch

GRID = (
    "task=mrpc model=tiny_bert data=synthetic data.train=160 data.validation=48 tracking=none trainer.precision=fp32"
    " trainer.batch_size=8 trainer.eval_steps=20 trainer.save_steps=10"
).split()
MAIN = "import sys; from prune_cli.cli import main; sys.argv[0] = 'prune'; main()"
# Threads decide the last bits: one in each job, as two jobs on two cores have.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def launched(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "run", "-m", *GRID, f"output_dir={folder}", *overrides]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder.parent, env=ENVIRONMENT
    )


def carried_out(folder: Path, *overrides: str) -> str:
    process = launched(folder, *overrides)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def models(folder: Path) -> dict[str, str]:
    weights = folder.glob("*/model/model.safetensors")
    return {path.parts[-3]: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("basic") / "runs"
    carried_out(folder, "trainer.max_steps=40", "seed=1,2")
    return models(folder)


@pytest.mark.parametrize(
    ("launcher", "package"),
    [
        ("joblib", "hydra_plugins.hydra_joblib_launcher"),
        ("submitit_local", "hydra_plugins.hydra_submitit_launcher"),
        ("ray", "ray"),
    ],
)
def test_every_launcher_gives_the_same_results(
    launcher: str, package: str, one_after_the_other: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip(package)
    told = carried_out(tmp_path / "runs", "trainer.max_steps=40", "seed=1,2", f"hydra/launcher={launcher}")
    assert len(one_after_the_other) == 2
    assert models(tmp_path / "runs") == one_after_the_other
    assert "job 2 of 2: done · f1" in told


def at_work(process: subprocess.Popen[str], folder: Path, words: str) -> psutil.Process:
    """Wait until a job of the grid is training; gives its process."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[0]
        if any(path.stat().st_size > 200 for path in folder.glob("*/history.jsonl")):
            for child in psutil.Process(process.pid).children(recursive=True):
                if words in " ".join(child.cmdline()):
                    return child
        time.sleep(0.1)
    raise AssertionError("no job began")


def test_a_preempted_job_writes_a_checkpoint_and_is_requeued(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    long = ("trainer.max_steps=300", "trainer.save_steps=1000", "seed=1")
    carried_out(tmp_path / "undisturbed", *long)
    folder = tmp_path / "runs"
    process = launched(folder, *long, "hydra/launcher=submitit_local")
    at_work(process, folder, "submitit.core._submit").send_signal(signal.SIGUSR2)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    [log] = folder.glob("*/run.log")
    assert "Stopping: a checkpoint is written" in log.read_text()
    assert "going on from" in log.read_text()
    assert models(folder) == models(tmp_path / "undisturbed")


def test_a_killed_worker_takes_no_other_job_with_it(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    folder = tmp_path / "runs"
    grid = ("trainer.max_steps=200", "seed=1,2,3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    process = launched(folder, *grid)
    at_work(process, folder, "popen_loky").kill()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    [sweep] = folder.glob(".multirun/*/sweep.json")
    assert [job["status"] for job in json.loads(sweep.read_text())["jobs"]] == ["done"] * 3


def test_workers_end_with_the_process_that_launched_them(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    folder = tmp_path / "runs"
    grid = ("trainer.max_steps=5000", "trainer.save_steps=5000", "seed=1,2")
    process = launched(folder, *grid, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    at_work(process, folder, "popen_loky")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert list(folder.glob("*/checkpoints/checkpoint-*")), "what was at work wrote a checkpoint"
