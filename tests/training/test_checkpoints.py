"""Checkpoints are whole or not there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import nn

from prune_cli.artifacts.history import History
from prune_cli.errors import UserError
from prune_cli.pruning.criteria import Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.training.checkpoints import Checkpoint, Checkpoints, latest_checkpoint
from prune_cli.training.learning import Learning, Progress
from prune_cli.training.processes import ALONE
from tests.pruning.toy import matrices


@pytest.fixture
def learning() -> Learning:
    model = nn.Linear(8, 8, bias=False)
    pruner = Pruner(
        matrices(dict(model.named_parameters())),
        criterion=Pins(), schedule=Cubic(), pattern=Unstructured(), sparsity=0.5, total_steps=100,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters())
    return cast(
        "Learning",
        SimpleNamespace(model=model, pruner=pruner, teacher=None, optimizer=optimizer, precision="bf16", processes=ALONE),
    )


RUN = "0123456789abcdef"


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    history = History(tmp_path / "history.jsonl")
    history.begin(None)
    history.append({"step": 9, "loss": 0.5})
    return Checkpoints(tmp_path / "checkpoints", keep=2, run_id=RUN, history=history)


@pytest.fixture
def save(checkpoints: Checkpoints, learning: Learning) -> Callable[[int], None]:
    def write(step: int) -> None:
        progress = Progress(step=step, loss=torch.tensor(1.25), logged=step - 1, epoch=0.5)
        checkpoints.write(learning, progress)

    return write


def latest(checkpoints: Checkpoints) -> Checkpoint | None:
    return latest_checkpoint(checkpoints.folder, RUN)


def test_the_newest_are_kept_and_the_newest_is_found(checkpoints: Checkpoints, save: Callable[[int], None]) -> None:
    assert latest(checkpoints) is None
    for step in (9, 10, 101):
        save(step)
    (checkpoints.folder / "checkpoint-abc").mkdir()
    assert sorted(path.name for path in checkpoints.folder.glob("checkpoint-1*")) == ["checkpoint-10", "checkpoint-101"]
    found = latest(checkpoints)
    assert found is not None
    assert (found.path, found.step) == (checkpoints.folder / "checkpoint-101", 101)
    said = {"run": RUN, "step": 101, "precision": "bf16", "teacher": None}
    said["progress"] = {"epoch": 0.5, "losses": [1.25], "logged": 100}
    assert found.state == said
    assert History.read(found.history) == [{"step": 9, "loss": 0.5}]


def test_one_that_was_renamed_is_passed_over(
    checkpoints: Checkpoints, save: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Else a run would count steps as done that nobody has taken."""
    save(10)
    save(20)
    (checkpoints.folder / "checkpoint-20").rename(checkpoints.folder / "checkpoint-99999")
    found = latest(checkpoints)
    assert found is not None and found.step == 10
    assert "checkpoint-99999 is of step 20, whatever its name says" in caplog.text


def test_one_of_another_run_is_refused(checkpoints: Checkpoints, save: Callable[[int], None]) -> None:
    save(10)
    with pytest.raises(UserError, match=r"checkpoint-10 belongs to another run \(0123.*take it out"):
        latest_checkpoint(checkpoints.folder, "another")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "no manifest", "other manifest", "garbled manifest"])
def test_a_damaged_one_is_passed_over(
    checkpoints: Checkpoints, save: Callable[[int], None], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(10)
    save(20)
    weights = checkpoints.folder / "checkpoint-20" / "model.safetensors"
    manifest = weights.with_name("manifest.json")
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "flip":
        weights.write_bytes(b"W" + weights.read_bytes()[1:])
    elif damage == "remove":
        weights.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "other manifest":
        manifest.write_text('["model.safetensors"]')
    else:
        manifest.write_bytes(b"\xff" + manifest.read_bytes())
    with caplog.at_level(logging.WARNING, "prune_cli"):
        found = latest(checkpoints)
    assert found is not None
    assert found.step == 10
    assert "checkpoint-20 is damaged" in caplog.text


def test_a_damaged_later_one_does_not_take_the_place_of_a_sound_one(
    checkpoints: Checkpoints, save: Callable[[int], None]
) -> None:
    checkpoints.keep = 1
    save(60)
    (checkpoints.folder / "checkpoint-60" / "model.safetensors").write_bytes(b"rotten")
    assert latest(checkpoints) is None  # so the run begins again
    for step in (15, 30):
        save(step)
        found = latest(checkpoints)
        assert found is not None
        assert found.step == step
    save(60)
    assert [path.name for path in checkpoints.folder.glob("checkpoint-*")] == ["checkpoint-60"]


def test_one_that_was_never_completed_does_not_show(
    checkpoints: Checkpoints, save: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("the disk is full")

    save(10)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr(torch, "save", full)
        save(20)
    found = latest(checkpoints)
    assert found is not None
    assert found.step == 10
    save(30)
    found = latest(checkpoints)
    assert found is not None
    assert found.step == 30


def test_all_that_learns_comes_back(checkpoints: Checkpoints, save: Callable[[int], None], learning: Learning) -> None:
    pruner, optimizer, weight = learning.pruner, learning.optimizer, learning.pruner.matrices[0].parameter

    def train(first: int, last: int) -> None:
        for step in range(first, last):
            weight.grad = torch.randn_like(weight)
            pruner.score(step, [0.1])
            optimizer.step()
            pruner.select(step)

    def state() -> dict[str, torch.Tensor]:
        moments = optimizer.state_dict()["state"][0]
        tensors = {**pruner.state_dict(), **moments, "weights": weight, "random": torch.random.get_rng_state()}
        return {name: tensor.clone() for name, tensor in tensors.items()}

    train(0, 21)
    save(21)
    expected = state()
    train(21, 41)
    assert all(not torch.equal(state()[name], expected[name]) for name in ("ema.weight", "exp_avg", "weights", "random"))
    checkpoint, progress = latest(checkpoints), Progress(loss=torch.zeros(()))
    assert checkpoint is not None
    checkpoints.restore(checkpoint, learning, progress)
    for name, tensor in state().items():
        assert torch.equal(tensor, expected[name]), name
    assert progress == Progress(loss=torch.tensor(1.25), step=21, epoch=0.5, logged=20)
