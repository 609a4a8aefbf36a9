"""Schedules: how sparse the model is to be after each step. A class here and a YAML in conf/schedule make one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from prune_cli.pruning.lengths import steps_of

_FARTHER = 20_000
"""Steps more that a message looks for a run that is long enough."""


def cubic_sparsity(step: int, start: int, end: int, initial: float, target: float) -> float:
    """The cubic ramp of Zhu and Gupta 2017 (arXiv:1710.01878, equation 1), in sparsities.

    With keep ratios r = 1 - sparsity it reads r(t) = r_T + (r_0 - r_T) * (1 - (t - start) / (end - start))^3.

    Args:
        step: Steps finished before this one, t.
        start: Step at which the ramp begins.
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


@runtime_checkable  # so that tests can check arguments against it
class Schedule(Protocol):
    """Sparsity over the steps of a run."""

    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """Sparsity that a selection at this step (counted from 0) makes, in [0, 1]."""
        ...

    def selects(self, step: int, total_steps: int, delta_t: int) -> bool:
        """Whether weights are removed after this step (counted from 0)."""
        ...

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        ...

    def misfits(self, total_steps: int, delta_t: int) -> Iterator[str]:
        """Why the schedule does not fit a run of so many steps; its values have no problems."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Cubic:
    """Dense at first, then a cubic ramp with a selection every delta_t steps, then the target at every step.

    Attributes:
        initial: Steps before the ramp: a fraction of the run below 1, steps from 1 on.
        final: Steps at the target, likewise; one at least, so that a run ends at its target.
        initial_keep_ratio: Fraction of the weights that the ramp starts from, in (0, 1].
    """

    initial: float = 0.1
    final: float = 0.35
    initial_keep_ratio: float = 1.0

    def problems(self) -> Iterator[str]:
        """See `Schedule`."""
        for name, value in (("initial", self.initial), ("final", self.final)):
            if not (0 <= value < 1 or (1 <= value < math.inf and value == round(value))):  # nor not-a-number
                yield f"{name} is {value:g}: give a fraction of the run from 0 to below 1, or a whole number of steps"
        if not 0 < self.initial_keep_ratio <= 1:
            yield f"initial_keep_ratio is {self.initial_keep_ratio:g}: give a fraction kept, above 0 up to 1"

    def ramp(self, total_steps: int) -> tuple[int, int]:
        """First step of the ramp and the step from which the target holds, both counted from 0."""
        return steps_of(self.initial, total_steps), total_steps - max(1, steps_of(self.final, total_steps))

    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """Sparsity that a selection at this step (counted from 0) makes, in [0, 1]."""
        start, end = self.ramp(total_steps)
        return cubic_sparsity(step, start, end, min(1 - self.initial_keep_ratio, target), target)

    def selects(self, step: int, total_steps: int, delta_t: int) -> bool:
        """Every delta_t steps in the ramp, every step at the target."""
        start, end = self.ramp(total_steps)
        return step >= end or (step >= start and step % delta_t == 0)

    def misfits(self, total_steps: int, delta_t: int) -> Iterator[str]:
        """A ramp without a selection would remove everything at once, from scores of nothing."""
        if self._fits(total_steps, delta_t):
            return
        start, end = self.ramp(total_steps)
        least = max(total_steps, round(sum(length for length in (self.initial, self.final) if length >= 1)))
        enough = next((steps for steps in range(least, least + _FARTHER) if self._fits(steps, delta_t)), None)
        remedy = "" if enough is None else f"at least {enough} steps (trainer.max_steps or trainer.epochs), or "
        yield (
            f"the run has {total_steps} steps: {start} before the ramp and {total_steps - end} at the target leave no selection"
            f" between them (one every {delta_t} steps). Give {remedy}smaller schedule.initial, schedule.final or"
            " criterion.delta_t"
        )

    def _fits(self, total_steps: int, delta_t: int) -> bool:
        """Whether a selection falls inside the ramp, after the first window of scores."""
        start, end = self.ramp(total_steps)
        return (start // delta_t + 1) * delta_t < end
