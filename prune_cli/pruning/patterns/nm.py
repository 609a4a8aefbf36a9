"""N of every M neighbouring inputs: what sparse tensor cores take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.base import Rows
from prune_cli.pruning.patterns.floor import lifted
from prune_cli.pruning.patterns.ranking import Ranking


@final
@dataclass(frozen=True, kw_only=True)
class NofM(Ranking):
    """At least n of every m neighbouring inputs of an output are kept, and at the end no more.

    See Mishra et al. 2021 (arXiv:2104.08378).

    The n best of each group stay in any case; all others compete in one ranking while sparsity grows, and at the end, at
    1 - n / m, all of them are gone. Among equal weights of a group the first ones are kept.

    Attributes:
        n: Weights that are kept of each group, >= 1.
        m: Weights of a group, > n.
    """

    n: int = 2
    m: int = 4

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if not 1 <= self.n < self.m:
            yield f"n is {self.n} of m={self.m}: give at least 1 and less than m, such as pattern.n=2 pattern.m=4"

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        if not math.isclose(sparsity, 1 - self.n / self.m):
            yield (
                f"pattern=nm keeps {self.n} of {self.m}, which is sparsity={1 - self.n / self.m:g}, and not {sparsity:g}: give"
                f" that, or another pattern.n and pattern.m{_such_as(sparsity)}"
            )
        for name, (_, inner) in layout.shapes.items():
            if inner % self.m:
                yield (
                    f"pattern.m={self.m} does not divide the {inner} inputs of {name}: give another, such as"
                    f" {math.gcd(*(inner for _, inner in layout.shapes.values()))}, or leave that matrix out by model.exclude"
                )
                return

    def competitors(self, rows: Rows) -> Float[Tensor, " competitors"]:
        """See `Ranking`; the best of each group are out of reach."""
        return lifted(rows.values, best(rows.values, self.n, self.m)).reshape(-1)


def best(values: Float[Tensor, "rows inner"], n: int, m: int) -> Bool[Tensor, "rows inner"]:
    """Which are among the n largest of their m neighbours, the first ones among equals.

    Args:
        values: Any numbers; m divides the length of a row.
        m: Of how many.

    >>> best(torch.tensor([[1.0, 2.0, 2.0, 2.0]]), 2, 4)
    tensor([[False,  True,  True, False]])
    """
    groups = values.reshape(len(values), values.shape[1] // m, m)
    before = torch.zeros_like(groups, dtype=torch.int8)  # how many of a group come before
    for place in range(m):
        other = groups[..., place : place + 1]
        before[..., :place] += other > groups[..., :place]
        before[..., place + 1 :] += other >= groups[..., place + 1 :]
    return (before < n).flatten(-2)


def _such_as(sparsity: float) -> str:
    """Numbers of which a sparsity would be right, if small ones are."""
    for m in (2, 4, 8, 10, 16, 20, 32):
        n = round((1 - sparsity) * m)
        if 1 <= n < m and math.isclose(1 - n / m, sparsity):
            return f", such as pattern.n={n} pattern.m={m}"
    return ""
