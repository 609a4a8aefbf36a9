"""How sparse each matrix is to be, so that all together are as sparse as was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence


def erk_shares(shapes: Sequence[tuple[int, int]], sparsity: float) -> list[float]:
    """Erdős-Rényi allocation: the kept share of a matrix is in proportion to (out + in) / (out * in).

    Evci et al. 2020 (arXiv:1911.11134, section 3, without a kernel, as all matrices are linear). Small matrices that would keep
    more than they have keep all of it, and the others share what is left.

    Args:
        shapes: Outputs and inputs of each matrix.
        sparsity: The share to remove of all weights, in [0, 1].

    >>> erk_shares([(100, 100), (100, 400)], 0.5)  # keeps 2/100 * e and 1/80 * e of them, e = 25000 / 700
    [0.2857142857142857, 0.5535714285714286]
    """
    sizes = [math.prod(shape) for shape in shapes]
    dense: set[int] = set()
    while True:
        left = (1 - sparsity) * sum(sizes) - sum(sizes[number] for number in dense)
        others = [number for number in range(len(shapes)) if number not in dense]
        scale = left / max(1, sum(sum(shapes[number]) for number in others))
        kept = {number: scale * sum(shapes[number]) / sizes[number] for number in others}
        full = {number for number, share in kept.items() if share > 1}
        if not full:
            return [1 - kept.get(number, 1.0) for number in range(len(shapes))]
        dense |= full


def allocated(given: Mapping[str, float], shapes: Mapping[str, tuple[int, int]], sparsity: float, *, erk: bool) -> list[float]:
    """Sparsities by regular expressions of names; matrices that none is found in share what is left to remove.

    Args:
        given: Sparsities in [0, 1]; the first expression that is found counts.
        shapes: Outputs and inputs of each matrix by its name.
        sparsity: The share to remove of all weights.
        erk: Allocate what is left by `erk_shares`, else evenly.

    Returns:
        A share for each matrix, not in [0, 1] where what is left is impossible.

    >>> allocated({"key": 0.75}, {"key": (2, 2), "value": (2, 2)}, 0.5, erk=False)
    [0.75, 0.25]
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    given_shares = {name: share for name in shapes if (share := _first(given, name)) is not None}
    others = [name for name in shapes if name not in given_shares]
    left = sparsity * sum(sizes.values()) - sum(sizes[name] * share for name, share in given_shares.items())
    rest = left / max(1, sum(sizes[name] for name in others))
    shares = erk_shares([shapes[name] for name in others], rest) if erk else [rest] * len(others)
    by_name = {**given_shares, **dict(zip(others, shares, strict=True))}
    return [by_name[name] for name in shapes]


def rounded(shares: Sequence[float], sizes: Sequence[int], total: int) -> list[int]:
    """Whole numbers as close to the shares as can be that add up to the total: the largest remainders are rounded up.

    Args:
        shares: Of each size, in [0, 1].
        sizes: The most of each.

    >>> rounded([0.5, 0.5, 0.5], [3, 3, 3], 4)
    [2, 1, 1]
    """
    wanted = [share * size for share, size in zip(shares, sizes, strict=True)]
    counts = [min(math.floor(number), size) for number, size in zip(wanted, sizes, strict=True)]
    order = sorted(range(len(sizes)), key=lambda number: (counts[number] - wanted[number], number))
    while (left := total - sum(counts)) > 0:
        for number in [number for number in order if counts[number] < sizes[number]][:left]:
            counts[number] += 1
    return counts


def _first(given: Mapping[str, float], name: str) -> float | None:
    return next((share for expression, share in given.items() if re.search(expression, name)), None)
