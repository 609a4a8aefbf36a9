"""What criteria, patterns and schedules keep in every combination, found by listing conf/: a new one is tested by existing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoConfig, AutoModel

from prune_cli.config.build import build
from prune_cli.models.prunable import prunable
from prune_cli.pruning.criteria.base import WeightRows
from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.pruner import Pruner
from tests.tiers import quick

CONF = Path(__file__).parents[2] / "conf"
STEPS, STOP = 16, 7
SPARSITY = 0.5
RATE = 0.05
FEWER = r"key|value|output|c_proj|^encoder\.block|\.[kvo]\.|wo"
"""Matrices that are left out: they are as others are, and a step takes its time for each."""
SIZES: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "t5": {"d_model": 16, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "d_kv": 8, "d_ff": 32},
}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def made(group: str, option: str) -> Any:
    """Build an option as a run does; what it takes from elsewhere is the seed alone."""
    values = OmegaConf.to_container(
        OmegaConf.merge({"seed": 1}, {group: OmegaConf.load(CONF / group / f"{option}.yaml")}), resolve=True
    )
    assert isinstance(values, dict)
    return build(values[group] | ({"delta_t": 2} if group == "schedule" else {}), group)


@cache
def tiny(kind: str, pattern: str, number: int) -> tuple[list[Matrix], ModelLayout, list[torch.Tensor]]:
    """The matrices of a model that a pattern covers, and what they are at first; of another model with another number."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=20, bos_token_id=0, eos_token_id=1, **SIZES[kind])
    matrices, layout = prunable(AutoModel.from_config(config).train(), made("pattern", pattern), exclude=FEWER)
    return matrices, layout, [matrix.local().clone() for matrix in matrices]


def started(kind: str, criterion: str, pattern: str, schedule: str, number: int = 0) -> Pruner:
    matrices, layout, first = tiny(kind, pattern, number)
    for matrix, weight in zip(matrices, first, strict=True):
        matrix.local().copy_(weight)
    return Pruner(
        matrices,
        criterion=made("criterion", criterion),
        schedule=made("schedule", schedule),
        pattern=made("pattern", pattern),
        sparsity=SPARSITY,
        total_steps=STEPS,
        layout=layout,
    )


