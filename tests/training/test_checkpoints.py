"""Checkpoints are whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path

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
from tests.pruning.toy import matrices


@pytest.fixture
def pruner() -> Pruner:
    weights = {"a": nn.Parameter(torch.randn(8, 8))}
    return Pruner(
        matrices(weights), criterion=Pins(), schedule=Cubic(), pattern=Unstructured(), sparsity=0.5, total_steps=100
    )


RUN = "0123456789abcdef"


@pytest.fixture
def checkpoints(tmp_path: Path, pruner: Pruner) -> Checkpoints:
    history = History(tmp_path / "history.jsonl")
    history.begin(None)
    history.append({"step": 9, "loss": 0.5})
    return Checkpoints(
        tmp_path / "checkpoints", keep=2, run_id=RUN, precision="bf16", pruner=pruner, teacher=None, history=history
    )


def latest(checkpoints: Checkpoints) -> Checkpoint | None:
    return latest_checkpoint(checkpoints.folder, RUN)


def save(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.staging(step, {"sum": 1.25, "since": step - 1}) as folder:
        (folder / "model.safetensors").write_bytes(b"weights" * 1000)


def test_the_newest_are_kept_and_the_newest_is_found(checkpoints: Checkpoints) -> None:
    assert latest(checkpoints) is None
    for step in (9, 10, 101):
        save(checkpoints, step)
    (checkpoints.folder / "checkpoint-abc").mkdir()
    assert sorted(path.name for path in checkpoints.folder.glob("checkpoint-1*")) == ["checkpoint-10", "checkpoint-101"]
    found = latest(checkpoints)
    assert found is not None
    assert (found.path, found.step) == (checkpoints.folder / "checkpoint-101", 101)
    said = {"run": RUN, "step": 101, "precision": "bf16", "teacher": None, "progress": {"sum": 1.25, "since": 100}}
    assert found.state == said
    assert History.read(found.history) == [{"step": 9, "loss": 0.5}]


def test_one_that_was_renamed_is_passed_over(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    """Else a run would count steps as done that nobody has taken."""
    save(checkpoints, 10)
    save(checkpoints, 20)
    (checkpoints.folder / "checkpoint-20").rename(checkpoints.folder / "checkpoint-99999")
    found = latest(checkpoints)
    assert found is not None and found.step == 10
    assert "checkpoint-99999 is of step 20, whatever its name says" in caplog.text


def test_one_of_another_run_is_refused(checkpoints: Checkpoints) -> None:
    save(checkpoints, 10)
    with pytest.raises(UserError, match=r"checkpoint-10 belongs to another run \(0123.*take it out"):
        latest_checkpoint(checkpoints.folder, "another")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "no manifest", "other manifest", "garbled manifest"])
def test_a_damaged_one_is_passed_over(checkpoints: Checkpoints, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    save(checkpoints, 10)
    save(checkpoints, 20)
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


def test_a_damaged_later_one_does_not_take_the_place_of_a_sound_one(checkpoints: Checkpoints) -> None:
    checkpoints.keep = 1
    save(checkpoints, 60)
    (checkpoints.folder / "checkpoint-60" / "model.safetensors").write_bytes(b"rotten")
    assert latest(checkpoints) is None  # so the run begins again
    for step in (15, 30):
        save(checkpoints, step)
        found = latest(checkpoints)
        assert found is not None
        assert found.step == step
    save(checkpoints, 60)
    assert [path.name for path in checkpoints.folder.glob("checkpoint-*")] == ["checkpoint-60"]


def test_one_that_was_never_completed_does_not_show(checkpoints: Checkpoints) -> None:
    save(checkpoints, 10)
    with pytest.raises(OSError, match="full"), checkpoints.staging(20, {}) as folder:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError("the disk is full")
    found = latest(checkpoints)
    assert found is not None
    assert found.step == 10
    save(checkpoints, 30)
    found = latest(checkpoints)
    assert found is not None
    assert found.step == 30


def test_pruner_state_comes_back(checkpoints: Checkpoints, pruner: Pruner) -> None:
    weight = pruner.matrices[0].parameter
    for step in range(21):
        weight.grad = torch.randn_like(weight)
        pruner.score(step, [0.1])
        pruner.select(step)
    save(checkpoints, 21)
    expected = {name: tensor.clone() for name, tensor in pruner.state_dict().items()}
    weight.grad = torch.randn_like(weight)
    for step in range(21, 41):
        pruner.score(step, [0.1])
        pruner.select(step)
    assert not torch.equal(pruner.state_dict()["ema.a"], expected["ema.a"])
    checkpoint = latest(checkpoints)
    assert checkpoint is not None
    checkpoints.restore(checkpoint)
    for name, tensor in pruner.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
