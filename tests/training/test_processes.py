"""Several processes come to what one comes to: as copies and in parts, resumed, stopped, and when one of them is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.distributed as dist

from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config import checks
from prune_cli.config.checks import process_problems
from prune_cli.errors import Failed, Held, Lost, Stopped, UserError
from prune_cli.launched import Started, rank, started
from prune_cli.pruning.criteria import Obert
from prune_cli.report import figures
from prune_cli.run import finish, workers
from prune_cli.run.run import Outcome
from prune_cli.training.checkpoints import Checkpoints
from prune_cli.training.launcher import LauncherConfig
from prune_cli.training.options import TrainerConfig
from prune_cli.training.processes import _of_slurm
from prune_cli.training.training import Training
from tests.processes import free_port, spawned
from tests.tiers import exhaustive, quick
from tests.whole_runs import Killed, assert_same_end, dies, do, history_of

STILL = ("+model.random.hidden_dropout_prob=0.0", "+model.random.attention_probs_dropout_prob=0.0")
"""What is drawn differs from process to process."""
SHORT = ("trainer.max_steps=12", "trainer.eval_steps=6", "trainer.save_steps=4", "trainer.batch_size=12", "schedule.delta_t=4")
"""The last batch of an epoch has four of the 160 records: of three processes, one has one record more than another."""
HEADS: dict[str, tuple[str, ...]] = {
    "classification": ("task=mrpc", "regularization=self", *STILL),
    "regression": ("task=stsb", "criterion=movement", "trainer.keep=best", *STILL),
    "tokens": ("task=conll2003", "criterion=wanda", "regularization=ema", *STILL),
    "spans": ("task=squad", "criterion=soft_movement", "pattern=uniform", *STILL),
    "text": (
        *("task=e2e_nlg", "model=tiny_gpt2", "criterion=fisher", "task.max_new_tokens=4", "trainer.batch_size=6"),
        *(f"+model.random.{kind}_pdrop=0.0" for kind in ("resid", "attn", "embd")),
    ),
}
DRAWING = ("task=mrpc", "regularization=self", "seed=3")
"""With dropout, and a teacher whose answers are kept."""


def alone() -> None:
    """Forget the other processes after a run that was not ended."""
    if dist.is_initialized():
        dist.destroy_process_group()


def blank(_: object, path: Path) -> None:
    """Drawing takes half of a tiny run."""
    path.with_suffix(".png").touch()


class Ports:
    """Runs, with a port for each: another one would find those of the last."""

    def __init__(self, count: int) -> None:
        self.ports = [free_port() for _ in range(count)]
        self.used = 0

    def run(self, folder: Path, *overrides: str) -> Outcome:
        figures._save = blank
        finish.card = lambda *_: ""
        os.environ["MASTER_PORT"] = str(self.ports[self.used])
        self.used += 1
        return do(folder, *SHORT, *overrides)


def both_ways(ports: Ports, folder: Path, head: str, here: int, count: int) -> None:
    for sharding in ("none", "full"):
        outcome = ports.run(folder / sharding, *HEADS[head], f"trainer.sharding={sharding}")
        assert outcome.status == "done" and outcome.result.sparsity.zeros_in_file == outcome.result.sparsity.zeros_by_mask
    assert ports.run(folder / "none", *HEADS[head]).status == "skipped"


@pytest.mark.parametrize("head", quick(["classification"], HEADS))
def test_two_processes_come_to_what_one_comes_to(head: str, tmp_path: Path) -> None:
    spawned(partial(both_ways, Ports(3), tmp_path, head), 2, begin=False)
    one = do(tmp_path / "one", *SHORT, *HEADS[head])
    for sharding in ("none", "full"):
        two = Outcome(*ended_in(tmp_path / sharding))
        assert two.folder.name == one.folder.name  # the same run, whoever computes it
        assert two.result.sparsity == one.result.sparsity
        assert two.result.metrics == pytest.approx(one.result.metrics, rel=2e-3, abs=2e-3, nan_ok=True)
        for ours, theirs in zip(history_of(two), history_of(one), strict=True):
            assert all(ours[key] == theirs[key] for key in ("step", "epoch", "target_sparsity"))
            if "loss" in theirs:
                assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-3)
        assert two.result.machine["processes"] == 2


def killed(ports: Ports, folder: Path, saves: int, *overrides: str) -> None:
    """Begin a run whose processes are killed when they are about to write a further checkpoint."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Training, "_save", dies(Training._save, saves + 1))
        ports.run(folder, *DRAWING, *overrides)
    alone()


def resumed(ports: Ports, folder: Path, here: int, count: int) -> None:
    never_killed = ports.run(folder / "whole", *DRAWING)
    killed(ports, folder / "copies", 2)
    assert_same_end(ports.run(folder / "copies", *DRAWING), never_killed)

    parts = ("trainer.sharding=full", "trainer.keep=best")
    killed(ports, folder / "parts", 2, *parts)
    ended = ports.run(folder / "parts", *DRAWING, *parts)
    assert ended.result.sparsity == never_killed.result.sparsity
    killed(ports, folder / "others", 1)  # other numbers of processes go on with it


