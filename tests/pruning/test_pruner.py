"""The pruner against its float64 reference, and its own promises."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import pytest
import torch
from torch import nn

from prune_cli.pruning import matrices as matrices_module
from prune_cli.pruning.criteria import (
    Criterion,
    Fisher,
    Magnitude,
    Movement,
    Pins,
    Platon,
    Random,
    Sensitivity,
    SmoothedCriterion,
    WeightCriterion,
)
from prune_cli.pruning.patterns import Pattern, Uniform, Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.pruning.selection import InvalidScores
from prune_cli.pruning.zeroing import keep
from tests.pruning.reference import ReferencePruner
from tests.pruning.toy import matrices
from tests.tiers import quick
from tests.waits import counted, like_a_gpu

SHAPES = {"a": (24, 16), "b": (16, 40), "c": (8, 8)}
SIZE = sum(out * inner for out, inner in SHAPES.values())


def make_weights(seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {name: nn.Parameter(torch.randn(shape, generator=generator) * 0.1) for name, shape in SHAPES.items()}


def make_pruner(
    weights: dict[str, nn.Parameter],
    criterion: Criterion,
    *,
    steps: int = 120,
    sparsity: float = 0.9,
    regrow: bool = True,
    pattern: Pattern | None = None,
) -> Pruner:
    schedule = Cubic(initial=20.0, final=40.0, regrow=regrow)
    return Pruner(
        matrices(weights),
        criterion=criterion,
        schedule=schedule,
        pattern=pattern or Unstructured(),
        sparsity=sparsity,
        total_steps=steps,
    )


def flat(weights: dict[str, nn.Parameter]) -> np.ndarray:
    return np.concatenate([w.detach().double().numpy().ravel() for w in weights.values()])


def train(
    weights: dict[str, nn.Parameter], pruner: Pruner, steps: range, learning_rate: Sequence[float] = (0.05, 0.05, 0.05)
) -> None:
    """Descend towards a fixed target, with noise that depends on the step alone."""
    rates = zip(weights.values(), learning_rate, strict=False)
    optimizer = torch.optim.SGD([{"params": [weight], "lr": rate} for weight, rate in rates])
    target = make_weights(seed=1)
    for step in steps:
        noise = torch.Generator().manual_seed(1000 + step)
        for name, w in weights.items():
            w.grad = (w.detach() - target[name].detach()) + 0.1 * torch.randn(w.shape, generator=noise)
        pruner.score(step, learning_rate)
        optimizer.step()
        pruner.select(step)


@pytest.mark.parametrize(("signed", "beta2"), [(False, 0.95), (True, 0.95), (False, 1.0)])
def test_follows_the_float64_reference_over_300_steps(signed: bool, beta2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices_module, "_SLICE", 100)  # slices that do not end with matrices
    weights, steps, rate = make_weights(), 300, 0.05
    criterion = Pins(signed=signed, beta1=0.85, beta2=beta2)
    pruner = Pruner(
        matrices(weights),
        criterion=criterion,
        schedule=Cubic(initial=20.0, final=100.0),
        pattern=Unstructured(),
        sparsity=0.9,
        total_steps=steps,
    )
    reference = ReferencePruner(
        SIZE, delta_t=10, beta1=0.85, beta2=beta2, signed=signed, initial=20.0, final=100.0, target=0.9, steps=steps
    )
    optimizer = torch.optim.SGD(weights.values(), lr=rate)
    generator = torch.Generator().manual_seed(2)
    agreements = []
    for step in range(steps):
        for w in weights.values():
            w.grad = w.detach() * 0.5 + 0.1 * torch.randn(w.shape, generator=generator)
        gradients = np.concatenate([w.grad.double().numpy().ravel() for w in weights.values() if w.grad is not None])
        reference.score(flat(weights), gradients, rate, step)
        pruner.score(step, [rate] * 3)
        importance = torch.cat([s.values.flatten() for s in pruner.rows()]).double().numpy()
        np.testing.assert_allclose(importance, reference.importance, rtol=2e-4, atol=1e-12)
        optimizer.step()
        pruner.select(step)
        removed = reference.removed(step)
        assert (removed is None) == (not pruner.schedule.selects(step, steps))
        if removed is not None:
            assert pruner.removed == removed.sum()
            agreements.append(((flat(weights) == 0) == removed).mean())
    assert len(agreements) == 18 + 100  # steps 20 to 190 by ten, then the last hundred
    # float32 and float64 may order two nearly equal scores differently
    assert np.mean(agreements) > 0.9995
    assert (flat(weights) == 0).sum() == round(0.9 * SIZE)


CRITERIA = [Pins(), Pins(signed=True), Sensitivity(), Magnitude(), Random(seed=3)]


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
@pytest.mark.parametrize(
    ("sparsity", "regrow"),
    quick([(0.123, True), (1.0, False)], itertools.product([0.0, 0.123, 0.9, 1.0], [True, False])),
)
def test_removes_exactly_what_was_asked_for(criterion: Criterion, sparsity: float, regrow: bool) -> None:
    weights = make_weights()
    pruner = make_pruner(weights, criterion, sparsity=sparsity, regrow=regrow)
    train(weights, pruner, range(120))
    assert sum(pruner.zeros()) == round(sparsity * SIZE) == pruner.removed
    assert pruner.masked


def test_all_scores_equal_still_removes_exactly() -> None:
    weights = {"a": nn.Parameter(torch.ones(10, 10)), "b": nn.Parameter(torch.ones(10, 10))}
    pruner = make_pruner(weights, Magnitude(), sparsity=0.55)
    pruner.select(119)
    assert pruner.zeros() == [10, 100]  # the lowest positions are kept first


def test_weights_may_regrow_between_selections_or_are_held() -> None:
    for regrow, expected in ((True, False), (False, True)):
        weights = make_weights()
        pruner = make_pruner(weights, Pins(), regrow=regrow)
        train(weights, pruner, range(65))  # the last selection was at step 60
        assert pruner.masked is expected
        assert (sum(pruner.zeros()) == pruner.removed) is expected
        train(weights, pruner, range(65, 71))
        assert pruner.masked
        assert sum(pruner.zeros()) == pruner.removed


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
@pytest.mark.parametrize(("regrow", "stop"), quick([(True, 65)], itertools.product([True, False], [5, 61, 65, 100])))
def test_state_restores_the_same_end(criterion: Criterion, regrow: bool, stop: int) -> None:
    weights = make_weights()
    pruner = make_pruner(weights, criterion, regrow=regrow)
    train(weights, pruner, range(stop))
    resumed_weights = {name: nn.Parameter(w.detach().clone()) for name, w in weights.items()}
    resumed = make_pruner(resumed_weights, criterion, regrow=regrow)
    resumed.load_state_dict({name: tensor.clone() for name, tensor in pruner.state_dict().items()})
    assert resumed.masked == pruner.masked
    train(weights, pruner, range(stop, 120))
    train(resumed_weights, resumed, range(stop, 120))
    for name, w in weights.items():
        assert torch.equal(w, resumed_weights[name])


@pytest.mark.parametrize("pattern", [Unstructured(), Uniform()], ids=str)
@pytest.mark.parametrize("criterion", [*CRITERIA, Platon(), Fisher(), Movement()], ids=str)
def test_matrices_that_are_joined_end_as_each_by_itself(criterion: Criterion, pattern: Pattern) -> None:
    ends: list[dict[str, torch.Tensor]] = []
    for join in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if join:
                like_a_gpu(patch)
                patch.setattr(matrices_module, "AT_ONCE", SIZE - 1)  # the last one stands alone
            weights = make_weights()
            pruner = make_pruner(weights, criterion, pattern=pattern)
            assert len(pruner.scorers) == (2 if join else 3)
            train(weights, pruner, range(65))
            again = make_pruner(weights, criterion, pattern=pattern)
            again.load_state_dict({name: tensor.clone() for name, tensor in pruner.state_dict().items()})
            train(weights, again, range(65, 70))
            train(weights, again, range(70, 120), learning_rate=[0.05, 0.02, 0.05])
            ends.append({**again.state_dict(), **{name: weight.detach() for name, weight in weights.items()}})
    assert ends[0].keys() == ends[1].keys()
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


def test_matrices_with_a_gap_between_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    like_a_gpu(monkeypatch)
    first, _, last = matrices(make_weights())
    assert matrices_module.pieces([first, last], join=True) == [first, last]  # positions would be others than on a processor


def test_a_gpu_is_handed_few_launches_and_waited_for_once_a_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    like_a_gpu(monkeypatch)
    weights = {str(number): nn.Parameter(torch.randn(16, 16)) for number in range(36)}
    pruner = make_pruner(weights, Pins(), steps=62)
    for step in range(62):
        for weight in weights.values():
            weight.grad = torch.randn_like(weight)
        with counted() as scoring:
            pruner.score(step, 0.01)
        with counted() as selection:
            pruner.select(step)
        if step > 0:  # in which all is looked at
            assert (len(scoring.waits), scoring.launches) <= (0, 12)
            chosen = step >= 20 and (step % 10 == 0 or step == 22)  # where the last forty begin
            assert (len(selection.waits), selection.launches) <= ((1, 70) if chosen else (0, 2)), step


def test_slices_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for width in (7, 1 << 18):
        monkeypatch.setattr(matrices_module, "_SLICE", width)
        for criterion in (Pins(), Random(seed=1)):
            weights = make_weights()
            train(weights, make_pruner(weights, criterion), range(120))
            ends.append(flat(weights) == 0)
    np.testing.assert_array_equal(ends[0], ends[2])
    np.testing.assert_array_equal(ends[1], ends[3])


def test_memory_is_three_floats_a_weight_and_a_mask_that_is_used_again() -> None:
    weights = make_weights()
    for criterion, expected in ((Pins(), 13), (Pins(beta2=1.0), 9), (Magnitude(), 0)):
        state = make_pruner(weights, criterion).state_dict()
        kept = sum(t.numel() * t.element_size() for name, t in state.items() if t.ndim and name.partition(".")[2] in SHAPES)
        assert kept == expected * SIZE


def test_diverged_training_names_the_matrix() -> None:
    weights = make_weights()
    pruner = make_pruner(weights, Magnitude())
    with torch.no_grad():
        weights["b"][3, 3] = float("nan")
    with pytest.raises(InvalidScores, match=r"importance of b has.*such weights: training has diverged"):
        pruner.select(119)


def test_diverged_gradients_name_the_matrix() -> None:
    weights = make_weights()
    pruner = make_pruner(weights, Pins())
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    weights["b"].grad = torch.full_like(weights["b"], float("inf"))
    with pytest.raises(InvalidScores, match=r"importance of b has.*such gradients: training has diverged"):
        pruner.score(0, [0.1] * 3)


@final
@dataclass(frozen=True, kw_only=True)
class Odd(SmoothedCriterion):
    """A criterion of somebody's own that is wrong."""

    gives: Callable[[torch.Tensor], torch.Tensor]

    def score(self, at):  # as users write it: without annotations that would be checked
        return self.gives(at.weight)


