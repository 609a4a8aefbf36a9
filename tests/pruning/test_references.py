"""Criteria against references in float64, written from their equations alone, over hundreds of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from prune_cli.pruning.criteria import Criterion, Fisher, Magnitude, Movement, Obert, Platon, SoftMovement, Wanda
from prune_cli.pruning.criteria.base import Scorer, WeightRows
from prune_cli.pruning.layout import ModelLayout
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
    pruner = Pruner([matrix], criterion=criterion, schedule=schedule, pattern=Unstructured(), sparsity=TARGET, total_steps=STEPS)
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
        pruner.score(number, [RATE])
        assert weight.grad is not None
        with torch.no_grad():
            weight -= RATE * weight.grad
            if "removed" in criterion.needs:
                assert not weight[removed].any(), "the optimizer moves no removed weight"
        dense = torch.where(removed, dense, weight.detach())
        importance = torch.cat([rows.values for rows in pruner.rows()]).double().numpy()
        yield told, dense.double().numpy(), importance
        pruner.select(number)
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


@pytest.mark.parametrize("penalty", [0.0, 400.0])
def test_soft_movement(penalty: float) -> None:
    scores, first, second = np.zeros((OUT, IN)), np.zeros((OUT, IN)), np.zeros((OUT, IN))

    def reference(step: Step, after: np.ndarray) -> np.ndarray:
        nonlocal scores, first, second
        soft = 1 / (1 + np.exp(-scores))
        ramp = 1 - (1 - min(max((step.number - 50) / 150, 0), 1)) ** 3  # from step 50 to 200 of 300
        grad = step.weight * step.grad + penalty * ramp / (OUT * IN) * soft * (1 - soft)
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad**2
        t = step.number + 1
        scores = scores - 0.01 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        return scores

    agrees(SoftMovement(penalty=penalty), reference, rtol=1e-3)


def test_a_weight_that_is_gone_makes_up_for_no_other() -> None:
    """0.4995 in float32 in the authors' code (OBSPruningModifier of neuralmagic/sparseml); 1e-4 if the first weight could."""
    (matrix,) = matrices({"weight": nn.Parameter(torch.tensor([[0.0, 1.0]]))})
    scorer = Obert(block=2, gradients=1, damp=1e-4).scorer(matrix, 1)
    at = WeightRows(matrix.local(), torch.ones(1, 2), None, 0.1, 0)
    scorer.observe(at, slice(0, 1), 0)
    assert scorer.importance(at, slice(0, 1)).tolist() == [[0, pytest.approx((1 + 1e-4) / 2)]]


def test_the_penalty_of_soft_movement_is_that_of_its_code() -> None:
    """The mean over matrices of each one's mean, whose lambda rises with the threshold.

    After `regularization` and `schedule_threshold` of masked_run_squad.py in examples/research_projects/movement-pruning of
    huggingface/transformers at v4.49.0, with 1,000 steps and a warm-up of 100.
    """
    lambdas = {0: 0, 100: 0, 200: 148, 400: 325, 600: 391, 800: 400}
    generator = torch.Generator().manual_seed(0)
    weights = {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in (("a", (2, 3)), ("b", (4, 5)))}
    pruner = Pruner(
        matrices(weights),
        criterion=SoftMovement(),
        schedule=Cubic(initial=100.0, final=200.0),
        pattern=Unstructured(),
        sparsity=0.5,
        total_steps=1000,
    )
    for step, published in lambdas.items():
        for weight in weights.values():
            weight.grad = torch.zeros_like(weight)
        buffers = [scorer.buffers() for scorer in pruner.scorers]
        scores = [buffer["scores"].normal_(generator=generator).clone().requires_grad_() for buffer in buffers]
        for buffer in buffers:
            buffer["first"].zero_()
        pruner.score(step, [0.1, 0.1])
        penalty = torch.stack([score.sigmoid().norm(p=1) / score.numel() for score in scores]).mean()
        gradients = torch.autograd.grad(penalty, scores)
        for buffer, gradient in zip(buffers, gradients, strict=True):  # of which Adam's first moment has a tenth
            torch.testing.assert_close(10 * buffer["first"], published * gradient, rtol=4e-3, atol=0)


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
    pruner.score(0, [RATE])
    importance = torch.cat([rows.values for rows in pruner.rows()])
    expected = layer.weight.detach().abs() * read.reshape(-1, IN).norm(dim=0)
    ratio = importance / expected
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio))


def surgeon(weight: torch.Tensor, grads: torch.Tensor, **options: Any) -> tuple[Scorer, nn.Parameter]:
    """A scorer that has seen these gradients, one a step."""
    held = nn.Parameter(weight.clone())
    (matrix,) = matrices({"weight": held})
    scorer = Obert(gradients=len(grads), **options).scorer(matrix, max(1, len(grads) - 1))
    rows = slice(0, len(weight))
    for step, grad in enumerate(grads):
        scorer.observe(WeightRows(weight, grad, None, RATE, 0), rows, step)
    return scorer, held


