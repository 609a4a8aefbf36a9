"""What the prunable matrices of a model look like, and which of their rows and columns make a unit that can go as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from jaxtyping import Int
from torch import Tensor

from prune_cli.pruning.matrices import Matrix


class Part(NamedTuple):
    """The units of one kind that the rows, or the columns, of a matrix belong to."""

    axis: int
    """0 for rows, 1 for columns."""
    first: int
    """Number of the first unit."""
    size: int
    """Neighbouring rows or columns of a unit."""
    period: int
    """After how many the units come again: all of them, unless one matrix makes queries, keys and values."""

    def units(self, count: int) -> Int[Tensor, " count"]:
        """The unit of each row or column.

        >>> Part(0, 3, 2, 4).units(8)
        tensor([3, 3, 4, 4, 3, 3, 4, 4])
        """
        return self.first + torch.arange(count) % self.period // self.size


@final
@dataclass(frozen=True)
class ModelLayout:
    """The matrices of a model.

    Attributes:
        shapes: Outputs and inputs of each matrix by its name, in order of position.
        structures: For each kind of unit ("heads", "neurons", "layers") the parts of the matrices that have such; empty for an
            architecture that nobody has told this of.
    """

    shapes: Mapping[str, tuple[int, int]]
    structures: Mapping[str, Mapping[str, Part]] = field(default_factory=dict[str, Mapping[str, Part]])

    @staticmethod
    def of(matrices: Sequence[Matrix]) -> ModelLayout:
        """That of some matrices, nothing known of units.

        Args:
            matrices: In order of position.
        """
        return ModelLayout({matrix.name: matrix.shape for matrix in matrices})

    def sizes(self, kind: str) -> Int[Tensor, " units"]:
        """Weights of each unit of a kind.

        Args:
            kind: One of `structures`.
        """
        parts = self.structures[kind]
        units = 1 + max(int(part.units(self.shapes[name][part.axis]).max()) for name, part in parts.items())
        sizes = torch.zeros(units, dtype=torch.int64)
        for name, part in parts.items():
            shape = self.shapes[name]
            belongs = part.units(shape[part.axis])
            sizes.index_add_(0, belongs, torch.full_like(belongs, shape[1 - part.axis]))
        return sizes
