"""Each matrix by itself: as sparse as an allocation says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from jaxtyping import Bool
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.allocation import allocated, rounded
from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.selection import Cutoff, Scores


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Pattern):
    """Weights compete within their matrix alone.

    Attributes:
        allocation: How sparse each matrix is: "uniform", all alike, or "erk", the larger the sparser (Evci et al. 2020,
            arXiv:1911.11134).
        sparsities: Sparsities at the end by regular expressions, of which the first that is found in a matrix's name counts;
            matrices without one share what is left to remove, as `allocation` says.
    """

    allocation: str = "uniform"
    sparsities: dict[str, float] = field(default_factory=dict[str, float])

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if self.allocation not in ("uniform", "erk"):
            yield f"allocation is {self.allocation}: give uniform or erk"
        for expression, sparsity in self.sparsities.items():
            if not 0 <= sparsity <= 1:
                yield f"sparsities has {sparsity:g} for {expression}: give a sparsity from 0 to 1"
            try:
                re.compile(expression)
            except re.error as error:
                yield f"sparsities has {expression}, which is no regular expression ({error})"

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        unused = [given for given in self.sparsities if not any(re.search(given, name) for name in layout.shapes)]
        for expression in unused:
            example = next(iter(layout.shapes))
            yield f"pattern.sparsities has {expression}, which is in no prunable matrix's name, such as {example}"
        sizes = [math.prod(shape) for shape in layout.shapes.values()]
        shares = allocated(self.sparsities, layout.shapes, sparsity, erk=False)
        led = sum(min(max(share, 0.0), 1.0) * size for share, size in zip(shares, sizes, strict=True)) / sum(sizes)
        if not unused and round(led * sum(sizes)) != round(sparsity * sum(sizes)):
            yield (
                f"sparsity={sparsity:g} cannot be reached with pattern.sparsities, which lead to {led:.4g}: give"
                f" sparsity={led:.4g}, or other sparsities"
            )

    def counts(self, layout: ModelLayout, sparsity: float, target: float) -> list[int]:
        """Weights to remove of each matrix, all together as many as `count` says.

        Args:
            sparsity: The share to remove now; those of `sparsities` are in proportion.
            target: The share to remove in the end.
        """
        given = {expression: share * sparsity / target for expression, share in self.sparsities.items()}
        shares = allocated(given, layout.shapes, sparsity, erk=self.allocation == "erk")
        return rounded(shares, [math.prod(shape) for shape in layout.shapes.values()], self.count(layout, sparsity))

    def select(self, importance: Importance, sparsity: float) -> Mask:
        """See `Pattern`."""
        counts = self.counts(importance.layout, sparsity, importance.target)
        cutoffs = tuple(cutoff_within(importance, number, count) for number, count in enumerate(counts))
        return lambda rows: below(cutoffs[rows.matrix], rows)


def cutoff_within(importance: Importance, matrix: int, remove: int) -> Cutoff:
    """The line below which so many weights of one matrix lie.

    Args:
        importance: Of all weights.
        remove: How many, from 0 to its size.
    """

    def scores() -> Iterator[Scores]:
        return (single(rows) for rows in importance.rows(matrix))

    return importance.cutoffs.find(scores, remove, f"matrix {matrix}")


def single(rows: Rows) -> Scores:
    """Single weights as selection takes them."""
    return Scores(rows.values.reshape(-1), rows.start)


def below(cutoff: Cutoff, rows: Rows) -> Bool[Tensor, "rows inner"]:
    """Which weights fall below a line."""
    return cutoff.removed(single(rows)).view(rows.values.shape)
