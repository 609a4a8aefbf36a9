"""Exact selection of the highest scores at any size, without concatenating or sorting them.

The bit patterns of floats sort like integers once negative ones are flipped, so the cutoff is found digit by digit (a radix
select): a histogram of the high 16 bits over all scores names the bin in which the cutoff lies, a second one of the low 16 bits
within that bin names the cutoff itself. Positions are further digits, so that ties are parted in the same way. Histograms add up
over slices and processes. What was found so far stays on the device, which is waited for once at the end, and once more where
ties are parted.

A histogram is dear on a CPU. There, two scores close to the cutoff are guessed first: one pass counts what lies below them and
picks out the few between them, among which the digits are found. A wrong guess costs that pass, and never changes the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, cast, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from prune_cli.pruning.matrices import AT_ONCE, on_host

_DIGIT = 16
_BINS = 1 << _DIGIT
_LIFT = _BINS // 2  # brings the first digit of a float, -2^15 to 2^15 - 1, to 0 and above
_INFINITE = 0x7F80  # first digit of infinity; not-a-numbers lie behind it
_EVERYWHERE = 1 << 62  # past every position
_LARGEST = torch.finfo(torch.float32).max

_STRIDE = 257  # of the sample: a prime, so that it meets all columns of a matrix
_DEVIATIONS = 4.0  # between the cutoff and its guessed bounds, of the rank of a sampled score
_STEADY = 0.01  # change of a cutoff, as a share, up to which the last one tells the next
_NARROW = 0.001  # such a change that is always reckoned with
_FEW = 1 << 20  # scores between the bounds beside a sixteenth of all; with more, histograms are cheaper


class InvalidScores(ValueError):
    """A score is missing, infinite or not a number."""


class Divergence(InvalidScores):
    """Weights or gradients, and so the scores, are infinite or not a number."""


class NotFinite(InvalidScores):
    """A score is infinite or not a number."""


class Scores(NamedTuple):
    """Scores of a run of neighbouring weights."""

    values: Float[Tensor, " n"]
    """float32."""
    start: int
    """Position of the first among all prunable weights."""


Parts = Callable[[], Iterator[Scores]]
"""Gives all scores of this process, in order of position, as often as asked."""
Total = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes, wherever it lies."""


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
            return _lower(scores.values, self.score)
        removed = _lower(scores.values, self.score, or_equal=True)
        removed[:kept_ties] &= scores.values[:kept_ties] != self.score
        return removed


NOTHING = Cutoff(float("-inf"), 0)
"""The line below which no score lies."""


@final
class CutoffFinder:
    """Finds cutoffs; where one has hardly moved of late, the next is looked for close to it."""

    def __init__(self, total: Total = lambda counts: counts) -> None:
        """Begin without a memory.

        Args:
            total: Over the processes that the scores are spread over; as it stands, there is one.
        """
        self.total = total
        self._last: dict[str, tuple[float, float]] = {}

    def find(self, scores: Parts, remove: int, ranking: str = "") -> Cutoff:
        """Find the cutoff below which exactly `remove` scores of all processes lie; no guess changes it.

        Args:
            scores: Called as often as is needed.
            remove: How many scores to remove, from 0 to their number.
            ranking: Name of what is ranked, under which the cutoff is remembered.

        Raises:
            NotFinite: If a score is infinite or not a number.
        """
        if remove == 0:
            return NOTHING
        among: _Among | None = None
        if on_host(next(scores()).values):
            if (near := self._near(ranking)) is not None:
                among = _between(scores, near, remove, self.total)
            if among is None:
                among = _between(scores, _sampled(scores, remove, self.total), remove, self.total)
        found = _exact(scores, remove, self.total, among)
        self._last[ranking] = (self._last.get(ranking, (math.inf, math.inf))[1], found.score)
        return found

    def _near(self, ranking: str) -> tuple[float, float] | None:
        """Bounds around the last cutoff; None where cutoffs move too much."""
        before, last = self._last.get(ranking, (math.inf, math.inf))
        moved = abs(last - before)
        if math.isinf(last) or not moved <= _STEADY * abs(last):
            return None
        apart = 2 * max(moved, _NARROW * abs(last))
        return max(last - apart, -_LARGEST), min(last + apart, _LARGEST)


