"""A random order: the floor that every criterion must clear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from prune_cli.pruning.criteria.base import WeightCriterion, WeightRows


@final
@dataclass(frozen=True, kw_only=True)
class Random(WeightCriterion):
    """A fixed random order of all weights, drawn once: what is removed stays removed. Nothing is kept: 0 bytes a weight.

    Each position is hashed (the 32-bit finalizer of MurmurHash3), so the order does not depend on how the weights are sliced.

    >>> Random().score(WeightRows(torch.zeros(1, 2), None, None, 0.1, 0))
    tensor([[0.0000, 0.0703]])

    Attributes:
        seed: Chooses the order, >= 0.
    """

    elementwise: ClassVar[bool] = True

    seed: int = 0

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        if self.seed < 0:
            yield f"seed is {self.seed}: give a whole number from 0 on"

    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """A number from 0 to below 1 that depends on seed and position alone."""
        mask = 0xFFFFFFFF  # 32-bit arithmetic inside int64, where products of two 32-bit numbers wrap harmlessly
        x = torch.arange(at.start, at.start + at.weight.numel(), device=at.weight.device)
        x = (x * 0x9E3779B1 + self.seed * 0x85EBCA77) & mask
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & mask
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & mask
        x = x ^ (x >> 16)
        return (x >> 8).to(torch.float32).mul_(2.0**-24).view(at.weight.shape)  # 24 bits: every value is a float32
