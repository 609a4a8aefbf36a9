"""How sparse can it be? The highest sparsity whose metric is near enough to dense, and how sure that is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from prune_cli.report.numbers import percent

_SURE = 0.95


@dataclass(frozen=True)
class Point:
    """What a sparsity costs.

    Attributes:
        sparsity: Fraction removed.
        drops: Metric of the dense run less that of the pruned one, by seed.
        arithmetic: Share of the matrices' multiply-adds that compaction leaves, mean over seeds; None where it was not counted.
    """

    sparsity: float
    drops: Mapping[int, float]
    arithmetic: float | None = None

    @cached_property
    def drop(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.drops.values())

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean lies with 95% confidence, by Student's t over seeds; None for a single seed."""
        if len(self.drops) < 2:
            return None
        from scipy.stats import t

        error = statistics.stdev(self.drops.values()) / math.sqrt(len(self.drops))
        reach = float(t.ppf((1 + _SURE) / 2, len(self.drops) - 1)) * error
        return self.drop - reach, self.drop + reach


def next_position(near: Mapping[int, bool], count: int) -> int | None:
    """Which sparsity of a grid to try next: the middle of those between near enough and not, which takes the fewest runs.

    Args:
        near: Whether those that are known are near enough to dense, by position.

    Returns:
        A position; None where nothing is left to try.

    >>> next_position({}, 12), next_position({6: True, 9: False}, 12), next_position({6: True, 7: False}, 12)
    (5, 7, None)
    """
    low, high = bracket(near, count)
    return None if high - low <= 1 else (low + high) // 2


def bracket(near: Mapping[int, bool], count: int) -> tuple[int, int]:
    """The highest position that is near enough, and the lowest above it that is not: -1 and `count` where there is none."""
    low = max((position for position, enough in near.items() if enough), default=-1)
    high = min((position for position, enough in near.items() if not enough and position > low), default=count)
    return low, high


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a search found.

    Attributes:
        max_drop: The budget, in units of the metric.
        grid: Sparsities that could be the answer, rising.
        points: Those that were tried, by sparsity.
        alike: Sparsities, 0 for dense, at which a model says the same of all records.
    """

    max_drop: float
    metric: str
    grid: Sequence[float]
    points: Sequence[Point]
    alike: Sequence[float] = ()

    @cached_property
    def near(self) -> dict[int, bool]:
        """Whether what was tried is near enough, by its position in the grid."""
        return {self.grid.index(point.sparsity): point.drop <= self.max_drop for point in self.points}

    @property
    def best(self) -> Point | None:
        """The highest sparsity that is near enough; None where none is."""
        return self._at(bracket(self.near, len(self.grid))[0])

    @property
    def beyond(self) -> Point | None:
        """The next sparsity, which costs too much; None where the grid ends before."""
        return self._at(bracket(self.near, len(self.grid))[1])

    def in_words(self) -> list[str]:
        """The answer and how sure it is, a sentence or two each."""
        return [*self._answer(), *self._no_skill()]

    def _answer(self) -> list[str]:
        best, beyond = self.best, self.beyond
        if best is None:
            assert beyond is not None
            return [
                f"Not even {percent(beyond.sparsity)}% is within {self.max_drop:g} {self.metric} of dense: it costs"
                f" {_told(beyond)}. Give a grid=[...] with lower sparsities, or a larger max_drop."
            ]
        words = [
            f"{percent(best.sparsity)}% is the highest sparsity within {self.max_drop:g} {self.metric} of dense:"
            f" it costs {_told(best)}."
        ]
        if beyond is None:
            words.append("The grid ends there: a grid=[...] with higher sparsities may find more.")
        else:
            words.append(f"{percent(beyond.sparsity)}% costs {_told(beyond)}, which is too much.")
        return [*words, *self._doubts(best, beyond)]

    def _no_skill(self) -> list[str]:
        if not self.alike:
            return []
        sparsities = ", ".join(f"{percent(sparsity)}%" if sparsity else "dense" for sparsity in self.alike)
        return [
            f"At {sparsities} a model says the same of all records, so that its metric is that of no skill, and what it costs"
            " means nothing: train longer, with another learning rate or more records."
        ]

    def _doubts(self, best: Point, beyond: Point | None) -> list[str]:
        if best.interval is None:
            return ["One seed says nothing of its noise: seed=1,2,3 tells how sure this is."]
        words = [
            f"Whether {percent(point.sparsity)}% is within the budget is a matter of noise with {len(point.drops)} seeds:"
            " more would tell."
            for point in (best, beyond)
            if point is not None and point.interval is not None and point.interval[0] <= self.max_drop < point.interval[1]
        ]
        words += [
            f"{percent(point.sparsity)}% costs {_told(point)}, more than that: noise below, or luck above."
            for point in self.points
            if point.sparsity < best.sparsity and point.drop > self.max_drop
        ]
        return words

    def _at(self, position: int) -> Point | None:
        return next((point for point in self.points if self.grid.index(point.sparsity) == position), None)


def _told(point: Point) -> str:
    if point.interval is None:
        return f"{point.drop:.4f}"
    low, high = point.interval
    return f"{point.drop:.4f} (95% confidence: {low:.4f} to {high:.4f}, {len(point.drops)} seeds)"
