"""The processes that prune one model together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor


def _mine(tensor: Tensor) -> Tensor:
    """Of the only process."""
    return tensor


@final
@dataclass(frozen=True, kw_only=True)
class Peers:
    """The processes that prune one model together; as it stands, there is one.

    Attributes:
        count: How many they are, > 0.
        total: Sums a tensor over them, wherever it lies; every process calls it at the same time with a tensor of one shape.
        highest: The largest number at each place of such tensors.
        sharded: Whether each holds some rows of every matrix; else each holds the whole model, and learns from other records.
    """

    count: int = 1
    total: Callable[[Tensor], Tensor] = _mine
    highest: Callable[[Tensor], Tensor] = _mine
    sharded: bool = False


ALONE = Peers()
"""One process."""