@final
@dataclass(frozen=True, kw_only=True)
class OddAtSelection(WeightCriterion):
    """The same without gradients."""

    gives: Callable[[torch.Tensor], torch.Tensor]

    def score(self, at):
        return self.gives(at.weight)


WRONG_SHAPES = [lambda w: w.sum(), lambda w: w[:-1], lambda w: w[:, None], lambda w: w[:1], lambda w: w.flatten()]


@pytest.mark.parametrize("gives", WRONG_SHAPES)
def test_scores_of_the_wrong_shape_name_the_criterion(gives: Callable[[torch.Tensor], torch.Tensor]) -> None:
    weights = make_weights()
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    with pytest.raises(InvalidScores, match=r"Odd\.score gives .* weights of a: it must give each weight its own score"):
        make_pruner(weights, Odd(gives=gives)).score(0, [0.1] * 3)
    with pytest.raises(InvalidScores, match=r"OddAtSelection\.score gives .* weights of a"):
        make_pruner(weights, OddAtSelection(gives=gives)).select(119)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_name_the_criterion(value: float) -> None:
    weights = make_weights()
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    gives = partial(torch.full_like, fill_value=value)
    with pytest.raises(InvalidScores, match=r"Odd\.score gives infinite or not-a-number values for a.*mend the criterion"):
        make_pruner(weights, Odd(gives=gives)).score(0, [0.1] * 3)
    with pytest.raises(InvalidScores, match=r"OddAtSelection\.score gives infinite .* for a.*mend the criterion"):
        make_pruner(weights, OddAtSelection(gives=gives)).select(119)


