"""A prunable weight matrix, rows for outputs, however its layer stores it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, final

from jaxtyping import Float
from torch import Tensor, nn

_SLICE = 1 << 18  # weights handled at a time on a CPU: the temporaries of 2^18 float32 stay in its caches


@final
@dataclass(frozen=True)
class Matrix:
    """One prunable weight matrix.

    Its weights are looked up when they are asked for: what a module holds may be replaced, as sharding does.

    Attributes:
        name: Its name in the model, followed by its number where it is one of a stack.
        start: Position of its first weight among all prunable weights.
        number: Which one it is of a stack of matrices, such as those of experts; None where it is no stack.
        inputs_first: Whether it is stored as [in, out].
    """

    name: str
    module: nn.Module
    start: int
    number: int | None = None
    inputs_first: bool = False

    @property
    def parameter_name(self) -> str:
        """Name in the model of what holds its weights."""
        return self.name if self.number is None else self.name.rpartition(".")[0]

    @property
    def parameter(self) -> nn.Parameter:
        """What holds its weights: the whole stack where it is one of several."""
        return cast("nn.Parameter", getattr(self.module, self.parameter_name.rpartition(".")[2]))

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        out, inner = self.local().shape
        return out, inner

    @property
    def size(self) -> int:
        """How many weights there are."""
        return math.prod(self.shape)

    def local(self) -> Float[Tensor, "out inner"]:
        """The weights, [out, in]; a view."""
        return self.of(self.parameter.detach())

    def gradient(self) -> Float[Tensor, "out inner"]:
        """The gradient of the weights; a view. Zeros, not to be written to, where they have no part in the loss."""
        grad = self.parameter.grad
        return self.local().new_zeros(()).expand(self.shape) if grad is None else self.of(grad)

    def stored(self, parameter: Tensor) -> Tensor:
        """Its part of the tensor that holds its weights, in the order in which that stores them; a view."""
        return parameter if self.number is None else parameter[self.number]

    def of(self, parameter: Tensor) -> Float[Tensor, "out inner"]:
        """The same as [out, in]; a view. Dimensions behind the first count as one, heads and their sizes for instance.

        Args:
            parameter: As `stored` takes it.
        """
        stored = self.stored(parameter)
        stored = stored.view(len(stored), -1)
        return stored.T if self.inputs_first else stored

    def slices(self, together: int = 1) -> Iterator[slice]:
        """Rows to handle at a time, all of them in order.

        Args:
            together: Rows that are not to be parted; all slices but the last are multiples.
        """
        rows, inner = self.shape
        at_once = max(1, _SLICE // (inner * together)) * together if self.parameter.device.type == "cpu" else rows
        for lo in range(0, rows, at_once):
            yield slice(lo, min(lo + at_once, rows))
