from __future__ import annotations

import numpy as np
import pytest

from prune_cli.tasks.metrics import (
    CLASS_METRICS,
    SCORE_METRICS,
    accuracy,
    f1,
    matthews,
    pearson,
    pearson_spearman,
    spearman,
)

# tp 3, fp 1, fn 2, tn 4
PREDICTIONS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
LABELS = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])


def test_classes_by_hand():
    assert accuracy(PREDICTIONS, LABELS) == pytest.approx(7 / 10)
    assert f1(PREDICTIONS, LABELS) == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert matthews(PREDICTIONS, LABELS) == pytest.approx((3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6))


def test_f1_is_that_of_class_one():
    assert f1(1 - PREDICTIONS, 1 - LABELS) == pytest.approx(2 * 4 / (2 * 4 + 2 + 1))


def test_scores_by_hand():
    predictions, labels = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 2.0, 8.0])
    # deviations (-1.5, -0.5, 0.5, 1.5) and (-2, -2, -1, 5): 11 / sqrt(5 * 34)
    assert pearson(predictions, labels) == pytest.approx(11 / np.sqrt(170))
    # ranks (1, 2, 3, 4) and (1.5, 1.5, 3, 4): deviations times each other sum to 4.5; 4.5 / sqrt(5 * 4.5)
    assert spearman(predictions, labels) == pytest.approx(4.5 / np.sqrt(22.5))
    assert pearson_spearman(predictions, labels) == pytest.approx((11 / np.sqrt(170) + 4.5 / np.sqrt(22.5)) / 2)


@pytest.mark.parametrize("name", ["matthews", "pearson", "spearman", "pearson_spearman"])
@pytest.mark.parametrize(
    ("predictions", "labels"),
    [([1, 1, 1], [0, 1, 1]), ([0, 1, 1], [1, 1, 1]), ([1, 1, 1], [1, 1, 1]), ([0, 0], [0, 0]), ([1], [0])],
)
def test_a_correlation_with_a_constant_is_zero(name: str, predictions: list[int], labels: list[int]):
    assert {**CLASS_METRICS, **SCORE_METRICS}[name](predictions, labels) == 0.0


def test_a_spread_that_is_only_rounding_is_constant():
    assert pearson(np.array([2.5, 2.5 + 1e-15, 2.5]), np.array([0.0, 1.0, 2.0])) == 0.0
    assert pearson(np.array([2.5, 2.5 + 1e-6, 2.5 + 2e-6]), np.array([0.0, 1.0, 2.0])) == pytest.approx(1.0)


def test_f1_without_class_one_is_zero():
    assert f1([0, 0], [0, 0]) == 0.0
    assert f1([1, 1], [0, 0]) == 0.0
