"""Sensitivity and its uncertainty (PLATON, Zhang et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows, gradient
from prune_cli.pruning.matrices import Weights


@final
@dataclass(frozen=True, kw_only=True)
class Platon(Criterion):
    """Upper confidence bound of the sensitivity |w * g| (PLATON, Zhang et al. 2022, arXiv:2206.12562, equations 5 to 8).

    At every step, as the paper has it; `Sensitivity` averages over windows first, as the authors' code does:

        ema         <- beta1 * ema + (1 - beta1) * |w * g|
        uncertainty <- beta2 * uncertainty + (1 - beta2) * | |w * g| - ema |        with the ema just updated
        importance  =  ema * uncertainty

    Memory is two float32 a weight, 8 bytes.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = Platon(beta1=0.5, beta2=0.5).scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]]), None, 0.1, 0)
    >>> scorer.observe(at, slice(0, 1), 0)  # ema 0.25 and 0.5, uncertainty as much again halved
    >>> scorer.importance(at, slice(0, 1))
    tensor([[0.0312, 0.1250]])

    Attributes:
        beta1: Decay of the mean, in [0, 1).
        beta2: Decay of the uncertainty, in [0, 1).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})
    elementwise: ClassVar[bool] = True

    beta1: float = 0.85
    beta2: float = 0.95

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        for name, value, published in (("beta1", self.beta1, 0.85), ("beta2", self.beta2, 0.95)):
            if not 0 <= value < 1:
                yield f"{name} is {value:g}: give a decay from 0 to below 1, as published {published}"

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Bound(self, weights)


@final
class _Bound(Scorer):
    """The running quantities of one matrix."""

    def __init__(self, criterion: Platon, weights: Weights) -> None:
        self._criterion = criterion
        self.ema = torch.zeros_like(weights.local(), dtype=torch.float32)
        self.uncertainty = torch.zeros_like(self.ema)

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        score = torch.mul(at.weight, gradient(at)).abs_()
        ema = self.ema[rows].lerp_(score, 1 - self._criterion.beta1)
        self.uncertainty[rows].lerp_(score.sub_(ema).abs_(), 1 - self._criterion.beta2)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return self.ema[rows] * self.uncertainty[rows]

    def buffers(self) -> dict[str, Tensor]:
        return {"ema": self.ema, "uncertainty": self.uncertainty}
