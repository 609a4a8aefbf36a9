"""Checkpoints are whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from prune_cli.pruning.criteria import Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.training.checkpoints import Checkpoints


@pytest.fixture
def pruner() -> Pruner:
    weights = {"a": nn.Parameter(torch.randn(8, 8))}
    return Pruner(weights, criterion=Pins(), schedule=Cubic(), pattern=Unstructured(), sparsity=0.5, total_steps=100)


def save(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.staging(step) as folder:
        (folder / "model.safetensors").write_bytes(b"weights" * 1000)


def test_the_newest_are_kept_and_the_newest_is_found(tmp_path: Path, pruner: Pruner) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, pruner=pruner, teacher=None)
    assert checkpoints.latest() is None
    for step in (9, 10, 101):
        save(checkpoints, step)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-101"]
    assert checkpoints.latest() == tmp_path / "checkpoint-101"


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "no manifest"])
def test_a_damaged_one_is_passed_over(
    tmp_path: Path, pruner: Pruner, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, pruner=pruner, teacher=None)
    save(checkpoints, 10)
    save(checkpoints, 20)
    weights = tmp_path / "checkpoint-20" / "model.safetensors"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "flip":
        weights.write_bytes(b"W" + weights.read_bytes()[1:])
    elif damage == "remove":
        weights.unlink()
    else:
        (tmp_path / "checkpoint-20" / "manifest.json").unlink()
    with caplog.at_level(logging.WARNING, "prune_cli"):
        assert checkpoints.latest() == tmp_path / "checkpoint-10"
    assert "checkpoint-20 is damaged" in caplog.text


def test_one_that_was_never_completed_does_not_show(tmp_path: Path, pruner: Pruner) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, pruner=pruner, teacher=None)
    save(checkpoints, 10)
    with pytest.raises(OSError, match="full"), checkpoints.staging(20) as folder:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError("the disk is full")
    assert checkpoints.latest() == tmp_path / "checkpoint-10"
    save(checkpoints, 30)
    assert checkpoints.latest() == tmp_path / "checkpoint-30"


def test_pruner_state_comes_back(tmp_path: Path, pruner: Pruner) -> None:
    weight = pruner.matrices[0].parameter
    for step in range(21):
        weight.grad = torch.randn_like(weight)
        pruner.before_optimizer_step(step, [0.1])
        pruner.after_optimizer_step(step)
    checkpoints = Checkpoints(tmp_path, keep=2, pruner=pruner, teacher=None)
    save(checkpoints, 21)
    expected = {name: tensor.clone() for name, tensor in pruner.state_dict().items()}
    weight.grad = torch.randn_like(weight)
    for step in range(21, 41):
        pruner.before_optimizer_step(step, [0.1])
        pruner.after_optimizer_step(step)
    assert not torch.equal(pruner.state_dict()["ema.a"], expected["ema.a"])
    checkpoint = checkpoints.latest()
    assert checkpoint is not None
    checkpoints.restore(checkpoint)
    for name, tensor in pruner.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
