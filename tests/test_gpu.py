"""On a GPU, where there is one: whole runs end and resume exactly, cutoffs are those of the processor, and little waits."""

from __future__ import annotations

import copy
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from prune_cli.pruning.criteria import Criterion, Magnitude, Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.pruning.selection import CutoffFinder, Scores
from prune_cli.pruning.shards import whole
from prune_cli.training import checkpoints
from prune_cli.training.parallel import copied, sharded
from tests.processes import free_port
from tests.pruning.toy import matrices
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


@pytest.mark.parametrize("digits", [1, 8])
def test_the_cutoff_is_that_of_the_processor(digits: int) -> None:
    scores = torch.randn(36, 100_000, generator=torch.Generator().manual_seed(0)).mul_(10.0**digits).round_()

    def found(device: str) -> object:
        parts = [Scores(part.to(device), 100_000 * number) for number, part in enumerate(scores)]
        return CutoffFinder().find(lambda: iter(parts), 3_000_000)

    assert found("cuda") == found("cpu")


@pytest.mark.parametrize("criterion", [Pins(), Magnitude()], ids=str)
def test_a_selection_waits_twice_at_most_and_scoring_never(criterion: Criterion) -> None:
    weights = {str(number): nn.Parameter(torch.randn(384, 384, device="cuda")) for number in range(36)}
    pruner = Pruner(
        matrices(weights),
        criterion=criterion,
        schedule=Cubic(initial=2.0, final=5.0),
        pattern=Unstructured(),
        sparsity=0.9,
        total_steps=30,
    )
    for step in range(30):
        for weight in weights.values():
            weight.grad = torch.randn_like(weight)
        waits: list[int] = []
        for act in (partial(pruner.score, step, 1e-3), partial(pruner.select, step)):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                act()
                torch.cuda.set_sync_debug_mode("default")
            waits.append(sum("synchronizing" in str(warning.message) for warning in seen))
        assert step == 0 or waits[0] == 0  # the first step looks at its gradients
        assert waits[1] <= 2


@pytest.mark.parametrize("way", ["copied", "sharded"])
def test_one_process_with_nccl_takes_the_same_step(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 50}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **sizes, **still))
    alone = copy.deepcopy(model).cuda()
    ids = torch.randint(0, 50, (4, 8), device="cuda")

    def loss(of: nn.Module) -> Tensor:
        return of(input_ids=ids).logits.square().sum()

    dist.init_process_group("nccl", device_id=torch.device("cuda", 0))
    try:
        passes = copied(model.cuda(), lambda: loss(model)) if way == "copied" else sharded(model, "cuda", 1)
        passes(lambda: loss(model)).backward()
        loss(alone).backward()
        for ours, expected in zip(model.parameters(), alone.parameters(), strict=True):
            if expected.grad is not None:
                assert ours.grad is not None
                torch.testing.assert_close(whole(ours.grad), expected.grad)
    finally:
        dist.destroy_process_group()
