"""Magnitude (Zhu and Gupta 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import WeightCriterion, WeightRows


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(WeightCriterion):
    """Magnitude |w| at the moment of selection (Zhu and Gupta 2017, arXiv:1710.01878). Nothing is kept: 0 bytes a weight.

    >>> import torch
    >>> Magnitude().score(WeightRows(torch.tensor([[1.0, -2.0]]), None, None, 0.1, 0))
    tensor([[1., 2.]])
    """

    elementwise: ClassVar[bool] = True

    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """|w| at every weight."""
        return at.weight.abs()
