"""Importance of the 0-1 integer program (Ren and Zhu 2023)."""

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
class Pins(SmoothedCriterion):
    r"""Importance of the 0-1 integer program of PINS (Ren and Zhu 2023, arXiv:2305.12394).

    A gradient step that keeps a weight changes it by \(-\eta g\), one that removes it by \(-w\). To first order the loss
    changes by \(\sum z(-\eta g^2) + (1-z)(-wg)\), least under \(\sum z = k\) for the k weights of largest

        s(w) = eta * g^2 - w * g                                    (equation 1 of the design)

    The authors' code (github.com/DRSY/PINS) ranks by |s|; `signed=True` ranks by s as derived.

    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]]), None, 0.1, 0)
    >>> Pins(signed=True).score(at)  # 0.1 * 0.25 - 0.5 and 0.1 * 0.25 + 1
    tensor([[-0.4750,  1.0250]])
    >>> Pins().score(at)
    tensor([[0.4750, 1.0250]])
    """

    elementwise: ClassVar[bool] = True

    signed: bool = False

    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """Equation 1 at every weight, as g * (eta * g - w)."""
        g = gradient(at)
        score = torch.mul(g, at.learning_rate).sub_(at.weight).mul_(g)
        return score if self.signed else score.abs_()
