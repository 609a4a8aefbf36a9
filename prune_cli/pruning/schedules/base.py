"""What a schedule is: how sparse the model is to be after each step, and when that is seen to."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from prune_cli.pruning.lengths import Length, in_steps, length_problem, steps_of

_FARTHER = 20_000
"""Steps more that a message looks for a run that is long enough."""


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Sparsity over the steps of a run.

    Attributes:
        delta_t: Steps from one selection to the next while sparsity grows, and of a window of scores, >= 1.
    """

    lengths: ClassVar[tuple[str, ...]] = ()
    """Fields that are lengths: a fraction of the run below 1, steps from 1 on, or epochs as in 2ep."""

    delta_t: int = 10

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if self.delta_t < 1:
            yield f"delta_t is {self.delta_t}: it counts steps, give a whole number from 1 on"
        for name in self.lengths:
            if (problem := length_problem(getattr(self, name))) is not None:
                yield f"{name} is {_written(getattr(self, name))}: {problem}"

    @abstractmethod
    def sparsity(self, step: int, total_steps: int, target: float) -> float:
        """Sparsity that a selection at this step (counted from 0) makes, in [0, 1]."""

    @abstractmethod
    def selects(self, step: int, total_steps: int) -> bool:
        """Whether weights are removed after this step (counted from 0)."""

    @property
    def holds(self) -> bool:
        """Whether removed weights are held at zero up to the next selection, and do not train on."""
        return False

    def cycles(self, total_steps: int) -> Sequence[int]:
        """Steps at which the learning rate begins anew, warm-up included; the first step is not among them."""
        return ()

    def incompatibilities(self, total_steps: int) -> Iterator[str]:
        """Why the schedule does not fit a run of so many steps; its values have no problems, and no length is in epochs."""
        return iter(())

    def with_epochs_of(self, epoch: int) -> Schedule:
        """The same schedule with every length that is given in epochs told in steps."""
        lengths = {name: in_steps(cast("Length", getattr(self, name)), epoch) for name in self.lengths}
        return dataclasses.replace(self, **lengths)

    @property
    def in_epochs(self) -> bool:
        """Whether a length is given in epochs, which only the records tell the steps of."""
        return any(isinstance(getattr(self, name), str) for name in self.lengths)

    def steps(self, name: str, total_steps: int) -> int:
        """Steps of a length, which is not given in epochs."""
        return steps_of(float(getattr(self, name)), total_steps)

    def span(self, total_steps: int) -> tuple[int, int]:
        """The steps, counted from 0, at which sparsity begins to grow and at which it is there, of `initial` and `final`."""
        return self.steps("initial", total_steps), total_steps - max(1, self.steps("final", total_steps))


def enough(total_steps: int, lengths: Sequence[float], fits: Callable[[int], bool]) -> str:
    """The remedy of a run that is too short: how many steps would do, if any number would.

    Args:
        total_steps: Steps that do not do.
        lengths: The parts of the run that do not grow with it, and others.
        fits: Whether so many steps would.
    """
    least = max(total_steps, round(sum(length for length in lengths if length >= 1)))
    enough_steps = next((steps for steps in range(least, least + _FARTHER) if fits(steps)), None)
    return "" if enough_steps is None else f"at least {enough_steps} steps (trainer.max_steps or trainer.epochs), or "


def _written(value: Length) -> str:
    return value if isinstance(value, str) else f"{value:g}"
