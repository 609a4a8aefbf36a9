"""Criteria: how important each weight is. A class here and a YAML in conf/criterion make one.

Scores are compared across all prunable weights; the lowest are removed first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor


class WeightSlice(NamedTuple):
    """A run of neighbouring weights of one matrix, flattened: the unit in which scores are computed."""

    weight: Float[Tensor, " n"]
    """The weights: before the optimizer step where gradients are used, else as they are."""
    grad: Float[Tensor, " n"] | None
    """Their gradients after clipping; None for a criterion that needs none."""
    learning_rate: float
    """Learning rate of the step that is about to be taken."""
    start: int
    """Position of the first weight among all prunable weights."""


@dataclass(frozen=True, kw_only=True)
class Criterion(ABC):
    """A score for every weight.

    A direct subclass is scored at the moment of selection from the weights alone.

    Attributes:
        delta_t: Steps between two selections while sparsity grows, >= 1.
    """

    delta_t: int = 10

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if self.delta_t < 1:
            yield f"delta_t is {self.delta_t}: it counts steps, give a whole number from 1 on"

    @abstractmethod
    def score(self, at: WeightSlice) -> Float[Tensor, " n"]:
        """Score each weight of the slice; any finite value, higher is more important."""


@dataclass(frozen=True, kw_only=True)
class SmoothedCriterion(Criterion):
    """A criterion scored at every step from clipped gradients, and smoothed over mini-batches.

    The smoothing is that of PLATON (Zhang et al. 2022, arXiv:2206.12562), see `SmoothedImportance`.

    Attributes:
        beta1: Decay of the average over windows of delta_t steps, in [0, 1).
        beta2: Decay of the uncertainty, in (0, 1]; 1 leaves uncertainty out.
    """

    beta1: float = 0.85
    beta2: float = 0.99

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if not 0 <= self.beta1 < 1:
            yield f"beta1 is {self.beta1:g}: give a decay from 0 to below 1, as published 0.85"
        if not 0 < self.beta2 <= 1:
            yield f"beta2 is {self.beta2:g}: give a decay above 0 up to 1 (1: no uncertainty), as published 0.99"


def gradient(at: WeightSlice) -> Float[Tensor, " n"]:
    """The gradient of a slice, which the engine provides to every smoothed criterion."""
    assert at.grad is not None
    return at.grad


@final
@dataclass(frozen=True, kw_only=True)
class Pins(SmoothedCriterion):
    r"""Importance of the 0-1 integer program of PINS (Ren and Zhu 2023, arXiv:2305.12394).

    A gradient step that keeps a weight changes it by \(-\eta g\), one that removes it by \(-w\). To first order the loss
    changes by \(\sum z(-\eta g^2) + (1-z)(-wg)\), least under \(\sum z = k\) for the k weights of largest

        s(w) = eta * g^2 - w * g                                    (equation 1 of the design)

    The authors' code (github.com/DRSY/PINS) ranks by |s|; `signed=True` ranks by s as derived.

    >>> at = WeightSlice(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.5]), 0.1, 0)
    >>> Pins(signed=True).score(at)  # 0.1 * 0.25 - 0.5 and 0.1 * 0.25 + 1
    tensor([-0.4750,  1.0250])
    >>> Pins().score(at)
    tensor([0.4750, 1.0250])
    """

    signed: bool = False

    def score(self, at: WeightSlice) -> Float[Tensor, " n"]:
        """Equation 1 at every weight, as g * (eta * g - w)."""
        g = gradient(at)
        score = torch.sub(g * at.learning_rate, at.weight).mul_(g)
        return score if self.signed else score.abs_()


@final
@dataclass(frozen=True, kw_only=True)
class Sensitivity(SmoothedCriterion):
    """First-order Taylor sensitivity |w * g| (Molchanov et al. 2017, arXiv:1611.06440, equation 7).

    >>> Sensitivity().score(WeightSlice(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.5]), 0.1, 0))
    tensor([0.5000, 1.0000])
    """

    def score(self, at: WeightSlice) -> Float[Tensor, " n"]:
        """|w * g| at every weight."""
        return torch.mul(at.weight, gradient(at)).abs_()


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Criterion):
    """Magnitude |w| at the moment of selection (Zhu and Gupta 2017, arXiv:1710.01878).

    >>> Magnitude().score(WeightSlice(torch.tensor([1.0, -2.0]), None, 0.1, 0))
    tensor([1., 2.])
    """

    def score(self, at: WeightSlice) -> Float[Tensor, " n"]:
        """|w| at every weight."""
        return at.weight.abs()


@final
@dataclass(frozen=True, kw_only=True)
class Random(Criterion):
    """A fixed random order of all weights, drawn once: what is removed stays removed.

    Each position is hashed (the 32-bit finalizer of MurmurHash3), so the order does not depend on how the weights are sliced.

    Attributes:
        seed: Chooses the order, >= 0.
    """

    seed: int = 0

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if self.seed < 0:
            yield f"seed is {self.seed}: give a whole number from 0 on"

    def score(self, at: WeightSlice) -> Float[Tensor, " n"]:
        """A number from 0 to below 1 that depends on seed and position alone."""
        n = at.weight.numel()
        mask = 0xFFFFFFFF  # 32-bit arithmetic inside int64, where products of two 32-bit numbers wrap harmlessly
        x = torch.arange(at.start, at.start + n, device=at.weight.device)
        x = (x * 0x9E3779B1 + self.seed * 0x85EBCA77) & mask
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & mask
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & mask
        x = x ^ (x >> 16)
        return (x >> 8).to(torch.float32).mul_(2.0**-24)  # 24 bits: every value is a float32