class _Among(NamedTuple):
    """Scores between two bounds."""

    keys: Int[Tensor, " some"]
    positions: Int[Tensor, " some"]
    below: int
    """How many of all processes lie below the bounds."""


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
    return np.int32(key ^ 0x7FFFFFFF if key < 0 else key).view(np.float32).item()


def joined(scores: Iterator[Scores]) -> Iterator[Scores]:
    """The same in longer runs, up to what is handled at a time, wherever neighbours follow each other: few launches on a GPU."""
    run: list[Scores] = []
    count = 0
    for part in scores:
        follows = bool(run) and part.start == run[0].start + count
        if run and not (follows and count + part.values.numel() <= AT_ONCE):
            yield _one(run)
            run, count = [], 0
        run.append(part)
        count += part.values.numel()
    if run:
        yield _one(run)


def _one(run: list[Scores]) -> Scores:
    return run[0] if len(run) == 1 else Scores(torch.cat([part.values for part in run]), run[0].start)


def _exact(scores: Parts, remove: int, total: Total, among: _Among | None) -> Cutoff:
    """The cutoff, digit by digit.

    Args:
        remove: How many lie below it, > 0.
        among: The scores that it is one of; None where all may be.
    """
    first = next(scores()).values
    parts = scores if on_host(first) else lambda: joined(scores())

    def keys() -> Iterator[Tensor]:
        return (sortable(part.values) for part in parts()) if among is None else iter((among.keys,))

    rank = remove - (0 if among is None else among.below)
    found = _nth(keys, rank, total, first.device, digits=2, lift=_LIFT)
    key, below, ties, count, lower, finite = cast("list[int]", found.tolist())  # pyright: ignore[reportUnknownMemberType] torch does not say
    if among is None and not lower == 0 < finite == count:
        raise NotFinite("a score is infinite or not a number")
    if among is None and remove == count:
        return Cutoff(math.inf, 0)
    cutoff, removed_ties = score_of(key), rank - below
    if removed_ties == 0:
        return Cutoff(cutoff, _EVERYWHERE)

    def tied() -> Iterator[Tensor]:
        if among is not None:
            yield among.positions[among.keys == key]
            return
        for part in parts():
            equal = part.values == cutoff
            if on_host(equal):
                yield _where(equal) + part.start
            else:
                position = torch.arange(part.start, part.start + equal.numel(), device=first.device)
                yield torch.where(equal, position, -1)

    digits = 2 if count <= 1 << 2 * _DIGIT else 3
    return Cutoff(cutoff, int(_nth(tied, ties - removed_ties, total, first.device, digits=digits)[0]))


def _nth(
    keys: Callable[[], Iterator[Tensor]], rank: int, total: Total, device: torch.device, *, digits: int, lift: int = 0
) -> Int[Tensor, " 6"]:
    """The integer of this rank, from 0 for the lowest.

    Args:
        keys: Integers, gone through once a digit.
        digits: Of 16 bits that they have.
        lift: Of the first digit, so that none is negative; without one, on a GPU, -1 does not count.

    Returns:
        On the device: the integer, how many lie below it, how many equal it, and of all, if the first digit is that of a float:
        how many there are, how many are no more than minus infinity, and how many are less than infinity.
    """
    number = below = equal = torch.zeros(1, dtype=torch.int64, device=device)
    ends: list[Tensor] = []
    for shift in range(_DIGIT * (digits - 1), -1, -_DIGIT):
        within = number if ends else None
        counts = total(reduce(torch.add, (_counted(part, shift, lift, within) for part in keys())))
        upto = counts.cumsum(0)
        digit = torch.searchsorted(upto, rank - below, right=True).clamp_(max=_BINS - 1)
        if ends:
            number = (number << _DIGIT) + digit
        else:
            number = digit - lift if lift else digit
            ends = [upto[-1:], upto[_LIFT - _INFINITE - 1 : _LIFT - _INFINITE], upto[_LIFT + _INFINITE - 1 : _LIFT + _INFINITE]]
        equal = counts.gather(0, digit)
        below = below + upto.gather(0, digit) - equal
    return torch.cat([number, below, equal, *ends])


