"""One ranking of all weights in which no matrix is emptied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.patterns.uniform import below, cutoff_within, single
from prune_cli.pruning.selection import Cutoff, Scores


@final
@dataclass(frozen=True, kw_only=True)
class Floor(Pattern):
    """All weights compete in one ranking, but the best of each matrix stay in any case.

    Attributes:
        keep: The least that is kept of each matrix, as a fraction in [0, 1].
    """

    keep: float = 0.01

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if not 0 <= self.keep <= 1:
            yield f"keep is {self.keep:g}: give the fraction of each matrix that is kept in any case, from 0 to 1"

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        total = sum(map(math.prod, layout.shapes.values()))
        kept = sum(map(self.kept, layout.shapes.values()))
        count = self.count(layout, sparsity)
        if count > total - kept:
            most, keep = (
                (total - kept) / total,
                max(0, total - count - len(layout.shapes)) / total,
            )  # each matrix rounds up
            yield (
                f"sparsity={sparsity:g} would remove more than pattern.keep={self.keep:g} of each matrix allows: give"
                f" sparsity={_down(most):g} at most, or pattern.keep={_down(keep):g}"
            )

    def kept(self, shape: tuple[int, int]) -> int:
        """Weights of a matrix that stay in any case."""
        return math.ceil(self.keep * math.prod(shape))

    def select(self, importance: Importance, sparsity: float) -> Mask:
        """See `Pattern`."""
        floors = tuple(
            cutoff_within(importance, number, math.prod(shape) - self.kept(shape))
            for number, shape in enumerate(importance.layout.shapes.values())
        )

        def scores() -> Iterator[Scores]:
            return (single(_lifted(rows, floors)) for rows in importance.rows())

        cutoff = importance.cutoffs.find(scores, self.count(importance.layout, sparsity))
        return lambda rows: below(cutoff, _lifted(rows, floors))


def _down(share: float) -> float:
    """Four digits, rounded down."""
    return math.floor(1e4 * share) / 1e4


def _lifted(rows: Rows, floors: tuple[Cutoff, ...]) -> Rows:
    """The importance, of what stays in any case the largest there is."""
    return rows._replace(values=lifted(rows.values, ~below(floors[rows.matrix], rows)))


def lifted(values: Float[Tensor, "rows inner"], stays: Bool[Tensor, "rows inner"]) -> Float[Tensor, "rows inner"]:
    """The importance, of what stays in any case the largest number; what is no number is left for selection to refuse."""
    return torch.where(stays & values.isfinite(), torch.finfo(values.dtype).max, values)
