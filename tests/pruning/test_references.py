"""Criteria against references in float64, written from their equations alone, over hundreds of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from prune_cli.pruning.criteria import Criterion, Fisher, Magnitude, Movement, Platon, SoftMovement, Wanda
from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from tests.pruning.toy import matrices

STEPS, RATE, OUT, IN = 300, 0.05, 24, 16
TARGET = 0.75


class Step(NamedTuple):
    """What the reference is told of a step."""

    number: int
    weight: np.ndarray
    """What the weights would be had none been removed since, before the optimizer's step."""
    grad: np.ndarray
    inputs: np.ndarray


def steps(criterion: Criterion) -> Iterator[tuple[Step, np.ndarray, np.ndarray]]:
    """Train a matrix and prune it.

    Yields:
        Each step, the weights after the optimizer, and the importance, all of it in float64.
    """
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(0.1 * torch.randn(OUT, IN, generator=generator))
    (matrix,) = matrices({"weight": weight})
    schedule = Cubic(initial=50.0, final=100.0)
    pruner = Pruner(
        [matrix], criterion=criterion, schedule=schedule, pattern=Unstructured(), sparsity=TARGET, total_steps=STEPS
    )
    goal = torch.randn(OUT, IN, generator=generator)
    dense = weight.detach().clone()  # with the values of those that are removed
    for number in range(STEPS):
        read = torch.randn(5, IN, generator=generator)
        if pruner._inputs is not None:
            pruner._inputs[0]._read(matrix.module.train(), (read,))
        grad = weight.detach() - goal + torch.randn(OUT, IN, generator=generator)
        weight.grad = grad.clone()
        removed = weight.detach() == 0 if "removed" in criterion.needs else torch.zeros_like(grad, dtype=torch.bool)
        dense = torch.where(removed, dense, weight.detach())
        told = Step(number, *(each.double().numpy() for each in (dense, grad, read)))
        pruner.before_optimizer_step(number, [RATE])
        assert weight.grad is not None
        with torch.no_grad():
            weight -= RATE * weight.grad
            if "removed" in criterion.needs:
                assert not weight[removed].any(), "the optimizer moves no removed weight"
        dense = torch.where(removed, dense, weight.detach())
        importance = torch.cat([rows.values for rows in pruner.rows()]).double().numpy()
        yield told, dense.double().numpy(), importance
        pruner.after_optimizer_step(number)
    assert sum(pruner.zeros()) == round(TARGET * OUT * IN)


def agrees(criterion: Criterion, reference: Callable[[Step, np.ndarray], np.ndarray], rtol: float = 2e-4) -> None:
    for step, after, importance in steps(criterion):
        expected = reference(step, after)
        np.testing.assert_allclose(importance, expected, rtol=rtol, atol=1e-6 * np.abs(expected).max())


def test_platon() -> None:
    ema, unc = np.zeros((OUT, IN)), np.zeros((OUT, IN))

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal ema, unc
        score = np.abs(step.weight * step.grad)
        ema = 0.85 * ema + 0.15 * score
        unc = 0.95 * unc + 0.05 * np.abs(score - ema)
        return ema * unc

    agrees(Platon(), reference)


def test_magnitude() -> None:
    agrees(Magnitude(), lambda step, after: np.abs(after))


def test_fisher() -> None:
    curvature = np.zeros((OUT, IN))

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal curvature
        curvature = 0.99 * curvature + 0.01 * step.grad**2
        return curvature * after**2 / 2

    agrees(Fisher(), reference)


def test_movement() -> None:
    scores = np.zeros((OUT, IN))

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal scores
        scores = scores - step.weight * step.grad
        return scores

    agrees(Movement(), reference)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_soft_movement(penalty: float) -> None:
    scores, first, second = np.zeros((OUT, IN)), np.zeros((OUT, IN)), np.zeros((OUT, IN))

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal scores, first, second
        soft = 1 / (1 + np.exp(-scores))
        grad = step.weight * step.grad + penalty * soft * (1 - soft)
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad**2
        t = step.number + 1
        scores = scores - 0.01 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        return scores

    agrees(SoftMovement(penalty=penalty), reference, rtol=1e-3)


def test_wanda() -> None:
    squares = np.zeros(IN)

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal squares
        squares = 0.9 * squares + 0.1 * (step.inputs**2).mean(0)
        return np.abs(after) * np.sqrt(squares)

    agrees(Wanda(), reference)


def test_wanda_of_one_batch_is_its_definition() -> None:
    """|w| times the norm of each input over all tokens, but for a factor that all weights share."""
    generator = torch.Generator().manual_seed(1)
    layer, read = nn.Linear(IN, OUT).train(), torch.randn(3, 7, IN, generator=generator)
    pruner = Pruner(
        [Matrix("weight", layer, 0)],
        criterion=Wanda(), schedule=Cubic(), pattern=Unstructured(), sparsity=0.5, total_steps=100,
    )  # fmt: skip
    layer(read)
    pruner.before_optimizer_step(0, [RATE])
    importance = torch.cat([rows.values for rows in pruner.rows()])
    expected = layer.weight.detach().abs() * read.reshape(-1, IN).norm(dim=0)
    ratio = importance / expected
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio))
