"""Metrics: pure functions of predictions and labels, each a number that is never nan.

Both are [records], of one record at least: class numbers (0 and 1 for `f1`), or finite scores for a regression.
Where a metric is undefined because everything predicted (or every label) is the same, it is 0: a model that tells
nothing apart has no skill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.generic] | Sequence[float]

Metric = Callable[["Values", "Values"], float]


def accuracy(predictions: Values, labels: Values) -> float:
    """Share of predictions that equal their label, 0 to 1.

    >>> accuracy([1, 0, 1, 1], [1, 0, 0, 1])
    0.75
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predictions))


def f1(predictions: Values, labels: Values) -> float:
    """Harmonic mean of precision and recall of class 1, 0 to 1; 0 where class 1 is neither predicted nor there.

    Precision 2/3 and recall 2/2 give 2 * 2/3 / (2/3 + 1) = 0.8:

    >>> f1([1, 0, 1, 1], [1, 0, 0, 1])
    0.8
    >>> f1([0, 0], [0, 1])
    0.0
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, zero_division=0.0))  # pyright: ignore[reportArgumentType]  # its stub is wrong


def f1_macro(predictions: Values, labels: Values) -> float:
    """Mean over the classes of each one's F1, 0 to 1: small classes count as much as large ones.

    Of class 0 precision 1/1 and recall 1/2, F1 2/3; of class 1 as in `f1`, 0.8: (2/3 + 0.8) / 2 = 0.7333.

    >>> round(f1_macro([1, 0, 1, 1], [1, 0, 0, 1]), 4)
    0.7333
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0.0))  # pyright: ignore[reportArgumentType]  # as above


def matthews(predictions: Values, labels: Values) -> float:
    """Matthews correlation coefficient, -1 to 1 (Matthews 1975; for more than two classes Gorodkin 2004).

    True positives 2, true negatives 1, false positives 1, false negatives 0:
    (2*1 - 1*0) / sqrt(3 * 2 * 2 * 1) = 2 / sqrt(12) = 0.5774.

    >>> round(matthews([1, 0, 1, 1], [1, 0, 0, 1]), 4)
    0.5774
    >>> matthews([1, 1], [0, 1])
    0.0
    """
    from sklearn.metrics import matthews_corrcoef

    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return float(matthews_corrcoef(labels, predictions))


def pearson(predictions: Values, labels: Values) -> float:
    """Pearson's linear correlation, -1 to 1.

    Deviations (-1, 0, 1) and (-1, 1, 0): (1 + 0 + 0) / (sqrt(2) * sqrt(2)) = 0.5.

    >>> round(pearson([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), 4)
    0.5
    >>> pearson([2.5, 2.5, 2.5], [1.0, 3.0, 2.0])
    0.0
    """
    import numpy as np
    from scipy.stats import pearsonr

    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return float(np.asarray(pearsonr(predictions, labels))[0])


def spearman(predictions: Values, labels: Values) -> float:
    """Spearman's rank correlation, -1 to 1: Pearson's of the ranks, ties at their mean rank.

    Ranks (1, 2, 3) and (1, 3, 2), as above:

    >>> round(spearman([1.0, 2.0, 90.0], [1.0, 3.0, 2.0]), 4)
    0.5
    >>> spearman([1.0, 2.0, 3.0], [4.0, 4.0, 4.0])
    0.0
    """
    import numpy as np
    from scipy.stats import spearmanr

    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return float(np.asarray(spearmanr(predictions, labels))[0])


def pearson_spearman(predictions: Values, labels: Values) -> float:
    """Mean of `pearson` and `spearman`, -1 to 1: the score of STS-B in GLUE.

    Deviations (-11, -9, 20) and (0, -1, 1): 29 / sqrt(602 * 2) = 0.8358 and, of the ranks, 0.5:

    >>> round(pearson_spearman([0.0, 2.0, 31.0], [1.0, 0.0, 2.0]), 4)
    0.6679
    """
    return (pearson(predictions, labels) + spearman(predictions, labels)) / 2


def mse(predictions: Values, labels: Values) -> float:
    """Mean of the squared errors, from 0 on, in the square of the scores' unit; lower is better.

    Errors (0, -1, 1): 2 / 3.

    >>> round(mse([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), 4)
    0.6667
    """
    from sklearn.metrics import mean_squared_error

    return float(mean_squared_error(labels, predictions))


def mae(predictions: Values, labels: Values) -> float:
    """Mean of the absolute errors, from 0 on, in the scores' own unit; lower is better.

    Errors (0, -1, 2): 3 / 3.

    >>> mae([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])
    1.0
    """
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(labels, predictions))


def r2(predictions: Values, labels: Values) -> float:
    """Coefficient of determination, at most 1: the share of the labels' variance that is explained; 0 where they have none.

    Errors (0, -1, 1), deviations of the labels from their mean (-1, 1, 0): 1 - 2/2 = 0; and with errors (0, -1, 0) 1 - 1/2.

    >>> r2([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), r2([1.0, 2.0, 2.0], [1.0, 3.0, 2.0])
    (0.0, 0.5)
    >>> r2([1.0, 2.0], [3.0, 3.0])
    0.0
    """
    from sklearn.metrics import r2_score

    return 0.0 if _is_constant(labels) else float(r2_score(labels, predictions))


def _is_constant(values: Values) -> bool:
    """Whether values differ by no more than rounding: a correlation with them would be noise."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    return bool(np.ptp(array) <= 1e-12 * np.max(np.abs(array)))


CLASS_METRICS: Mapping[str, Metric] = {metric.__name__: metric for metric in (accuracy, f1, f1_macro, matthews)}
"""Metrics of predicted class numbers, by the name that a task's YAML gives."""

SCORE_METRICS: Mapping[str, Metric] = {metric.__name__: metric for metric in (pearson, spearman, pearson_spearman, r2, mse, mae)}
"""Metrics of predicted scores, likewise."""

LOWER_IS_BETTER = ("mse", "mae")
"""Those of which a low one is good: no run is judged by them."""
