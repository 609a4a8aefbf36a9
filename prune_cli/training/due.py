"""What is due after a step: logging, evaluating, saving and stopping wait for masked weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from prune_cli.training.interrupt import StopRequest

What = Literal["log", "evaluate", "save"]
_ORDER: tuple[What, ...] = ("log", "evaluate", "save")


@final
class Due:
    """Keeps what is due until the weights are masked; the last step always is, and evaluates.

    Attributes:
        over: Whether the run takes no further step.
        stop: What may ask it to stop.
    """

    def __init__(
        self,
        every: Mapping[What, int],
        *,
        steps: int,
        stop: StopRequest,
        ends_early: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare.

        Args:
            stop: Asked at every step.
            ends_early: Asked after each evaluation.
        """
        self.over = False
        self._every, self._steps, self.stop, self._ends_early = every, steps, stop, ends_early
        self._waiting: set[What] = set()

    def after(self, step: int, *, masked: bool) -> Iterator[What]:
        """What is to be done now, in this order."""
        self._waiting |= {what for what, steps in self._every.items() if step % steps == 0}
        last = step >= self._steps
        if last:
            self._waiting |= {"log", "evaluate"}
        stops = self.stop.requested and not last
        if stops:
            self._waiting.add("save")
        if not masked:
            return
        now, self._waiting = self._waiting, set()
        self.over = last or stops
        for what in _ORDER:
            if what in now:
                yield what
        if "evaluate" in now and self._ends_early():
            self.over = True
