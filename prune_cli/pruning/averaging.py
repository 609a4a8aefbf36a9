"""Smoothing of scores over mini-batches, with uncertainty (PLATON, Zhang et al. 2022, arXiv:2206.12562, section 3)."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


@final
class SmoothedImportance:
    """Three running quantities of one weight matrix, flattened: window, ema and uncertainty.

    Scores are averaged over a window of `delta_t` steps. At the first step of each window, before it restarts,

        ema         <- beta1 * ema + (1 - beta1) * window
        uncertainty <- beta2 * uncertainty + (1 - beta2) * |window - ema|        with the ema just updated

    and the importance is ema * uncertainty, or ema alone where beta2 = 1 (the uncertainty is then not kept).
    """

    def __init__(self, like: Float[Tensor, " n"], *, delta_t: int, beta1: float, beta2: float) -> None:
        """Start at zero.

        Args:
            like: The flattened weights; buffers take their size and device, in float32.
            delta_t: Steps of a window, >= 1.
            beta1: Decay of the ema, in [0, 1).
            beta2: Decay of the uncertainty, in (0, 1].
        """
        self.delta_t = delta_t
        self.beta1 = beta1
        self.beta2 = beta2
        self.window = torch.zeros_like(like, dtype=torch.float32)
        self.ema = torch.zeros_like(self.window)
        self.uncertainty = torch.zeros_like(self.window) if beta2 < 1 else None

    def update(self, score: Float[Tensor, " m"], step: int, lo: int, hi: int) -> None:
        """Take in the scores of one step for the weights lo to hi.

        Args:
            score: Scores of the weights from lo to hi (exclusive), m = hi - lo.
            step: Steps finished before this one.
            lo: First weight, counted in this matrix.
            hi: One past the last.
        """
        window = self.window[lo:hi]
        index = step % self.delta_t
        if index == 0:
            ema = self.ema[lo:hi].lerp_(window, 1 - self.beta1)
            if self.uncertainty is not None:
                self.uncertainty[lo:hi].lerp_(
                    window.sub_(ema).abs_(), 1 - self.beta2
                )  # the window restarts: overwrite it
            window.copy_(score)
        else:
            window.lerp_(score, 1 / (index + 1))  # (window * index + score) / (index + 1)

    def importance(self, lo: int, hi: int) -> Float[Tensor, " m"]:
        """Importance of the weights lo to hi; it changes at the first step of a window only."""
        ema = self.ema[lo:hi]
        return ema.clone() if self.uncertainty is None else ema * self.uncertainty[lo:hi]

    def buffers(self) -> dict[str, Tensor]:
        """The state by name; the tensors themselves, not copies."""
        kept = {"window": self.window, "ema": self.ema}
        return kept if self.uncertainty is None else {**kept, "uncertainty": self.uncertainty}