def _counted(keys: Int[Tensor, " n"], shift: int, lift: int, within: Int[Tensor, " 1"] | None) -> Int[Tensor, " bins"]:
    """How often each digit occurs.

    Args:
        shift: Bits behind the digit.
        lift: Of a first digit.
        within: The digits before it that a key must have; None for a first digit.
    """
    if within is None:
        digits = (keys >> shift) + lift if lift else keys >> shift
    else:
        same = (keys >> (shift + _DIGIT)) == within.to(keys.dtype)
        if on_host(keys):
            keys = keys[_where(same)]
        digits = (keys >> shift) & (_BINS - 1)
        if not on_host(keys):
            digits = torch.where(same, digits, -1)
    if on_host(keys):
        return torch.bincount(digits, minlength=_BINS)
    return torch.histc(digits, _BINS, 0, _BINS).long()  # `bincount` would wait for the extremes; -1 is not among the bins


def _lower(values: Float[Tensor, " n"], score: float, *, or_equal: bool = False) -> Bool[Tensor, " n"]:
    """Which are lower than a score; by numpy on the host, where torch takes three times as long on processors with AVX-512."""
    if on_host(values):
        return torch.from_numpy((np.less_equal if or_equal else np.less)(values.numpy(), score))  # pyright: ignore[reportUnknownMemberType] torch does not say
    return values <= score if or_equal else values < score


def _sampled(scores: Parts, remove: int, total: Total) -> tuple[float, float]:
    """Bounds of the cutoff from every 257th score: on all processes the same."""
    picked, count = [torch.empty(0)], 0
    for part in scores():
        picked.append(part.values[-part.start % _STRIDE :: _STRIDE].clone())
        count += part.values.numel()
    sample = torch.cat(picked)
    share = remove / max(1, int(total(torch.tensor(count))))
    apart = _DEVIATIONS * math.sqrt(len(sample) * share * (1 - share)) + 1
    low, high = math.floor(len(sample) * share - apart), math.ceil(len(sample) * share + apart)
    bounds = [0.0, 0.0, 0.0]  # of a process that holds no scores
    if count > 0:
        bounds = [
            -math.inf if low < 1 else sample.kthvalue(low).values.item(),
            math.inf if high > len(sample) else sample.kthvalue(high).values.item(),
            1.0,
        ]
    lows, highs, processes = total(torch.tensor(bounds, dtype=torch.float64)).unbind()
    return float(lows / processes), float(highs / processes)


def _between(scores: Parts, bounds: tuple[float, float], remove: int, total: Total) -> _Among | None:
    """The scores of this process between two bounds; None where the cutoff is not among all of these, or they are too many."""
    low, high = bounds
    below, inside, count, sound = 0, 0, 0, True
    values, positions = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for part in scores():
        these: NDArray[np.float32] = part.values.numpy()  # pyright: ignore[reportUnknownMemberType] torch does not say
        count += these.size
        finite = math.isfinite(part.values.sum().item()) or bool(np.isfinite(these).all())
        sound = finite and inside <= _FEW + count // 16
        if not sound:
            break
        less = these < low
        where = np.flatnonzero((these <= high) ^ less)
        below, inside = below + np.count_nonzero(less), inside + where.size
        values.append(these[where])
        positions.append(where + part.start)
    beneath, among, unsound = cast("list[int]", total(torch.tensor([below, inside, not sound])).tolist())  # pyright: ignore[reportUnknownMemberType] torch does not say
    if unsound or not beneath <= remove < beneath + among:
        return None
    keys = sortable(torch.from_numpy(np.concatenate(values)))  # pyright: ignore[reportUnknownMemberType] torch does not say
    return _Among(keys, torch.from_numpy(np.concatenate(positions)), beneath)  # pyright: ignore[reportUnknownMemberType] torch does not say


def _where(mask: Bool[Tensor, " n"]) -> Int[Tensor, " some"]:
    """Positions at which a mask on the host is true; by numpy, like `_lower`."""
    return torch.from_numpy(np.flatnonzero(mask.numpy()))  # pyright: ignore[reportUnknownMemberType] torch does not say
