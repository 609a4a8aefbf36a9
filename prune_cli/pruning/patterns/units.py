"""Whole attention heads, feed-forward neurons and layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.selection import NOTHING, Scores, find_cutoff
from prune_cli.pruning.structure import Form

KINDS = ("heads", "neurons", "layers")


@final
@dataclass(frozen=True, kw_only=True)
class Units(Pattern):
    """Whole units compete by the sum of their weights' importance; what the units are made of is all that is prunable.

    Each kind has a ranking of its own, and so have units of one kind that differ in size, such as layers of encoder and decoder:
    of each, the same share goes, rounded to whole units.

    Attributes:
        units: Kinds of unit: heads, neurons (of feed-forwards), or layers.
    """

    units: tuple[str, ...] = ("heads",)

    def problems(self) -> Iterator[str]:
        """See `Pattern`."""
        if unknown := [kind for kind in self.units if kind not in KINDS]:
            yield f"units has {unknown[0]}: give some of {', '.join(KINDS)}"
        if not self.units or len(set(self.units)) < len(self.units):
            yield f"units is {list(self.units)}: name each kind once, one at least"
        if "layers" in self.units and len(self.units) > 1:
            yield f"units is {list(self.units)}: layers hold all of their heads and neurons, give pattern=layers alone"

    def misfits(self, form: Form, sparsity: float) -> Iterator[str]:
        """See `Pattern`."""
        for kind in self.units:
            if not form.structures.get(kind):
                yield (
                    f"pattern.units={list(self.units)}: where the {kind} of this architecture are is not known, or model.include"
                    " and model.exclude leave none: choose another pattern, such as pattern=block"
                )
            elif sparsity < 1 and self.count(form, sparsity) == 0:
                units = len(form.sizes(kind))
                yield f"sparsity={sparsity:g} of {units} {kind} is less than half of one: give sparsity={1 / units:.2g} or more"

    def covers(self, form: Form) -> frozenset[str]:
        """See `Pattern`."""
        return frozenset(name for kind in self.units for name in form.structures.get(kind, ()))

    def count(self, form: Form, sparsity: float) -> int:
        """See `Pattern`; of whole units."""
        return sum(
            round(sparsity * len(alike)) * size for kind in self.units for size, alike in _groups(form.sizes(kind))
        )

    def select(self, importance: Importance, sparsity: float) -> Mask:
        """See `Pattern`."""
        form = importance.form
        gone: dict[str, Tensor] = {}
        for kind in self.units:
            sums, sizes = _sums(importance, kind), form.sizes(kind)
            removed = torch.zeros(len(sizes), dtype=torch.bool)
            for _, alike in _groups(sizes):
                scores = Scores(sums[alike], 0, f"the {kind}")
                cutoff = find_cutoff(lambda scores=scores: iter((scores,)), round(sparsity * len(alike))) or NOTHING
                removed[alike] = cutoff.removed(scores)
            gone[kind] = removed
        return UnitMask(form, gone, self.count(form, sparsity))

    def restore(self, state: Mapping[str, Tensor], form: Form) -> Mask:
        """See `Pattern`."""
        gone = {kind: state[f"units.{kind}"].cpu() for kind in self.units}
        return UnitMask(form, gone, int(state["removed"]))


def _groups(sizes: Int[Tensor, " units"]) -> Iterator[tuple[int, Int[Tensor, " alike"]]]:
    """Units of the same size: it, and their numbers."""
    every = cast("list[int]", sizes.tolist())  # pyright: ignore[reportUnknownMemberType] torch does not say
    for size in sorted(set(every)):
        yield size, (sizes == size).nonzero().flatten()


def _sums(importance: Importance, kind: str) -> Float[Tensor, " units"]:
    """The importance of each unit."""
    form = importance.form
    parts = form.structures[kind]
    sums = torch.zeros(len(form.sizes(kind)), dtype=torch.float64)
    for number, name in enumerate(form.shapes):
        if (part := parts.get(name)) is None:
            continue
        belongs = part.units(form.shapes[name][part.axis])
        first = 0
        for rows in importance.rows(number):
            count = len(rows.values)
            summed = rows.values.double().sum(1 - part.axis).cpu()
            sums.index_add_(0, belongs[first : first + count] if part.axis == 0 else belongs, summed)
            first += count
    return sums.float()


@final
@dataclass(frozen=True)
class UnitMask:
    """Units that are gone.

    Attributes:
        form: Where they are.
        gone: For each kind, which.
        removed: How many weights these have.
    """

    form: Form
    gone: Mapping[str, Bool[Tensor, " units"]]
    removed: int

    def of(self, rows: Rows) -> Bool[Tensor, "rows inner"]:
        """See `Mask`."""
        mask = torch.zeros_like(rows.values, dtype=torch.bool)
        name, shape = list(self.form.shapes.items())[rows.matrix]
        for kind, gone in self.gone.items():
            if (part := self.form.structures[kind].get(name)) is not None:
                along = gone[part.units(shape[part.axis])].to(mask.device)
                mask |= along[rows.first : rows.first + len(mask), None] if part.axis == 0 else along[None]
        return mask

    def state(self) -> dict[str, Tensor]:
        """See `Mask`."""
        return {"removed": torch.tensor(self.removed), **{f"units.{kind}": gone for kind, gone in self.gone.items()}}
