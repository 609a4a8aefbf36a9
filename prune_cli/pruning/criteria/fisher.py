"""Optimal brain damage with the diagonal of the empirical Fisher information."""

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
class Fisher(Criterion):
    """Second-order loss of a removed weight, h * w^2 / 2 (LeCun et al. 1989, Optimal Brain Damage, equation 5).

    The curvature h is the diagonal of the empirical Fisher information, the mean of g^2 over mini-batches (Theis et al. 2018,
    arXiv:1801.05787); w is the weight at the moment of selection. Memory is one float32 a weight, 4 bytes.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = Fisher(beta=0.5).scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 1.0]]), None, 0.1, 0)
    >>> scorer.observe(at, slice(0, 1), 0)  # h = 0.125 and 0.5
    >>> scorer.importance(at, slice(0, 1))
    tensor([[0.0625, 1.0000]])

    Attributes:
        beta: Decay of the mean of g^2, in [0, 1).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})
    elementwise: ClassVar[bool] = True

    beta: float = 0.99

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if not 0 <= self.beta < 1:
            yield f"beta is {self.beta:g}: give a decay from 0 to below 1, such as 0.99"

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Diagonal(self.beta, weights)


@final
class _Diagonal(Scorer):
    """The curvature of one matrix."""

    def __init__(self, beta: float, weights: Weights) -> None:
        self._beta = beta
        self.curvature = torch.zeros_like(weights.local(), dtype=torch.float32)

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        grad = gradient(at)
        self.curvature[rows].mul_(self._beta).addcmul_(grad, grad, value=1 - self._beta)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return (self.curvature[rows] * at.weight).mul_(at.weight).mul_(0.5)

    def buffers(self) -> dict[str, Tensor]:
        return {"curvature": self.curvature}
