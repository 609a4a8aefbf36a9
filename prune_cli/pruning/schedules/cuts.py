"""Schedules that prune at few steps, and let the model recover in between with its mask held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from prune_cli.pruning.lengths import Length
from prune_cli.pruning.schedules.base import Schedule, enough
from prune_cli.pruning.schedules.ramp import cubic_sparsity


@final
@dataclass(frozen=True, kw_only=True)
class OneShot(Schedule):
    """Everything is removed at one step, after which the model recovers.

    Attributes:
        initial: Steps before it: a fraction of the run below 1, steps from 1 on, or epochs as in 2ep.
    """

    lengths: ClassVar[tuple[str, ...]] = ("initial",)

    initial: Length = 0.1

    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """See `Schedule`."""
        return target

    def selects(self, step: int, total_steps: int) -> bool:
        """At one step."""
        return step == self.steps("initial", total_steps)

    @property
    def holds(self) -> bool:
        """See `Schedule`."""
        return True

    def incompatibilities(self, total_steps: int) -> Iterator[str]:
        """It must be within the run, after the first window of scores."""
        if self._fits(total_steps):
            return
        remedy = enough(total_steps, [float(self.initial)], self._fits)
        yield (
            f"the run has {total_steps} steps: weights would be removed after {self.steps('initial', total_steps)} of them, and"
            f" scores are there after {self.delta_t}. Give {remedy}another schedule.initial or a smaller schedule.delta_t"
        )

    def _fits(self, total_steps: int) -> bool:
        return self.delta_t <= self.steps("initial", total_steps) < total_steps


@final
@dataclass(frozen=True, kw_only=True)
class Stepped(Schedule):
    """Prune, recover, prune again: cuts as far apart as each other, between them the mask is held (oBERT, Kurtic et al. 2022).

    The sparsity of the cuts lies on a cubic ramp from `first` to the target.

    Attributes:
        initial: Steps before the first cut: a fraction of the run below 1, steps from 1 on, or epochs as in 2ep.
        final: Steps from the last cut on, likewise.
        cuts: How often weights are removed, >= 2.
        first: Fraction of the weights that the first cut removes, in (0, 1).
        rewarm: Begin the learning rate anew at every cut, warm-up included, as published.
    """

    lengths: ClassVar[tuple[str, ...]] = ("initial", "final")

    initial: Length = 0.1
    final: Length = 0.35
    cuts: int = 4
    first: float = 0.5
    rewarm: bool = True

    def problems(self) -> Iterator[str]:
        """See `Schedule`."""
        yield from super().problems()
        if self.cuts < 2:
            yield f"cuts is {self.cuts}: give a whole number from 2 on, or schedule=oneshot"
        if not 0 < self.first < 1:
            yield f"first is {self.first:g}: give the fraction that the first cut removes, above 0 and below 1"

    def at(self, total_steps: int) -> list[int]:
        """The steps of the cuts, counted from 0."""
        start, end = self.span(total_steps)
        return [start + round(number * (end - start) / (self.cuts - 1)) for number in range(self.cuts)]

    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """See `Schedule`."""
        start, end = self.span(total_steps)
        return cubic_sparsity(step, start, end, min(self.first, target), target)

    def selects(self, step: int, total_steps: int) -> bool:
        """At the cuts."""
        return step in self.at(total_steps)

    @property
    def holds(self) -> bool:
        """See `Schedule`."""
        return True

    def cycles(self, total_steps: int) -> Sequence[int]:
        """See `Schedule`; a cut comes at the end of its step."""
        return [step + 1 for step in self.at(total_steps) if step + 1 < total_steps] if self.rewarm else ()

    def incompatibilities(self, total_steps: int) -> Iterator[str]:
        """Each cut needs a window of scores of its own."""
        if self._fits(total_steps):
            return
        start, end = self.span(total_steps)
        remedy = enough(total_steps, [float(self.initial), float(self.final)], self._fits)
        yield (
            f"the run has {total_steps} steps: {start} before the first of {self.cuts} cuts and {total_steps - end} after the"
            f" last one leave less than {self.delta_t} steps for the scores of each. Give {remedy}fewer schedule.cuts, or a"
            " smaller schedule.delta_t"
        )

    def _fits(self, total_steps: int) -> bool:
        start, end = self.span(total_steps)
        return start >= self.delta_t and end - start >= (self.cuts - 1) * self.delta_t
