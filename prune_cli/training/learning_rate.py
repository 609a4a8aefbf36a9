"""The learning rate over a run whose schedule lets it begin anew."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from prune_cli.pruning.lengths import steps_of


def factor(step: int, cycles: Sequence[int], total_steps: int, warmup: float, shape: str = "linear") -> float:
    """Share of the peak learning rate that a step takes: in each cycle it rises in a line, then falls to nothing or stays.

    Args:
        step: Steps finished before this one.
        cycles: Steps at which it begins anew, in order; the first cycle begins at step 0.
        total_steps: Optimizer steps of the run.
        warmup: Length of the rise: a fraction of each cycle below 1, steps from 1 on.
        shape: "linear", "cosine", or another for a rate that stays.

    >>> [factor(step, [6], 10, 2) for step in range(10)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.5, 1.0, 0.5]
    >>> [round(factor(step, [4], 8, 0, "cosine"), 2) for step in range(8)]
    [1.0, 0.85, 0.5, 0.15, 1.0, 0.85, 0.5, 0.15]
    """
    edges = [0, *cycles, total_steps]
    number = min(bisect_right(edges, step), len(edges) - 1)
    begin, end = edges[number - 1], edges[number]
    done, rise = step - begin, steps_of(float(warmup), end - begin)
    if done < rise:
        return done / rise
    left = (end - step) / max(1, end - begin - rise)
    match shape:
        case "linear":
            return left
        case "cosine":
            return 0.5 * (1 - math.cos(math.pi * left))
        case _:
            return 1.0
