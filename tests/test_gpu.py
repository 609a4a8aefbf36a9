"""Whole runs on a GPU, where there is one: everything is on its device, and a killed run goes on as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prune_cli.training import checkpoints
from tests.whole_runs import Killed, assert_same_end, dies, do

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
SHORT = ("trainer.device=auto", "trainer.max_steps=30", "trainer.eval_steps=10", "trainer.save_steps=10")


@pytest.mark.parametrize(
    "options",
    [
        "criterion=pins",
        "criterion=platon",
        "criterion=movement schedule=stepped schedule.delta_t=2",
        "criterion=soft_movement regularization=ema",
        "criterion=fisher schedule=oneshot schedule.delta_t=2",
        "criterion=obert schedule=stepped schedule.delta_t=2",
        "criterion=wanda pattern=uniform",
        "criterion=random pattern=floor",
        "criterion=magnitude pattern=nm sparsity=0.5",
        "pattern=block trainer.precision=bf16",
        "pattern=heads sparsity=0.5",
        "pattern=layers sparsity=0.5 regularization.hidden=1 regularization.attention=1",
    ],
)
def test_exact_and_resumed_bit_for_bit(options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [*SHORT, *options.split()]
    whole = do(tmp_path / "whole", *asked)
    assert whole.result.sparsity.zeros_in_file == whole.result.sparsity.zeros_by_mask
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints.Checkpoints, "write", dies(checkpoints.Checkpoints.write, 2))
        do(tmp_path / "killed", *asked)
    assert_same_end(whole, do(tmp_path / "killed", *asked))