@pytest.mark.parametrize("criterion", [Pins(), Movement()])
def test_what_has_no_part_in_the_loss_is_named_and_goes_first(criterion: Criterion) -> None:
    weights = make_weights()
    pruner = make_pruner(weights, criterion)
    for step in range(120):
        for name, weight in weights.items():
            weight.grad = None if name == "a" else torch.randn(weight.shape)
        pruner.score(step, [0.1] * 3)
        pruner.select(step)
    assert pruner.idle == ["a"]
    assert pruner.removed == round(0.9 * SIZE)
    if isinstance(criterion, Pins):
        assert pruner.zeros()[0] == weights["a"].numel()


def test_what_lies_in_a_checkpoint_has_these_names() -> None:
    weights = make_weights()
    held = make_pruner(weights, Magnitude(), regrow=False)
    train(weights, held, range(30))
    released = make_pruner(weights, Pins())
    train(weights, released, range(30))
    buffers = {f"{buffer}.{name}" for buffer in ("window", "ema", "uncertainty") for name in SHAPES}
    assert set(released.state_dict()) - buffers == set(held.state_dict())
    assert {f"mask.{name}" for name in SHAPES} <= set(held.state_dict())
    assert not any(name.startswith("mask.") for name in make_pruner(weights, Magnitude()).state_dict())


def test_the_sparsity_of_a_selection_is_kept_exactly() -> None:
    pruner = make_pruner(make_weights(), Magnitude(), sparsity=0.123)
    pruner.select(119)
    assert float(pruner.state_dict()["selected.sparsity"]) == 0.123


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("inputs_first", [False, True])
def test_what_is_removed_is_a_positive_zero_whatever_it_was(dtype: torch.dtype, inputs_first: bool) -> None:
    values = torch.tensor([[math.nan, math.inf, -1.0], [-0.0, -1.0, math.inf]], dtype=dtype)
    layer = nn.Linear(2, 3, dtype=dtype) if inputs_first else nn.Linear(3, 2, dtype=dtype)
    matrix = matrices_module.Matrix("weight", layer, 0, inputs_first=inputs_first)
    matrix.local().copy_(values)
    keep([matrix.local()], torch.tensor([[False, False, False], [True, True, True]]), matrix)
    assert matrix.local().tolist() == [[0.0, 0.0, 0.0], [0.0, -1.0, math.inf]]
    assert matrix.local().signbit().tolist() == [[False] * 3, [True, True, False]]