def descend(pruner: Pruner, steps: Sequence[int]) -> None:
    """Steps towards zero with noise that depends on the step alone; layers see inputs that do, too."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for matrix in pruner.matrices:
            matrix.module(torch.randn(3, matrix.shape[1], generator=generator))
            weight = matrix.parameter
            weight.grad = 0.1 * weight.detach() + 0.01 * torch.randn(weight.shape, generator=generator)
        pruner.score(step, [RATE] * len(pruner.matrices))
        with torch.no_grad():
            for matrix in pruner.matrices:
                matrix.local().sub_(matrix.gradient(), alpha=RATE)
        pruner.select(step)


def weights(pruner: Pruner) -> list[torch.Tensor]:
    return [matrix.parameter.detach() for matrix in pruner.matrices]


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Shapes and types are checked by the other tests, and that takes two thirds of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def schedules_that_fit() -> list[str]:
    found = [name for name in options("schedule") if not list(made("schedule", name).incompatibilities(STEPS))]
    assert found == options("schedule")
    return found


PAIRS = [(criterion, pattern) for criterion in options("criterion") for pattern in options("pattern")]
STAR = [pair for pair in PAIRS if pair[0] == "pins" or pair[1] == "unstructured"]
"""Every criterion and every pattern, each with what is usual for the other."""


@pytest.mark.parametrize(("criterion", "pattern"), quick(STAR, PAIRS))
@pytest.mark.usefixtures("unchecked")
def test_ends_at_the_exact_count_and_resumes_bit_for_bit(criterion: str, pattern: str) -> None:
    for number, schedule in enumerate(schedules_that_fit()):
        for place, kind in enumerate(SIZES):
            whole = started(kind, criterion, pattern, schedule)
            assert not list(whole.pattern.incompatibilities(whole.layout, SPARSITY))
            descend(whole, range(STOP))
            resumed = None
            if number % len(SIZES) == place:  # a schedule for each kind of model, which takes half of the time
                resumed = started(kind, criterion, pattern, schedule, number=1)
                for mine, theirs in zip(weights(resumed), weights(whole), strict=True):
                    mine.copy_(theirs)
                resumed.load_state_dict({name: kept.clone() for name, kept in whole.state_dict().items()})
                assert resumed.masked == whole.masked
                assert resumed.removed == whole.removed
                descend(resumed, range(STOP, STEPS))
            descend(whole, range(STOP, STEPS))
            assert whole.masked
            assert whole.removed == whole.pattern.count(whole.layout, SPARSITY)
            assert sum(whole.zeros()) == whole.removed
            if resumed is not None:
                assert all(map(torch.equal, weights(whole), weights(resumed))), (schedule, kind)


@pytest.mark.parametrize("criterion", options("criterion"))
def test_importance_is_finite_and_of_the_shape_of_the_weights(criterion: str) -> None:
    for kind in SIZES:
        pruner = started(kind, criterion, "unstructured", "cubic")
        descend(pruner, range(STOP))
        found = list(pruner.rows())
        assert sum(rows.values.numel() for rows in found) == pruner.prunable
        for rows in found:
            assert rows.values.shape[1] == pruner.matrices[rows.matrix].shape[1]
            assert rows.values.dtype == torch.float32
            assert rows.values.isfinite().all()
        for rows, again in zip(found, pruner.rows(), strict=True):
            assert torch.equal(rows.values, again.values)


@pytest.mark.parametrize("criterion", [name for name in options("criterion") if name != "random"])
def test_permuting_rows_permutes_importance(criterion: str) -> None:
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(16, generator=generator)
    weight = torch.randn(16, 8, generator=generator)
    grads = torch.randn(20, 16, 8, generator=generator)
    inputs = torch.rand(20, 8, generator=generator)
    chosen = made("criterion", criterion)

    def importance(rows: torch.Tensor) -> torch.Tensor:
        module = torch.nn.Linear(8, 16, bias=False)
        with torch.no_grad():
            module.weight.copy_(weight[rows])
        scorer = chosen.scorer(Matrix("weight", module, 0), 5)
        every = slice(0, 16)
        for step, (grad, squares) in enumerate(zip(grads, inputs, strict=True)):
            at = WeightRows(weight[rows], grad[rows], squares, RATE, 0)
            if chosen.needs:
                scorer.observe(at, every, step)
        return scorer.importance(WeightRows(weight[rows], None, None, 0.0, 0), every)

    assert torch.equal(importance(order), importance(torch.arange(16))[order])


FLOAT, DOUBLE, WHOLE = torch.float32, torch.float64, torch.int64
SMOOTHED = {"window": FLOAT, "ema": FLOAT, "uncertainty": FLOAT}
KEPT = {
    "fisher": {"curvature": FLOAT},
    "movement": {"scores": FLOAT},
    "obert": {"gradients": FLOAT, "scores": FLOAT, "damp": DOUBLE, "seen": WHOLE},
    "pins": SMOOTHED,
    "platon": {"ema": FLOAT, "uncertainty": FLOAT},
    "sensitivity": SMOOTHED,
    "soft_movement": {"scores": FLOAT, "first": FLOAT, "second": FLOAT},
    "wanda": {"squares": FLOAT},
}
"""Names and types of what lies in checkpoints, which a later version has to read."""


@pytest.mark.parametrize("criterion", options("criterion"))
def test_what_is_kept_is_in_full_precision_whatever_the_weights_are(criterion: str) -> None:
    module = torch.nn.Linear(8, 16, bias=False, dtype=torch.bfloat16)
    kept = made("criterion", criterion).scorer(Matrix("weight", module, 0), 5).buffers()
    types = {name: buffer.dtype for name, buffer in kept.items()}
    assert types == KEPT.get(criterion, types)
    assert torch.bfloat16 not in types.values()
