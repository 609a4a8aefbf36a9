"""AdamW, and its learning rate over a run."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from prune_cli.pruning.lengths import steps_of

_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
"""Names of parameters without weight decay, as transformers has them."""


def adamw(model: nn.Module, *, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over what a model learns; biases and norms do not decay. The learning rate is set before each step.

    Args:
        weight_decay: Of the others, decoupled, >= 0.
    """
    undecayed = {*_undecayed(model)}
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name in undecayed].append(parameter)
    return torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": weight_decay}, {"params": groups[1], "weight_decay": 0.0}],
        lr=0.0,
        fused=True,
    )


def _undecayed(model: nn.Module) -> Iterator[str]:
    """Names of all parameters of norms, and of those whose name, or that of a module around them, says bias or norm."""
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    for name, _ in model.named_parameters():
        parts = name.split(".")
        around = [".".join(parts[:end]) for end in range(1, len(parts))]
        if not norms.isdisjoint(around) or any(_NO_DECAY.search(".".join(parts[start:]).lower()) for start in range(len(parts))):
            yield name


@final
@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The learning rate of each step: in each cycle it rises in a line, then falls to nothing or stays.

    Attributes:
        peak: Highest learning rate, > 0.
        warmup: Length of the rise: a fraction of each cycle below 1, steps from 1 on.
        shape: "linear", "cosine", or "constant".
        total_steps: Optimizer steps of the run.
        cycles: Steps at which it begins anew, in order; the first cycle begins at step 0.
    """

    peak: float
    warmup: float
    shape: str
    total_steps: int
    cycles: Sequence[int] = ()

    def at(self, step: int) -> float:
        """The learning rate of a step.

        Args:
            step: Steps finished before this one.

        >>> rate = LearningRate(peak=1.0, warmup=2, shape="linear", total_steps=10, cycles=[6])
        >>> [rate.at(step) for step in range(10)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.5, 1.0, 0.5]
        >>> rate = LearningRate(peak=1.0, warmup=0, shape="cosine", total_steps=8, cycles=[4])
        >>> [round(rate.at(step), 2) for step in range(8)]
        [1.0, 0.85, 0.5, 0.15, 1.0, 0.85, 0.5, 0.15]
        """
        return self.peak * self._share(step)

    def _share(self, step: int) -> float:
        edges = [0, *self.cycles, self.total_steps]
        number = min(bisect_right(edges, step), len(edges) - 1)
        begin, end = edges[number - 1], edges[number]
        done, rise = step - begin, self._rise(end - begin)
        if done < rise:
            return done / rise
        span = max(1, end - begin - rise)
        match self.shape:
            case "linear":
                return (end - step) / span
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * ((done - rise) / span)))
            case _:
                return 1.0

    def _rise(self, length: int) -> int:
        if self.cycles or self.warmup >= 1:
            return steps_of(float(self.warmup), length)
        return math.ceil(length * self.warmup)  # as the Trainer of transformers has it
