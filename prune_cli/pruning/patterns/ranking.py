"""Patterns in which competitors of one size are ranked, all together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.selection import Scores


@dataclass(frozen=True, kw_only=True)
class Ranking(Pattern):
    """All competitors in one ranking: single weights, unless a subclass says otherwise."""

    @property
    def size(self) -> int:
        """Weights of a competitor."""
        return 1

    def count(self, layout: ModelLayout, sparsity: float) -> int:
        """See `Pattern`; whole competitors."""
        return round(sparsity * sum(math.prod(shape) for shape in layout.shapes.values()) / self.size) * self.size

    def competitors(self, rows: Rows) -> Float[Tensor, " competitors"]:
        """The importance of those that compete in these rows, in order of position."""
        return rows.values.reshape(-1)

    def weights(self, removed: Bool[Tensor, " competitors"], rows: Rows) -> Bool[Tensor, "rows inner"]:
        """The weights of removed competitors."""
        return removed.view(rows.values.shape)

    def scores(self, rows: Rows) -> Scores:
        """The same as selection takes them."""
        return Scores(self.competitors(rows), rows.start // self.size)

    def select(self, importance: Importance, sparsity: float) -> Mask:
        """See `Pattern`."""

        def scores() -> Iterator[Scores]:
            return (self.scores(rows) for rows in importance.rows())

        cutoff = importance.cutoffs.find(scores, self.count(importance.layout, sparsity) // self.size)
        return lambda rows: self.weights(cutoff.removed(self.scores(rows)), rows)
