"""The pruner in float64 numpy, written from the formulas alone: slow, with whole arrays and a sort."""

from __future__ import annotations

import numpy as np


class ReferencePruner:
    """Scores, averages and selects as the formulas say, for the |eta g^2 - w g| criterion."""

    def __init__(
        self,
        size: int,
        *,
        delta_t: int,
        beta1: float,
        beta2: float,
        signed: bool,
        initial: float,
        final: float,
        target: float,
        steps: int,
    ) -> None:
        self.delta_t, self.beta1, self.beta2, self.signed = delta_t, beta1, beta2, signed
        self.initial, self.final, self.target, self.steps = initial, final, target, steps
        self.window, self.ema, self.unc = np.zeros(size), np.zeros(size), np.zeros(size)

    def score(self, w: np.ndarray, g: np.ndarray, eta: float, t: int) -> None:
        s = eta * g**2 - w * g
        s = s if self.signed else np.abs(s)
        j = t % self.delta_t
        if j == 0:
            self.ema = self.beta1 * self.ema + (1 - self.beta1) * self.window
            self.unc = self.beta2 * self.unc + (1 - self.beta2) * np.abs(self.window - self.ema)
            self.window = s
        else:
            self.window = (self.window * j + s) / (j + 1)

    @property
    def importance(self) -> np.ndarray:
        return self.ema * self.unc if self.beta2 < 1 else self.ema

    def removed(self, t: int) -> np.ndarray | None:
        """Mask of what is removed after step t, or None where nothing is selected."""
        end = self.steps - self.final
        if t < self.initial or (t < end and t % self.delta_t != 0):
            return None
        r_final = 1 - self.target
        r = r_final
        if t < end:
            r = r_final + (1 - r_final) * (1 - (t - self.initial) / (end - self.initial)) ** 3
        remove = round((1 - r) * len(self.ema))
        order = np.lexsort((-np.arange(len(self.ema)), self.importance))
        removed = np.zeros(len(self.ema), dtype=bool)
        removed[order[:remove]] = True
        return removed