@pytest.mark.parametrize("block", [6, 4, 1])
def test_obert_is_that_of_a_dense_inverse(block: int) -> None:
    """Every block of every row, the last one of a row smaller: inverted whole, in float64."""
    generator = torch.Generator().manual_seed(0)
    weight, grads = torch.randn(3, 6, generator=generator), torch.randn(9, 3, 6, generator=generator)
    damp = 0.3
    scorer, held = surgeon(weight, grads, block=block, damp=damp)
    rows = slice(0, 3)
    importance = scorer.importance(WeightRows(weight, None, None, 0.0, 0), rows)
    removed = torch.rand(3, 6, generator=generator) < 0.5
    with torch.no_grad():
        scorer.compensate(held, removed, rows)
    for row in range(3):
        for start in range(0, 6, block):
            part = (row, slice(start, min(start + block, 6)))
            w, g = weight[part].double().numpy(), grads[:, part[0], part[1]].double().numpy()
            fisher = damp * np.eye(len(w)) + g.T @ g / len(g)
            inverse = np.linalg.inv(fisher)
            np.testing.assert_allclose(importance[part], w**2 / (2 * np.diag(inverse)), rtol=1e-5)
            gone = removed[part].numpy()
            if gone.any():  # the update of a group, equation 5: -F^-1 E_Q ([F^-1]_QQ)^-1 w_Q
                step = -inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], w[gone])
                after = np.where(gone, w, w + step)
                np.testing.assert_allclose(held.detach()[part], after, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_oberts_own_damping_is_better_than_magnitude(seed: int) -> None:
    """Gradients of few directions: what is removed can be made up for, and the loss on other gradients tells."""
    generator = torch.Generator().manual_seed(seed)
    grads = torch.randn(300, 16, 6, generator=generator) @ torch.randn(6, 8, generator=generator)
    weight = torch.randn(16, 8, generator=generator)
    rows = slice(0, 16)

    def loss(damp: str | float) -> float:
        scorer, held = surgeon(weight, grads[:16], block=8, damp=damp)
        importance = scorer.importance(WeightRows(weight, None, None, 0.0, 0), rows)
        removed = importance <= importance.median()
        with torch.no_grad():
            scorer.compensate(held, removed, rows)
        change = held.detach().masked_fill(removed, 0) - weight
        return float((grads[16:] * change).sum((1, 2)).square().mean())

    assert loss("auto") < 0.9 * loss(1e6)  # at which scores are squares, and nothing moves


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_oberts_own_damping_is_the_best_of_the_grid(directions: int) -> None:
    """By dense inverses in numpy: half of the gradients for the curvature, the others for the loss."""
    generator = torch.Generator().manual_seed(directions)
    basis = torch.randn(directions, 8, generator=generator)
    grads = torch.randn(12, 4, directions, generator=generator) @ basis
    weight = torch.randn(4, 8, generator=generator)
    scorer, _ = surgeon(weight, grads, block=8, damp="auto")
    fitted, told = grads[0::2].double().numpy(), grads[1::2].double().numpy()
    mean = round(math.log10(float(grads.double().square().mean())))
    losses: dict[float, float] = {}
    for damp in (10.0 ** (mean + power) for power in (-3, -2, -1, 0, 1, 2)):
        inverses = [np.linalg.inv(damp * np.eye(8) + g.T @ g / len(g)) for g in fitted.transpose(1, 0, 2)]
        w = weight.double().numpy()
        scores = np.array([row**2 / (2 * np.diag(inverse)) for row, inverse in zip(w, inverses, strict=True)])
        removed = scores <= np.sort(scores.ravel())[(scores.size - 1) // 2]
        change = np.zeros(len(told))
        for row, gone, inverse, others in zip(w, removed, inverses, told.transpose(1, 0, 2), strict=True):
            step = -inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], row[gone])
            change += others @ np.where(gone, -row, step)
        losses[damp] = float(np.mean(change**2))
    best = min(losses, key=losses.__getitem__)
    assert float(scorer.buffers()["damp"]) == pytest.approx(best)


def test_oberts_own_damping_is_the_mean_curvature_while_one_gradient_is_known() -> None:
    grad = torch.full((2, 4), 3.0)  # a square of 9, and 10 is the nearest power of ten
    scorer, _ = surgeon(torch.ones(2, 4), grad[None], block=4, damp="auto")
    assert float(scorer.buffers()["damp"]) == 10.0
    scorer, _ = surgeon(torch.ones(2, 4), 1e-3 * grad[None], block=4, damp="auto")
    assert float(scorer.buffers()["damp"]) == pytest.approx(1e-5)


def test_obert_moves_nothing_where_it_is_told_not_to() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, grads = torch.randn(4, 8, generator=generator), torch.randn(6, 4, 8, generator=generator)
    for update in (True, False):
        scorer, held = surgeon(weight, grads, block=8, update=update)
        with torch.no_grad():
            scorer.compensate(held, weight < 0, slice(0, 4))
        assert torch.equal(held, weight) is not update


def test_oberts_own_damping_stays_once_all_gradients_are_known() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, grads = torch.randn(4, 8, generator=generator), torch.randn(6, 4, 8, generator=generator)
    scorer, _ = surgeon(weight, grads, block=8, damp="auto")
    before = float(scorer.buffers()["damp"])
    scorer.observe(WeightRows(weight, 1e3 * grads[0], None, RATE, 0), slice(0, 4), 10 * (len(grads) - 1))
    assert float(scorer.buffers()["damp"]) == before


def test_obert_says_what_would_fit_into_memory() -> None:
    (problem,) = Obert(memory=0.5).incompatibilities(ModelLayout({"a": (4096, 4096)}))
    assert problem == (
        "criterion.gradients=16 of 16,777,216 weights take 1.1 GiB, and criterion.memory=0.5 allows less: give"
        " criterion.gradients=7 at most, or criterion.memory=1.1"
    )
    assert not list(Obert(memory=0.5, gradients=7).incompatibilities(ModelLayout({"a": (4096, 4096)})))
    # 512 x 512 gradients take a MiB: three of them are two and the scores; of two, one gradient would be too few
    (problem,) = Obert(memory=3 / 1024).incompatibilities(ModelLayout({"a": (512, 512)}))
    assert problem.endswith("give criterion.gradients=2 at most, or criterion.memory=0.1")
    (problem,) = Obert(memory=2 / 1024).incompatibilities(ModelLayout({"a": (512, 512)}))
    assert problem.endswith("give criterion.memory=0.1")
