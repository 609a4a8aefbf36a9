"""Schedules that grow the sparsity little by little."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

from prune_cli.pruning.lengths import Length
from prune_cli.pruning.schedules.base import Schedule, enough


def cubic_sparsity(step: int, start: int, end: int, initial: float, target: float) -> float:
    """The cubic ramp of Zhu and Gupta 2017 (arXiv:1710.01878, equation 1), in sparsities.

    With keep ratios r = 1 - sparsity it reads r(t) = r_T + (r_0 - r_T) * (1 - (t - start) / (end - start))^3.

    Args:
        step: Steps finished before this one, t.
        end: Step from which the target holds, > start.
        initial: Sparsity up to `start`, in [0, 1].
        target: Sparsity from `end` on, in [0, 1].

    Returns:
        The sparsity that a selection at this step makes.

    >>> [round(cubic_sparsity(t, 10, 30, 0.0, 0.8), 9) for t in (5, 10, 20, 30, 40)]  # half way 0.8 * (1 - 1/8)
    [0.0, 0.0, 0.7, 0.8, 0.8]
    """
    if step <= start:
        return initial
    if step >= end:
        return target
    remaining = 1 - (step - start) / (end - start)
    return target + (initial - target) * remaining**3


@dataclass(frozen=True, kw_only=True)
class Ramp(Schedule):
    """Dense at first, then a ramp with a selection every delta_t steps, then the target at every step.

    Attributes:
        initial: Steps before the ramp: a fraction of the run below 1, steps from 1 on, or epochs as in 2ep.
        final: Steps at the target, likewise; one at least, so that a run ends at its target.
        first: Fraction of the weights that the first selection removes at once, in [0, 1).
        regrow: Let removed weights train on between two selections, as published, so that they may come back; False holds
            them at zero until the next selection.
    """

    lengths: ClassVar[tuple[str, ...]] = ("initial", "final")

    initial: Length = 0.1
    final: Length = 0.35
    first: float = 0.0
    regrow: bool = True

    def problems(self) -> Iterator[str]:
        """See `Schedule`."""
        yield from super().problems()
        if not 0 <= self.first < 1:
            yield f"first is {self.first:g}: give the fraction that the first selection removes, from 0 to below 1"

    @abstractmethod
    def between(self, step: int, start: int, end: int, first: float, target: float) -> float:
        """Sparsity at a step of a ramp from `first` at `start` to `target` at `end`; what it is before and after, too."""

    @property
    def holds(self) -> bool:
        """See `Schedule`."""
        return not self.regrow

    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """Sparsity that a selection at this step (counted from 0) makes, in [0, 1]."""
        start, end = self.span(total_steps)
        return self.between(step, start, end, min(self.first, target), target)

    def selects(self, step: int, total_steps: int) -> bool:
        """Every delta_t steps in the ramp, every step at the target."""
        start, end = self.span(total_steps)
        return step >= end or (step >= start and step % self.delta_t == 0)

    def incompatibilities(self, total_steps: int) -> Iterator[str]:
        """A ramp without a selection would remove everything at once, from scores of nothing."""
        if self._fits(total_steps):
            return
        start, end = self.span(total_steps)
        remedy = enough(total_steps, [float(self.initial), float(self.final)], self._fits)
        yield (
            f"the run has {total_steps} steps: {start} before the ramp and {total_steps - end} at the target leave no selection"
            f" between them (one every {self.delta_t} steps). Give {remedy}smaller schedule.initial, schedule.final or"
            " schedule.delta_t"
        )

    def _fits(self, total_steps: int) -> bool:
        """Whether a selection falls inside the ramp, after the first window of scores."""
        start, end = self.span(total_steps)
        return (start // self.delta_t + 1) * self.delta_t < end


@final
@dataclass(frozen=True, kw_only=True)
class Cubic(Ramp):
    """A cubic ramp, fast at first (Zhu and Gupta 2017, arXiv:1710.01878)."""

    def between(self, step: int, start: int, end: int, first: float, target: float) -> float:
        """See `cubic_sparsity`."""
        return cubic_sparsity(step, start, end, first, target)


@final
@dataclass(frozen=True, kw_only=True)
class Linear(Ramp):
    """A straight ramp.

    >>> [Linear().between(t, 10, 30, 0.0, 0.8) for t in (5, 10, 20, 30, 40)]
    [0.0, 0.0, 0.4, 0.8, 0.8]
    """

    def between(self, step: int, start: int, end: int, first: float, target: float) -> float:
        """As much more at every step."""
        share = min(max((step - start) / (end - start), 0.0), 1.0)
        return first + (target - first) * share
