"""Exact selection of the highest scores at any size, without concatenating or sorting them.

The bit patterns of floats sort like integers once negative ones are flipped, so the cutoff is found digit by digit (a radix
select): a histogram of the high 16 bits over all scores names the bin in which the cutoff lies, a second one of the low 16 bits
within that bin names the cutoff itself. Memory is that of the histogram, whatever the number of scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_DIGIT = 1 << 16
_EVERYWHERE = 1 << 62  # past every position


class InvalidScores(ValueError):
    """A score is missing, infinite or not a number."""


class Divergence(InvalidScores):
    """Weights or gradients, and so the scores, are infinite or not a number."""


class NotFinite(InvalidScores):
    """A score is infinite or not a number."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the importance of {name} has infinite or not-a-number values")
        self.name = name


class Scores(NamedTuple):
    """Scores of a run of neighbouring weights."""

    values: Float[Tensor, " n"]
    """float32."""
    start: int
    """Position of the first among all prunable weights."""
    name: str
    """The weight matrix they belong to, for messages."""


@final
@dataclass(frozen=True)
class Cutoff:
    """The line between removed and kept scores; with the scores it says all there is to know about a mask.

    A score is removed if it is below `score`, or equal to it and at a position from `tie` on: among ties the lowest
    positions are kept first.

    Attributes:
        score: Lowest kept score (infinity where nothing is kept).
        tie: Position, among all weights, from which scores equal to `score` are removed.
    """

    score: float
    tie: int

    def removed(self, scores: Scores) -> Bool[Tensor, " n"]:
        """Which of these scores fall below the line."""
        kept_ties = min(max(self.tie - scores.start, 0), scores.values.numel())
        if kept_ties == scores.values.numel():
            return scores.values < self.score
        removed = scores.values <= self.score
        removed[:kept_ties] &= scores.values[:kept_ties] != self.score
        return removed


NOTHING = Cutoff(float("-inf"), 0)
"""The line below which no score lies."""


def sortable(values: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Map float32 to int32 such that integers sort as the floats do.

    Non-negative floats are their own bit patterns; the others have all bits but the sign flipped. Both zeros map to 0.

    >>> sortable(torch.tensor([-1.0, -0.0, 0.0, 1.0]))
    tensor([-1065353217,           0,           0,  1065353216], dtype=torch.int32)
    """
    bits = (values + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def score_of(key: int) -> float:
    """The float32 that `sortable` maps to this integer.

    >>> score_of(1065353216), score_of(-1065353217)
    (1.0, -1.0)
    """
    bits = key ^ 0x7FFFFFFF if key < 0 else key
    return torch.tensor(bits, dtype=torch.int32).view(torch.float32).item()


def find_cutoff(scores: Callable[[], Iterator[Scores]], remove: int) -> Cutoff | None:
    """Find the cutoff below which exactly `remove` scores lie.

    Args:
        scores: Gives all scores, in order of position; called two or three times.
        remove: How many scores to remove, from 0 to their number.

    Returns:
        The cutoff, or None where nothing is to be removed.

    Raises:
        NotFinite: If a score is infinite or not a number; the message names its matrix.
    """
    if remove == 0:
        return None
    high = _histogram_of_high_digits(scores)
    if remove == int(high.sum()):
        return Cutoff(float("inf"), 0)
    digit, below = _bin_of(high, remove)
    low = _histogram_of_low_digits(scores, digit)
    low_digit, below_within = _bin_of(low, remove - below)
    cutoff = score_of(((digit - _DIGIT // 2) << 16) | low_digit)
    removed_ties = remove - below - below_within
    kept_ties = int(low[low_digit]) - removed_ties
    return Cutoff(cutoff, _position_of_tie(scores, cutoff, kept_ties) if removed_ties else _EVERYWHERE)


def _bin_of(histogram: Int[Tensor, " bins"], rank: int) -> tuple[int, int]:
    """The bin that holds the element of this rank (from 0), and how many lie in the bins below it."""
    upto = histogram.cumsum(0)
    index = int(torch.searchsorted(upto, rank, right=True))
    return index, int(upto[index] - histogram[index])


def _histogram_of_high_digits(scores: Callable[[], Iterator[Scores]]) -> Int[Tensor, " bins"]:
    total = torch.zeros(_DIGIT, dtype=torch.int64)
    for part in scores():
        digits = (sortable(part.values) >> 16) + _DIGIT // 2
        counts = torch.bincount(digits, minlength=_DIGIT).cpu()
        # exponents of infinities and not-a-numbers fill the ends of the histogram
        if counts[: _DIGIT // 2 - 0x7F80].any() or counts[_DIGIT // 2 + 0x7F80 :].any():
            raise NotFinite(part.name)
        total += counts
    return total


def _histogram_of_low_digits(scores: Callable[[], Iterator[Scores]], high_digit: int) -> Int[Tensor, " bins"]:
    total = torch.zeros(_DIGIT, dtype=torch.int64)
    for part in scores():
        keys = sortable(part.values)
        survivors = keys[(keys >> 16) == high_digit - _DIGIT // 2]
        total += torch.bincount(survivors & (_DIGIT - 1), minlength=_DIGIT).cpu()
    return total


def _position_of_tie(scores: Callable[[], Iterator[Scores]], cutoff: float, rank: int) -> int:
    """Position of the tie of this rank (from 0) among all scores equal to the cutoff."""
    for part in scores():
        ties = (part.values == cutoff).nonzero().flatten()
        if rank < ties.numel():
            return part.start + int(ties[rank])
        rank -= ties.numel()
    raise AssertionError("the histograms counted more ties than there are")
