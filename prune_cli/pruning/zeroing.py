"""Zeroing weights without a branch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from prune_cli.pruning.matrices import Weights, on_host

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of a number


def keep(values: Sequence[Tensor | None], mask: Bool[Tensor, "rows inner"], weights: Weights) -> None:
    """Multiply the bits of numbers by 0 or 1, in place: what is removed is +0.0, be it infinite or no number at all.

    On a CPU it takes the same time whatever the mask is, where `masked_fill_` takes a branch for each number.

    Args:
        values: What belongs to each matrix of the weights, views or not, None where there is nothing; of a single matrix some
            rows will do.
        mask: Which numbers are kept, of the same rows.
    """
    kind = _BITS[weights.matrices[0].parameter.element_size()]
    factors = mask if on_host(mask) else mask.to(kind)  # multiplied as it is, it would take a launch a matrix
    pairs = [(each.view(kind), part) for each, part in zip(values, weights.parts(factors), strict=True) if each is not None]
    if on_host(mask):
        for bits, part in pairs:
            bits.mul_(part)
    elif pairs:
        torch._foreach_mul_(*map(list, zip(*pairs, strict=True)))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage] its only name


def integers(values: Shaped[Tensor, "*size"]) -> Int[Tensor, "*size"]:
    """The bits of numbers as integers; a view."""
    return values.view(_BITS[values.element_size()])
