"""Blocks of neighbouring weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.base import Rows
from prune_cli.pruning.patterns.ranking import Ranking


@final
@dataclass(frozen=True, kw_only=True)
class Block(Ranking):
    """Blocks of neighbouring weights compete by the mean of their importance, and go or stay as a whole.

    Attributes:
        block: Outputs and inputs of a block, such as [4, 4] or [1, 4].
    """

    block: tuple[int, int] = (4, 4)

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if min(self.block) < 1:
            yield f"block is {list(self.block)}: give outputs and inputs, whole numbers from 1 on"

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        high, wide = self.block
        for name, (out, inner) in layout.shapes.items():
            if out % high or inner % wide:
                fits = [math.gcd(*(shape[side] for shape in layout.shapes.values())) for side in (0, 1)]
                yield (
                    f"pattern.block=[{high},{wide}] does not divide {name}, which is {out} x {inner}: give divisors of {fits[0]}"
                    f" and {fits[1]}, or leave that matrix out by model.exclude"
                )
                return

    @property
    def together(self) -> int:
        """See `Pattern`."""
        return self.block[0]

    @property
    def size(self) -> int:
        """See `Ranking`."""
        return math.prod(self.block)

    def competitors(self, rows: Rows) -> Float[Tensor, " competitors"]:
        """See `Ranking`."""
        high, wide = self.block
        return rows.values.reshape(-1, high, rows.values.shape[1] // wide, wide).mean((1, 3)).flatten()

    def weights(self, removed: Bool[Tensor, " competitors"], rows: Rows) -> Bool[Tensor, "rows inner"]:
        """See `Ranking`."""
        high, wide = self.block
        blocks = removed.view(-1, rows.values.shape[1] // wide)
        return blocks.repeat_interleave(high, 0).repeat_interleave(wide, 1)
