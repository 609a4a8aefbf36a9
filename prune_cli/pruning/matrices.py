"""Prunable weight matrices, rows for outputs, however a layer stores them; on a GPU several of them as one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import cast, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from prune_cli.pruning.shards import begin, held, is_sharded, joint

_SLICE = 1 << 18  # weights handled at a time on a CPU: the temporaries of 2^18 float32 stay in its caches
AT_ONCE = 1 << 24  # on a GPU, where a launch costs as much as ten thousand weights, and temporaries 64 MiB


def on_host(tensor: Tensor) -> bool:
    """Whether a tensor lies where the program runs, so that nobody waits for it; for a GPU they do."""
    return tensor.device.type == "cpu"


@final
@dataclass(frozen=True)
class Matrix:
    """One prunable weight matrix.

    Its weights are looked up when they are asked for: what a module holds may be replaced, as sharding does. Of a sharded
    matrix each process holds whole rows, neighbours, and maybe none.

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
        return cast("nn.Parameter", getattr(self.module, self._attribute))

    @cached_property
    def _attribute(self) -> str:
        """Its name in the module."""
        return self.parameter_name.rpartition(".")[2]

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs of all of it, wherever its rows are."""
        first, *others = self.parameter.shape if self.number is None else self.parameter.shape[1:]
        return (math.prod(others), first) if self.inputs_first else (first, math.prod(others))

    @property
    def size(self) -> int:
        """How many weights there are, wherever they are."""
        return math.prod(self.shape)

    @property
    def along(self) -> int:
        """The dimension of its outputs in what holds its weights: the one that may be sharded."""
        return (self.number is not None) + self.inputs_first

    @property
    def first(self) -> int:
        """Number of the first row that this process holds."""
        inner = self.parameter.shape[self.along + 1 :] if self.inputs_first else ()
        return begin(self.parameter) * math.prod(inner)

    @property
    def begins(self) -> int:
        """Position of the first weight that this process holds."""
        return self.start + self.first * self.shape[1]

    def local(self) -> Float[Tensor, "rows inner"]:
        """The weights that this process holds, [rows, in]; a view."""
        return self.of(held(self.parameter.detach()))

    def gradient(self) -> Float[Tensor, "rows inner"]:
        """The gradient of these weights; a view. Zeros, not to be written to, where they have no part in the loss."""
        grad = self.parameter.grad
        return (mine := self.local()).new_zeros(()).expand(mine.shape) if grad is None else self.of(held(grad))

    def joint(self, values: Tensor) -> Tensor:
        """The sharded tensor of what all processes keep of the weights; the values themselves where this one holds all.

        Args:
            values: Kept of the weights that this process holds; anything of another shape is the same on every process.
        """
        if not is_sharded(self.parameter) or values.ndim < 2 or values.shape[-2:] != self.local().shape:
            return values
        return joint(values, self.parameter, [*values.shape[:-2], *self.shape], values.ndim - 2)

    def stored(self, parameter: Tensor) -> Tensor:
        """Its part of the tensor that holds its weights, in the order in which that stores them; a view."""
        return parameter if self.number is None else parameter[self.number]

    def of(self, parameter: Tensor) -> Float[Tensor, "out inner"]:
        """The same as [out, in]; a view. Dimensions behind the first count as one, heads and their sizes for instance.

        Args:
            parameter: As `stored` takes it.
        """
        stored = self.stored(parameter)
        if stored.ndim > 2:
            stored = stored.view(stored.shape[0], -1)
        return stored.T if self.inputs_first else stored

    def slices(self, together: int = 1) -> Iterator[slice]:
        """Rows to handle at a time, of those that this process holds: all of them in order, an empty slice where there are none.

        Args:
            together: Rows that are not to be parted; all slices but the last are multiples.
        """
        rows, inner = self.local().shape
        at_once = max(1, _SLICE // (inner * together)) * together if on_host(self.parameter) else max(1, rows)
        for lo in range(0, max(1, rows), at_once):
            yield slice(lo, min(lo + at_once, rows))

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Itself."""
        return (self,)

    def parts(self, values: Tensor) -> list[Tensor]:
        """What belongs to each of `matrices`: all of it."""
        return [values]


@final
@dataclass(frozen=True)
class Joined:
    """Neighbouring matrices as one column of weights: what treats every weight alike takes few launches on a GPU.

    Attributes:
        matrices: In order of position, without a gap.
    """

    matrices: tuple[Matrix, ...]

    @property
    def name(self) -> str:
        """Of the first matrix."""
        return self.matrices[0].name

    @property
    def begins(self) -> int:
        """Position of the first weight."""
        return self.matrices[0].start

    @property
    def shape(self) -> tuple[int, int]:
        """Weights, and 1."""
        return sum(matrix.size for matrix in self.matrices), 1

    def local(self) -> Float[Tensor, "n 1"]:
        """A copy of the weights."""
        return torch.cat([matrix.local().reshape(-1, 1) for matrix in self.matrices])

    def gradient(self) -> Float[Tensor, "n 1"]:
        """A copy of the gradients."""
        return torch.cat([matrix.gradient().reshape(-1, 1) for matrix in self.matrices])

    def slices(self, together: int = 1) -> Iterator[slice]:
        """All of it, at once."""
        yield slice(0, self.shape[0])

    def each(self) -> Iterator[slice]:
        """The rows of each matrix."""
        ends = accumulate((matrix.size for matrix in self.matrices), initial=0)
        return (slice(start, end) for start, end in pairwise(ends))

    def parts(self, values: Shaped[Tensor, "n 1"]) -> list[Tensor]:
        """What belongs to each matrix, in its shape; views."""
        return [values[rows].view(matrix.shape) for rows, matrix in zip(self.each(), self.matrices, strict=True)]


Weights = Matrix | Joined
"""What is scored at once."""


def pieces(matrices: Sequence[Matrix], *, join: bool) -> list[Weights]:
    """What is scored at once, all of it in order: matrix by matrix, or as many as there is room for on a GPU.

    Args:
        join: Whether matrices on a GPU may be joined; of sharded ones a process holds no neighbours.
    """
    found: list[list[Matrix]] = []
    count = 0
    for matrix in matrices:
        whole = not (on_host(matrix.parameter) or is_sharded(matrix.parameter))
        last = found[-1][-1] if join and found and whole else None
        follows = last is not None and matrix.start == last.start + last.size and matrix.parameter.dtype == last.parameter.dtype
        if not (follows and count + matrix.size <= AT_ONCE):
            found.append([])
            count = 0
        found[-1].append(matrix)
        count += matrix.size
    return [run[0] if len(run) == 1 else Joined(tuple(run)) for run in found]
