"""First-order sensitivity (Molchanov et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.averaging import SmoothedCriterion
from prune_cli.pruning.criteria.base import WeightRows, gradient


@final
@dataclass(frozen=True, kw_only=True)
class Sensitivity(SmoothedCriterion):
    """First-order Taylor sensitivity |w * g| (Molchanov et al. 2017, arXiv:1611.06440, equation 7).

    >>> Sensitivity().score(WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]]), None, 0.1, 0))
    tensor([[0.5000, 1.0000]])
    """

    elementwise: ClassVar[bool] = True

    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """|w * g| at every weight."""
        return torch.mul(at.weight, gradient(at)).abs_()
