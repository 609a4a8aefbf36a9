"""Exact selection against `torch.cat` with `kthvalue` and with `topk`, paired in one run.

usage: python benchmarks/selection.py [MILLIONS_OF_SCORES ...]   (default: 10 85)
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch

from prune_cli.pruning.selection import CutoffFinder, Parts, Scores

RUNS = 5
SLICE = 1 << 18


def scores_of(matrices: list[torch.Tensor]) -> Parts:
    """All of them, slice by slice."""

    def scores() -> Iterator[Scores]:
        start = 0
        for matrix in matrices:
            for part in matrix.split(SLICE):
                yield Scores(part, start)
                start += part.numel()

    return scores


def by_radix(matrices: list[torch.Tensor], remove: int) -> float:
    """The cutoff by our selection, without a memory of others."""
    return CutoffFinder().find(scores_of(matrices), remove).score


def by_kthvalue(matrices: list[torch.Tensor], remove: int) -> float:
    """The cutoff by concatenating and `kthvalue`, as published."""
    return torch.cat(matrices).kthvalue(remove + 1).values.item()


def by_topk(matrices: list[torch.Tensor], remove: int) -> float:
    """The cutoff by concatenating and `topk` of what is kept."""
    scores = torch.cat(matrices)
    return scores.topk(scores.numel() - remove).values[-1].item()


def seconds(select: Callable[[list[torch.Tensor], int], float], matrices: list[torch.Tensor], remove: int) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    select(matrices, remove)
    return time.perf_counter() - began


def main() -> None:
    """Print a table, two lines a size."""
    ways = (by_radix, by_kthvalue, by_topk)
    print(
        f"| {torch.get_num_threads()} threads, 90% removed, medians of {RUNS} | this | `cat` and `kthvalue` | `cat` and `topk` |"
    )
    print("|---|---|---|---|")
    for millions in [float(word) for word in sys.argv[1:]] or [10, 85]:
        generator = torch.Generator().manual_seed(0)
        matrices = [torch.randn(590_000, generator=generator).square_().mul_(1e-14) for _ in range(round(millions / 0.59))]
        remove = round(0.9 * sum(m.numel() for m in matrices))
        assert len({way(matrices, remove) for way in ways}) == 1, "the cutoffs differ"
        finder = CutoffFinder()
        for _ in range(2):
            finder.find(scores_of(matrices), remove)  # two of the same: the third is looked for close to them

        def near(matrices: list[torch.Tensor], remove: int, finder: CutoffFinder = finder) -> float:
            return finder.find(scores_of(matrices), remove).score

        assert near(matrices, remove) == by_kthvalue(matrices, remove), "the cutoffs differ"
        for kind, radix in (("sampled", by_radix), ("near the last", near)):
            times = [[seconds(way, matrices, remove) for way in (radix, *ways[1:])] for _ in range(RUNS)]
            mine, kthvalue, topk = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
            print(
                f"| {millions:g} M scores, {kind} | {mine:.0f} ms | {kthvalue:.0f} ms, {kthvalue / mine:.1f} times"
                f" | {topk:.0f} ms, {topk / mine:.1f} times |"
            )


if __name__ == "__main__":
    main()
