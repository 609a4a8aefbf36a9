"""A prunable weight matrix, rows for outputs, however its layer stores it."""

from __future__ import annotations

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
        name: Its name in the model.
        module: The layer that it belongs to.
        start: Position of its first weight among all prunable weights.
    """

    name: str
    module: nn.Module
    start: int

    @property
    def parameter(self) -> nn.Parameter:
        """The weights as the layer stores them."""
        return cast("nn.Parameter", getattr(self.module, self.name.rpartition(".")[2]))

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        stored = self.parameter.shape
        return (stored[1], stored[0]) if self._transposed else (stored[0], stored[1])

    def local(self) -> Float[Tensor, "out inner"]:
        """The weights, [out, in]; a view."""
        return self.seen(self.parameter.detach())

    def gradient(self) -> Float[Tensor, "out inner"]:
        """The gradient of the weights; a view.

        Raises:
            ValueError: If there is none.
        """
        grad = self.parameter.grad
        if grad is None:
            raise ValueError(f"{self.name} has no gradient: it is frozen or unused; leave it out by model.exclude")
        return self.seen(grad)

    def seen(self, stored: Tensor) -> Float[Tensor, "out inner"]:
        """A tensor of the weights' size as [out, in]; a view.

        Args:
            stored: In the order in which the layer stores them; flat or not.
        """
        stored = stored.view(self.parameter.shape)
        return stored.T if self._transposed else stored

    def slices(self, together: int = 1) -> Iterator[slice]:
        """Rows to handle at a time, all of them in order.

        Args:
            together: Rows that are not to be parted; all slices but the last are multiples.
        """
        rows, inner = self.shape
        at_once = max(1, _SLICE // (inner * together)) * together if self.parameter.device.type == "cpu" else rows
        for lo in range(0, rows, at_once):
            yield slice(lo, min(lo + at_once, rows))

    @property
    def _transposed(self) -> bool:
        return type(self.module).__name__ == "Conv1D"  # of transformers, which is not known here: GPT-2's linear layer
