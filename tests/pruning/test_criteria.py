"""Scores by hand, and what every criterion must keep."""

from __future__ import annotations

import pytest
import torch

from prune_cli.pruning.criteria import (
    Magnitude,
    Pins,
    Random,
    Sensitivity,
    SmoothedCriterion,
    WeightCriterion,
    WeightRows,
)

CRITERIA: list[SmoothedCriterion | WeightCriterion] = [
    Pins(),
    Pins(signed=True),
    Sensitivity(),
    Magnitude(),
    Random(seed=7),
]


def at(weight: list[float], grad: list[float], learning_rate: float = 0.5) -> WeightRows:
    return WeightRows(torch.tensor([weight]), torch.tensor([grad]), None, learning_rate, 0)


def test_pins_by_hand() -> None:
    # eta g^2 - w g: 0.5*4 - 1*2 = 0; 0.5*4 - 3*(-2) = 8; 0.5*1 - 2*1 = -1.5
    where = at([1.0, 3.0, 2.0], [2.0, -2.0, 1.0])
    torch.testing.assert_close(Pins(signed=True).score(where), torch.tensor([[0.0, 8.0, -1.5]]))
    torch.testing.assert_close(Pins().score(where), torch.tensor([[0.0, 8.0, 1.5]]))


def test_pins_prefers_what_the_integer_program_prefers() -> None:
    """Equation 1 is the difference between removing a weight and keeping it, in the first-order change of the loss."""
    where = at([0.3, -0.7], [0.2, 0.4], 0.1)
    assert where.grad is not None
    kept = -where.learning_rate * where.grad**2
    removed = -where.weight * where.grad
    torch.testing.assert_close(Pins(signed=True).score(where), removed - kept)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_scores_are_finite_deterministic_and_of_the_weights_shape(
    criterion: SmoothedCriterion | WeightCriterion,
) -> None:
    generator = torch.Generator().manual_seed(0)
    where = WeightRows(torch.randn(20, 50, generator=generator), torch.randn(20, 50, generator=generator), None, 1e-3, 5)
    weight = where.weight.clone()
    score = criterion.score(where)
    assert score.shape == (20, 50)
    assert score.dtype == torch.float32
    assert torch.isfinite(score).all()
    assert torch.equal(score, criterion.score(where))
    assert torch.equal(where.weight, weight), "scoring must not change the weights"


@pytest.mark.parametrize("criterion", [c for c in CRITERIA if not isinstance(c, Random)], ids=str)
def test_permuting_weights_permutes_scores(criterion: SmoothedCriterion | WeightCriterion) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, grad = torch.randn(100, 3, generator=generator), torch.randn(100, 3, generator=generator)
    order = torch.randperm(100, generator=generator)
    score = criterion.score(WeightRows(weight, grad, None, 0.1, 0))
    assert torch.equal(criterion.score(WeightRows(weight[order], grad[order], None, 0.1, 0)), score[order])


def test_random_is_uniform_and_depends_on_position_and_seed_alone() -> None:
    weight = torch.zeros(1000, 100)
    score = Random(seed=1).score(WeightRows(weight, None, None, 0.0, 0))
    assert torch.equal(score[5:], Random(seed=1).score(WeightRows(weight[5:], None, None, 0.0, 500)))
    assert not torch.equal(score, Random(seed=2).score(WeightRows(weight, None, None, 0.0, 0)))
    score = score.flatten()
    counts = torch.histc(score, bins=10, min=0, max=1)
    assert ((counts - 10_000).abs() < 400).all()  # four standard deviations
    assert abs(torch.corrcoef(torch.stack([score[:-1], score[1:]]))[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta1": 1.0}, "beta1 is 1:"),
        ({"beta2": 0.0}, "beta2 is 0:"),
        ({"beta2": 1.5}, "beta2 is 1.5"),
    ],
)
def test_refuses_impossible_values(options: dict[str, float], message: str) -> None:
    (problem,) = Pins(**options).problems()  # type: ignore[arg-type]
    assert problem.startswith(message)


def test_random_is_the_hash_of_a_position() -> None:
    """As MurmurHash3's finalizer gives it in whole numbers: a run that is resumed elsewhere has the same order."""
    where = WeightRows(torch.zeros(1, 3), None, None, 0.1, 5)
    expected = []
    for position in (5, 6, 7):
        x = (position * 0x9E3779B1 + 3 * 0x85EBCA77) % 2**32
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) % 2**32
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) % 2**32
        expected.append(((x ^ (x >> 16)) >> 8) / 2**24)
    assert Random(seed=3).score(where).tolist() == [expected]
