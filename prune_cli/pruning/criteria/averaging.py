"""Scores smoothed over mini-batches, with uncertainty (PLATON, Zhang et al. 2022, arXiv:2206.12562, section 3)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows, shaped
from prune_cli.pruning.matrices import Weights


@dataclass(frozen=True, kw_only=True)
class SmoothedCriterion(Criterion):
    """A criterion scored at every step from clipped gradients, and smoothed over mini-batches.

    Memory is three float32 and the mask a weight, 13 bytes; two float32, 9 bytes, without uncertainty. See `SmoothedImportance`.

    Attributes:
        beta1: Decay of the average over windows of delta_t steps, in [0, 1).
        beta2: Decay of the uncertainty, in (0, 1]; 1 leaves uncertainty out.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    beta1: float = 0.85
    beta2: float = 0.99

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if not 0 <= self.beta1 < 1:
            yield f"beta1 is {self.beta1:g}: give a decay from 0 to below 1, as published 0.85"
        if not 0 < self.beta2 <= 1:
            yield f"beta2 is {self.beta2:g}: give a decay above 0 up to 1 (1: no uncertainty), as published 0.99"

    @abstractmethod
    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """Score each weight from its gradient; any finite value, higher is more important."""

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return SmoothedImportance(self, weights, delta_t)


@final
class SmoothedImportance(Scorer):
    """Three running quantities of one weight matrix: window, ema and uncertainty.

    Scores are averaged over a window of `delta_t` steps. At the first step of each window, before it restarts,

        ema         <- beta1 * ema + (1 - beta1) * window
        uncertainty <- beta2 * uncertainty + (1 - beta2) * |window - ema|        with the ema just updated

    and the importance is ema * uncertainty, or ema alone where beta2 = 1 (the uncertainty is then not kept).
    """

    steady = True

    def __init__(self, criterion: SmoothedCriterion, weights: Weights, delta_t: int) -> None:
        """Start at zero.

        Args:
            criterion: Scores each step, and has the decays.
            matrix: Buffers take its size and device, in float32.
            delta_t: Steps of a window, >= 1.
        """
        self.criterion = criterion
        self.name = weights.name
        self.delta_t = delta_t
        self.window = torch.zeros_like(weights.local(), dtype=torch.float32)
        self.ema = torch.zeros_like(self.window)
        self.uncertainty = torch.zeros_like(self.window) if criterion.beta2 < 1 else None

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        """See `Scorer`."""
        score = shaped(self.criterion.score(at), at, self.criterion, self.name)
        window = self.window[rows]
        index = step % self.delta_t
        if index == 0:
            ema = self.ema[rows].lerp_(window, 1 - self.criterion.beta1)
            if self.uncertainty is not None:  # the window restarts: overwrite it
                self.uncertainty[rows].lerp_(window.sub_(ema).abs_(), 1 - self.criterion.beta2)
            window.copy_(score)
        else:
            window.lerp_(score, 1 / (index + 1))  # (window * index + score) / (index + 1)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        """See `Scorer`."""
        ema = self.ema[rows]
        return ema.clone() if self.uncertainty is None else ema * self.uncertainty[rows]

    def buffers(self) -> dict[str, Tensor]:
        """See `Scorer`."""
        kept = {"window": self.window, "ema": self.ema}
        return kept if self.uncertainty is None else {**kept, "uncertainty": self.uncertainty}
