"""What a teacher that stays made of training records, so that it is asked once about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import torch

from prune_cli.heads.base import inputs_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prune_cli.heads.base import Batch, Head

MOST = 1 << 28
"""Bytes that are kept: 256 MiB."""


@final
class OutputCache:
    """Outputs by the record's place among the training records; those that there is no room for are computed each time.

    Attributes:
        asked: Rows that were wanted, of a head whose outputs are rows.
        served: Those of them that were here.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.asked = self.served = 0
        self._bytes = 0
        self._parts: list[tuple[list[int], tuple[Tensor, ...]]] = []
        self._at: dict[int, tuple[int, int]] = {}

    def outputs(self, model: nn.Module, head: Head[Any], batch: Batch) -> Any:
        """What the teacher makes of a batch, of which it reads what is not here alone.

        Args:
            model: The teacher.
            head: Nothing is kept of one whose outputs are no rows.
            batch: With the `places` of its records.
        """
        places: list[int] = batch["places"]
        missing = [row for row, place in enumerate(places) if place not in self._at]
        if len(missing) == len(places):
            outputs = head.outputs(model, batch)
            if (rows := head.rows(outputs)) is not None:
                self.asked += len(places)
                self._keep(places, rows)
            return outputs
        self.asked += len(places)
        self.served += len(places) - len(missing)
        fresh: dict[int, tuple[Tensor, ...]] = {}
        if missing:
            made = head.rows(head.outputs(model, _some(batch, missing)))
            assert made is not None, "others are kept"
            fresh = {row: tuple(values[number] for values in made) for number, row in enumerate(missing)}
            self._keep([places[row] for row in missing], made)
        return head.outputs_of([fresh[row] if row in fresh else self._row(place) for row, place in enumerate(places)], batch)

    def clear(self) -> None:
        """Forget what another teacher made."""
        self._parts, self._at, self._bytes = [], {}, 0

    def state(self) -> dict[str, Any]:
        """All of it, as `torch.save` takes it."""
        return {"asked": self.asked, "served": self.served, "parts": self._parts}

    def load(self, *states: Mapping[str, Any], counted: bool = True) -> None:
        """Take back what `state` gave, of one process or of several, with tensors on the device.

        Args:
            counted: Whether what they were asked counts as asked of this one.
        """
        self.clear()
        self.asked, self.served = (sum(state[name] for state in states) if counted else 0 for name in ("asked", "served"))
        for places, values in (part for state in states for part in state["parts"]):
            self._keep(places, values)

    def _keep(self, places: list[int], values: tuple[Tensor, ...]) -> None:
        size = sum(each.numel() * each.element_size() for each in values)
        if self._bytes + size <= MOST:
            self._at |= {place: (len(self._parts), number) for number, place in enumerate(places)}
            self._parts.append((places, values))
            self._bytes += size

    def _row(self, place: int) -> tuple[Tensor, ...]:
        part, number = self._at[place]
        return tuple(values[number] for values in self._parts[part][1])


def _some(batch: Batch, rows: list[int]) -> dict[str, Tensor]:
    """Some rows of what a model reads."""
    inputs = inputs_of(batch)
    wanted = torch.tensor(rows).to(next(iter(inputs.values())).device, non_blocking=True)
    return {name: values.index_select(0, wanted) for name, values in inputs.items()}
