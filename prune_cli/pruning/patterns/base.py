"""What a pattern is: which weights compete with each other, and as what."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.selection import CutoffFinder


class Rows(NamedTuple):
    """The importance of neighbouring rows of one matrix, or of several matrices in one column."""

    values: Float[Tensor, "rows inner"]
    """float32."""
    matrix: int
    """Number of the matrix, or of the first of several."""
    first: int
    """Number of the first row in the matrix."""
    start: int
    """Position of the first weight among all prunable weights, row by row."""


Mask = Callable[[Rows], Bool[Tensor, "rows inner"]]
"""Tells which weights of some rows are removed, from the importance that it was chosen by."""


@runtime_checkable  # so that tests can check arguments against it
class Importance(Protocol):
    """The importance of all prunable weights, to be gone through as often as a selection needs."""

    @property
    def layout(self) -> ModelLayout:
        """The matrices."""
        ...

    @property
    def target(self) -> float:
        """The share that is removed in the end, in [0, 1]."""
        ...

    @property
    def cutoffs(self) -> CutoffFinder:
        """Finds cutoffs."""
        ...

    def rows(self, matrix: int | None = None) -> Iterator[Rows]:
        """The importance, slice by slice in order of position.

        Args:
            matrix: Number of the only one that is wanted; None for all.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Pattern(ABC):
    """Which weights compete with each other."""

    @property
    def together(self) -> int:
        """Rows that a slice must not part."""
        return 1

    @property
    def anywhere(self) -> bool:
        """Whether weights compete wherever they are, so that neighbouring matrices may come as one column."""
        return False

    @property
    def structured(self) -> bool:
        """Whether whole units go, without which the model computes the same: they can be cut out of its matrices."""
        return False

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        return iter(())

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """Why the pattern does not fit these matrices or this sparsity; its values have no problems."""
        return iter(())

    def covers(self, layout: ModelLayout) -> frozenset[str]:
        """Names of the matrices that are pruned, of those that are prunable."""
        return frozenset(layout.shapes)

    def count(self, layout: ModelLayout, sparsity: float) -> int:
        """How many weights are removed at this sparsity."""
        return round(sparsity * sum(math.prod(shape) for shape in layout.shapes.values()))

    @abstractmethod
    def select(self, importance: Importance, sparsity: float) -> Mask:
        """Choose what is removed, as many weights as `count` says; of the same importance always the same.

        Args:
            sparsity: The share to remove, in [0, 1].
        """
