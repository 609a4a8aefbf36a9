"""Weights by what comes in through them (Sun et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows
from prune_cli.pruning.matrices import Weights


@final
@dataclass(frozen=True, kw_only=True)
class Wanda(Criterion):
    """Magnitude times the norm of the input, |w| * ||x|| (Wanda, Sun et al. 2023, arXiv:2306.11695, equation 1).

    The norm of each input is its root mean square over the tokens that the layer reads in training, averaged over steps; the
    paper's is over calibration texts. Which weights compete is the pattern's affair: the paper's compete within each row.
    Memory is one float32 an input, 0 bytes a weight.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = Wanda(beta=0.0).scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), None, torch.tensor([9.0, 0.25]), 0.1, 0)
    >>> scorer.observe(at, slice(0, 1), 0)
    >>> scorer.importance(at, slice(0, 1))
    tensor([[3., 1.]])

    Attributes:
        beta: Decay of the mean of squared inputs, in [0, 1).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"input"})

    beta: float = 0.9

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if not 0 <= self.beta < 1:
            yield f"beta is {self.beta:g}: give a decay from 0 to below 1, such as 0.9"

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Inputs(self.beta, weights)


@final
class _Inputs(Scorer):
    """The inputs of one matrix."""

    def __init__(self, beta: float, weights: Weights) -> None:
        self._beta = beta
        self.squares = torch.zeros(weights.shape[1], device=weights.local().device)

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        assert at.inputs is not None
        if rows.start == 0:  # the inputs of all rows are the same
            self.squares.lerp_(at.inputs, 1 - self._beta)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return at.weight.abs() * self.squares.sqrt()

    def buffers(self) -> dict[str, Tensor]:
        return {"squares": self.squares}
