"""Whole attention heads, feed-forward neurons and layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.patterns.uniform import below, single
from prune_cli.pruning.selection import CutoffFinder, Scores

KINDS = ("heads", "neurons", "layers")
_ROUNDING = 1e-9  # of a number of units that is whole but for the last digits


@final
@dataclass(frozen=True, kw_only=True)
class Units(Pattern):
    """Whole units compete by the sum of their weights' importance; what the units are made of is all that is prunable.

    Each kind has a ranking of its own, and so have units of one kind that differ in size, such as layers of encoder and decoder:
    of each, the same share goes, rounded to whole units.

    With `inside`, some of what they leave goes weight by weight, as many as make the count exact.

    Attributes:
        units: Kinds of unit: heads, neurons (of feed-forwards), or layers.
        inside: Share of the weights of the units that stay which goes too, in [0, 1): of a sparsity s, units make up
            (s - inside) / (1 - inside), rounded down to whole ones.
    """

    units: tuple[str, ...] = ("heads",)
    inside: float = 0.0

    @property
    def structured(self) -> bool:
        """See `Pattern`."""
        return True

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if unknown := [kind for kind in self.units if kind not in KINDS]:
            yield f"units has {unknown[0]}: give some of {', '.join(KINDS)}"
        if not self.units or len(set(self.units)) < len(self.units):
            yield f"units is {list(self.units)}: name each kind once, one at least"
        if "layers" in self.units and len(self.units) > 1:
            yield f"units is {list(self.units)}: layers hold all of their heads and neurons, give pattern=layers alone"
        if not 0 <= self.inside < 1:
            yield f"inside is {self.inside:g}: give the share that goes weight by weight of what stays, from 0 to below 1"

    def incompatibilities(self, layout: ModelLayout, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        for kind in self.units:
            if not layout.structures.get(kind):
                yield (
                    f"pattern.units={list(self.units)}: where the {kind} of this architecture are is not known, or model.include"
                    " and model.exclude leave none: choose another pattern, such as pattern=block"
                )
            elif sparsity <= self.inside:
                yield (
                    f"sparsity={sparsity:g} leaves nothing for whole units where pattern.inside={self.inside:g} goes weight by"
                    " weight: give a higher sparsity, or a lower pattern.inside"
                )
            elif sparsity < 1 and not any(gone for _, _, gone in self._shares(layout, kind, sparsity, self.inside)):
                units = len(layout.sizes(kind))
                least = self.inside + (1 - self.inside) / units
                short = "one" if self.inside else "half of one"
                yield f"sparsity={sparsity:g} of {units} {kind} is less than {short}: give sparsity={least:.2g} or more"

    def covers(self, layout: ModelLayout) -> frozenset[str]:
        """See `Pattern`."""
        return frozenset(name for kind in self.units for name in layout.structures.get(kind, ()))

    def count(self, layout: ModelLayout, sparsity: float) -> int:
        """See `Pattern`; of whole units, to the weight where some go inside of them."""
        if self.inside:
            return super().count(layout, sparsity)
        return sum(gone * size for kind in self.units for size, _, gone in self._shares(layout, kind, sparsity, 0.0))

    def _shares(
        self, layout: ModelLayout, kind: str, sparsity: float, inside: float
    ) -> Iterator[tuple[int, Int[Tensor, " alike"], int]]:
        """Of units of the same size: it, their numbers, and how many of them go."""
        share = (sparsity - inside) / (1 - inside)
        for size, alike in _groups(layout.sizes(kind)):
            yield size, alike, math.floor(share * len(alike) + _ROUNDING) if inside else round(share * len(alike))

    def select(self, importance: Importance, sparsity: float) -> Mask:
        """See `Pattern`."""
        layout = importance.layout
        inside = self.inside * sparsity / importance.target
        gone: dict[str, Tensor] = {}
        for kind in self.units:
            sums = _sums(importance, kind)
            removed = torch.zeros(len(sums), dtype=torch.bool)
            for _, alike, count in self._shares(layout, kind, sparsity, inside):
                of_units = Scores(sums[alike], 0)
                removed[alike] = CutoffFinder().find(lambda of_units=of_units: iter((of_units,)), count).removed(of_units)
            gone[kind] = removed
        names = list(layout.shapes)

        def whole(rows: Rows) -> Bool[Tensor, "rows inner"]:
            """What goes with its unit."""
            mask = torch.zeros_like(rows.values, dtype=torch.bool)
            name = names[rows.matrix]
            for kind, units in gone.items():
                if (part := layout.structures[kind].get(name)) is not None:
                    along = units[part.units(layout.shapes[name][part.axis])].to(mask.device)
                    mask |= along[rows.first : rows.first + len(mask), None] if part.axis == 0 else along[None]
            return mask

        if not self.inside:
            return whole

        def lowered(rows: Rows) -> Rows:
            """The importance, of what goes with its unit the lowest number there is."""
            return rows._replace(values=rows.values.masked_fill(whole(rows), torch.finfo(rows.values.dtype).min))

        def scores() -> Iterator[Scores]:
            return (single(lowered(rows)) for rows in importance.rows())

        cutoff = importance.cutoffs.find(scores, self.count(layout, sparsity))
        return lambda rows: below(cutoff, lowered(rows))


def _groups(sizes: Int[Tensor, " units"]) -> Iterator[tuple[int, Int[Tensor, " alike"]]]:
    """Units of the same size: it, and their numbers."""
    every = cast("list[int]", sizes.tolist())  # pyright: ignore[reportUnknownMemberType] torch does not say
    for size in sorted(set(every)):
        yield size, (sizes == size).nonzero().flatten()


def _sums(importance: Importance, kind: str) -> Float[Tensor, " units"]:
    """The importance of each unit, wherever its weights are."""
    layout = importance.layout
    parts = layout.structures[kind]
    sums = torch.zeros(len(layout.sizes(kind)), dtype=torch.float64)
    belongs: list[Tensor] = []
    summed: list[Tensor] = []
    for number, name in enumerate(layout.shapes):
        if (part := parts.get(name)) is None:
            continue
        units = part.units(layout.shapes[name][part.axis])
        for rows in importance.rows(number):
            belongs.append(units[rows.first : rows.first + len(rows.values)] if part.axis == 0 else units)
            summed.append(rows.values.double().sum(1 - part.axis))
    sums.index_add_(0, torch.cat(belongs), torch.cat(summed).cpu())  # waits for a GPU once
    return importance.cutoffs.total(sums).float()
