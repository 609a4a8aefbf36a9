"""Movement: weights are kept that move away from zero (Sanh et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows, gradient
from prune_cli.pruning.matrices import Weights

_NEEDS = frozenset({"gradient", "removed"})


@final
@dataclass(frozen=True, kw_only=True)
class Movement(Criterion):
    """Movement (Sanh et al. 2020, arXiv:2005.07683, equation 4): scores learn by gradient descent as the weights do.

    A score is the sum of -w * g over all steps so far, with the gradient of the masked weights in the forward pass and the
    weight as it was when it was removed, passed straight through the mask; the optimizer leaves removed weights alone.
    The learning rate of the scores changes their scale alone, and is left out. Memory is 9 bytes a weight: one float32, and
    what is kept of removed weights, a float32 and the mask.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = Movement().scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]]), None, 0.1, 0)
    >>> for step in range(2):
    ...     scorer.observe(at, slice(0, 1), step)
    >>> scorer.importance(at, slice(0, 1))
    tensor([[-1.,  2.]])
    """

    needs: ClassVar[frozenset[str]] = _NEEDS
    elementwise: ClassVar[bool] = True

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Sum(weights)


@final
class _Sum(Scorer):
    """The scores of one matrix."""

    def __init__(self, weights: Weights) -> None:
        self.scores = torch.zeros_like(weights.local(), dtype=torch.float32)

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        self.scores[rows].addcmul_(at.weight, gradient(at), value=-1)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return self.scores[rows].clone()

    def buffers(self) -> dict[str, Tensor]:
        return {"scores": self.scores}


@final
@dataclass(frozen=True, kw_only=True)
class SoftMovement(Criterion):
    r"""Soft movement (Sanh et al. 2020, arXiv:2005.07683, section 4): a penalty pulls all scores down, and what matters resists.

    Scores S begin at 0 and descend by Adam, as in the published code, along

        w * g + lambda / (matrices * n) * sigmoid'(S)

    the gradient of the loss, straight through the mask, and of a penalty: lambda times the mean over all matrices of each one's
    mean \(\sigma(S)\), n being its weights. As in that code, lambda grows with the schedule, from 0 to `penalty`. The paper
    keeps what is above a threshold, so that the penalty decides the sparsity; here the schedule does, to the weight. Memory is
    17 bytes a weight: score and two moments, and what is kept of removed weights.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = SoftMovement(penalty=0.0).scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]]), None, 0.1, 0)
    >>> scorer.observe(at, slice(0, 1), 0)  # the first step of Adam is as long as its learning rate
    >>> scorer.importance(at, slice(0, 1))
    tensor([[-0.0100,  0.0100]])

    Attributes:
        learning_rate: Of the scores, > 0.
        penalty: The lambda of the end, >= 0; 400 as published.
    """

    needs: ClassVar[frozenset[str]] = _NEEDS

    learning_rate: float = 0.01
    penalty: float = 400.0

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if not 0 < self.learning_rate < math.inf:
            yield f"learning_rate is {self.learning_rate:g}: give a number above 0, as published 0.01"
        if not 0 <= self.penalty < math.inf:
            yield f"penalty is {self.penalty:g}: give 0 or a number above, as published 400"

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Learned(self, weights)


_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's own


@final
class _Learned(Scorer):
    """The scores of one matrix, and the moments of Adam."""

    def __init__(self, criterion: SoftMovement, weights: Weights) -> None:
        self._criterion = criterion
        self._size = sum(matrix.size for matrix in weights.matrices)
        self.scores = torch.zeros_like(weights.local(), dtype=torch.float32)
        self.first = torch.zeros_like(self.scores)
        self.second = torch.zeros_like(self.scores)

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        soft = self.scores[rows].sigmoid()
        penalty = self._criterion.penalty * at.ramp / (at.matrices * self._size)
        grad = (1 - soft).mul_(soft).mul_(penalty).addcmul_(at.weight, gradient(at))
        first = self.first[rows].lerp_(grad, 1 - _BETA1)
        second = self.second[rows].mul_(_BETA2).addcmul_(grad, grad, value=1 - _BETA2)
        size = (second / (1 - _BETA2 ** (step + 1))).sqrt_().add_(_EPSILON)
        self.scores[rows].addcdiv_(first, size, value=-self._criterion.learning_rate / (1 - _BETA1 ** (step + 1)))

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return self.scores[rows].clone()

    def buffers(self) -> dict[str, Tensor]:
        return {"scores": self.scores, "first": self.first, "second": self.second}