def stopped_and_failed(ports: Ports, folder: Path, here: int, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = Training.stepped

        def stepped(training: Training, step: int) -> None:
            seen(training, step)
            if step == 7 and here == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(Training, "stepped", stepped)
        with pytest.raises(Stopped, match="signal 15"):  # on the other one, too
            ports.run(folder / "stopped", *DRAWING)
        alone()
    assert_same_end(ports.run(folder / "stopped", *DRAWING), Outcome(*ended_in(folder / "whole")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "write", full_disk if here == 0 else Checkpoints.write)
        began = time.monotonic()
        with pytest.raises(OSError if here == 0 else Lost):
            try:
                ports.run(folder / "full", *DRAWING)
            finally:
                if here == 0:
                    alone()  # as if it had ended
        assert time.monotonic() - began < 30


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def ended_in(folder: Path) -> tuple[Path, Literal["done"], Result]:
    (of_run,) = folder.iterdir()
    return of_run, "done", RunFolder(of_run).read_result()


def gone_on_with(ports: Ports, folder: Path, here: int, count: int) -> None:
    outcome = ports.run(folder, *DRAWING, "trainer.sharding=full")
    assert outcome.result.sparsity.zeros_in_file == outcome.result.sparsity.zeros_by_mask > 0
    assert [record["step"] for record in history_of(outcome)][-1] == 12


def test_runs_are_resumed_and_stopped_together(tmp_path: Path) -> None:
    spawned(partial(resumed, Ports(7), tmp_path), 2, begin=False)
    spawned(partial(stopped_and_failed, Ports(3), tmp_path), 2, begin=False)
    shutil.copytree(tmp_path / "others", tmp_path / "alone")
    one = do(tmp_path / "alone", *SHORT, *DRAWING)
    assert one.result.sparsity.zeros_in_file == one.result.sparsity.zeros_by_mask
    spawned(partial(gone_on_with, Ports(1), tmp_path / "others"), 4, begin=False)


# who starts them


def test_who_started_a_process_says_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert started() is None and rank() == 0
    slurm = {"SLURM_JOB_ID": "70012", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "n[3-4]"}
    for name, value in {**slurm, "SLURM_NTASKS": "8"}.items():
        monkeypatch.setenv(name, value)
    assert started() is None  # a batch script: nobody else was started
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    here = started()
    assert here is not None and here == Started(5, 8, 1) and rank() == 5

    class Listed:
        stdout = "n3\nn4\n"

    monkeypatch.setattr("subprocess.run", lambda *command, **options: Listed)
    assert _of_slurm(os.environ, here) == {
        "MASTER_ADDR": "n3", "MASTER_PORT": "20012", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
    }  # fmt: skip
    for name, value in {"MASTER_ADDR": "a", "RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    assert started() == Started(2, 3, 2)


@pytest.mark.parametrize(
    ("trainer", "processes", "told"),
    [
        ({"batch_size": 30}, 4, ["trainer.batch_size=30 cannot be shared by 4 processes: give trainer.batch_size=28 or 32"]),
        ({"batch_size": 2}, 3, ["trainer.batch_size=2 cannot be shared by 3 processes: give trainer.batch_size=3"]),
        ({"sharding": "full"}, 1, ["trainer.sharding=full parts a model among processes, and there is one"]),
        ({"sharding": "full"}, 2, ["trainer.sharding=full parts matrices, and Obert as it is set looks at several rows"]),
        ({"batch_size": 32}, 8, []),
    ],
)
def test_what_cannot_be_shared_is_refused(trainer: dict[str, object], processes: int, told: list[str]) -> None:
    options = TrainerConfig(device="cpu", **trainer)  # type: ignore[arg-type]
    problems = list(process_problems(options, LauncherConfig(processes=processes), Obert()))
    assert [problem[: len(start)] for problem, start in zip(problems, told, strict=True)] == told


def test_more_processes_than_gpus_and_another_number_than_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prune_cli.training.hardware.on_gpu", lambda device: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    (problem,) = process_problems(TrainerConfig(), LauncherConfig(processes=4), None)
    assert problem == "launcher.processes=4 and there are 2 GPUs here: give 2 at most, or trainer.device=cpu"
    monkeypatch.setattr(checks, "started", lambda: Started(0, 2, 0))
    (problem,) = process_problems(TrainerConfig(), LauncherConfig(processes=4), None)
    assert problem == "launcher.processes=4, and 2 were started: leave launcher.processes out"


def test_what_is_parted_unevenly_or_apart_is_refused(tmp_path: Path) -> None:
    parted = ("trainer.sharding=full", "launcher.processes=3", "trainer.batch_size=12")
    with pytest.raises(UserError, match=r"over 3 processes does not go with .* there would be 11 rows a process"):
        do(tmp_path, *parted, "pattern=block")
    with pytest.raises(UserError, match="cannot be parted evenly"):
        do(tmp_path, *parted[:1], "launcher.processes=5", "trainer.batch_size=15", "task=e2e_nlg", "model=tiny_gpt2")


WORK = """
import json, os, signal, sys, time
rank = int(os.environ["RANK"])
def tell(code, **values):
    with open(os.environ["PRUNE_HAND_OVER"], "w") as file:
        json.dump({"code": code, "problems": [], "kind": "failed", "time": time.time(), **values}, file)
    os._exit(code)
"""


@pytest.mark.parametrize(
    ("does", "code", "told"),
    [
        ("tell(2, problems=['no such file']) if rank == 1 else time.sleep(60)", 2, "process 1: no such file"),
        ("tell(2, problems=['a typo'])", 2, "a typo"),
        ("os.kill(os.getpid(), 9) if rank == 1 else (time.sleep(0.3), tell(1, kind='lost'))", 137, "process 1: it was killed"),
        ("os._exit(7) if rank == 0 else time.sleep(60)", 7, "process 0: it ended with exit code 7, and said nothing"),
        ("tell(3, problems=['diverged'])", 3, "diverged"),
    ],
)
def test_the_first_that_fails_says_why_and_the_others_end(does: str, code: int, told: str) -> None:
    began = time.monotonic()
    with pytest.raises(Failed, match=told) as failed:
        workers._supervise([sys.executable, "-c", WORK + does], 2, quiet=False)
    assert failed.value.exit_code == code and time.monotonic() - began < 15


def test_a_run_that_others_are_at_is_held() -> None:
    does = "tell(2, kind='held' if rank == 0 else 'lost', problems=['another process is working on it'])"
    with pytest.raises(Held, match="another process is working on it"):
        workers._supervise([sys.executable, "-c", WORK + does], 2, quiet=True)


def asking(folder: Path, number: int) -> None:
    """Send this process a signal once both that it has started listen."""
    while not ((folder / "ready0").exists() and (folder / "ready1").exists()):
        time.sleep(0.05)
    os.kill(os.getpid(), number)


def test_signals_are_handed_on_and_the_processes_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    script = WORK + (
        f"open({str(tmp_path)!r} + f'/{{rank}}', 'w').write(os.environ['OMP_NUM_THREADS'] + ' ' + os.environ['WORLD_SIZE'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: tell(143, kind='stopped', problems=['goes on from step 8']))\n"
        f"open({str(tmp_path)!r} + f'/ready{{rank}}', 'w').close()\n"
        "time.sleep(60)"
    )

    threading.Thread(target=asking, args=(tmp_path, signal.SIGTERM)).start()
    with pytest.raises(Stopped) as stopped:
        workers._supervise([sys.executable, "-c", script], 2, quiet=True)
    assert stopped.value.exit_code == 143 and stopped.value.__notes__ == ["goes on from step 8"]
    assert {(tmp_path / str(number)).read_text() for number in (0, 1)} == {"3 2"}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_batch_system_takes_its_signal_back_once_all_have_stopped(tmp_path: Path) -> None:
    script = WORK + (
        "signal.signal(signal.SIGTERM, lambda *_: tell(143, kind='stopped', problems=['goes on']))\n"
        f"open({str(tmp_path)!r} + f'/ready{{rank}}', 'w').close()\ntime.sleep(60)"
    )
    requeued: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: requeued.append(number))
    try:
        threading.Thread(target=asking, args=(tmp_path, signal.SIGUSR2)).start()
        with pytest.raises(Stopped):
            workers._supervise([sys.executable, "-c", script], 2, quiet=True)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert requeued == [signal.SIGUSR2]


def command(folder: Path, *overrides: str) -> list[str]:
    made_up = ("task=mrpc", "model=tiny_bert", "data=synthetic", "data.train=160", "data.validation=48", "tracking=none")
    return [
        sys.executable,
        "-m",
        "prune_cli",
        "run",
        *made_up,
        f"output_dir={folder}",
        "launcher.processes=2",
        *SHORT,
        *overrides,
    ]


@exhaustive
def test_one_word_starts_them(tmp_path: Path, project_root: Path) -> None:
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, cwd=project_root, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name in done.stdout and json.loads((folder / "result.json").read_text())["machine"]["processes"] == 2


@exhaustive
def test_one_that_is_killed_ends_the_run(tmp_path: Path, project_root: Path) -> None:
    asked = command(tmp_path, "trainer.max_steps=20000")
    with subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=project_root) as run:
        deadline = time.monotonic() + 120
        while not any(tmp_path.glob("*/checkpoints/checkpoint-*")):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        *_, last = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(last), signal.SIGKILL)
        began = time.monotonic()
        _, told = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGKILL and time.monotonic() - began < 30
    assert "process 1: it was killed (SIGKILL)" in told and "The same command goes on from the last checkpoint." in told
