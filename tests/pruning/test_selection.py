"""Selection against numpy's sort, on what usually breaks it; guessed right and wrong, on a GPU's path, and over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch

from prune_cli.pruning import selection
from prune_cli.pruning.selection import NOTHING, Cutoff, CutoffFinder, InvalidScores, Parts, Scores, score_of, sortable
from tests.waits import counted, like_a_gpu

GENERATOR = np.random.default_rng(0)
FLOAT32 = np.finfo(np.float32)

CASES: dict[str, np.ndarray] = {
    "all equal": np.full(1000, 3.25),
    "all zero": np.zeros(1000),
    "both zeros": np.where(np.arange(1000) % 2 == 0, 0.0, -0.0),
    "many zeros": np.where(GENERATOR.random(5000) < 0.8, 0.0, GENERATOR.random(5000)),
    "denormals": GENERATOR.integers(0, 200, 3000) * float(FLOAT32.smallest_subnormal),
    "denormals and large": np.concatenate([GENERATOR.integers(0, 9, 500) * 1e-45, GENERATOR.random(500) * 3e38]),
    "extremes": np.array([FLOAT32.max, FLOAT32.min, FLOAT32.tiny, 0.0, -0.0, 1.0, -1.0, FLOAT32.smallest_subnormal]),
    "squares of normals": GENERATOR.standard_normal(20_000) ** 2 * 1e-14,
    "signed": GENERATOR.standard_normal(20_000),
    "signed with ties": np.round(GENERATOR.standard_normal(20_000), 1),
    "same high digit": 1 + GENERATOR.integers(0, 100, 4000) * float(FLOAT32.eps),
    "one": np.array([1.0]),
}


def in_slices(values: np.ndarray, sizes: list[int]) -> Parts:
    """The scores in runs of the given sizes; the last takes the rest."""
    tensor = torch.tensor(values, dtype=torch.float32)

    def scores() -> Iterator[Scores]:
        start = 0
        for part in tensor.split([*sizes, len(tensor) - sum(sizes)]):
            yield Scores(part, start)
            start += len(part)

    return scores


def removed_by_sort(values: np.ndarray, remove: int) -> np.ndarray:
    """Reference: sort by score, and among ties by position from the end."""
    order = np.lexsort((-np.arange(len(values)), values.astype(np.float32) + 0.0))
    removed = np.zeros(len(values), dtype=bool)
    removed[order[:remove]] = True
    return removed


def removed_by_cutoff(scores: Parts, cutoff: Cutoff) -> np.ndarray:
    return torch.cat([cutoff.removed(part) for part in scores()]).numpy()


WAYS: dict[str, Callable[[Parts, int], Cutoff]] = {
    "sampled": lambda scores, remove: CutoffFinder().find(scores, remove),
    "histograms": lambda scores, remove: selection._exact(scores, remove, lambda counts: counts, None) if remove else NOTHING,
    "guessed": lambda scores, remove: near(scores, remove, 1.001),
    "guessed wrong": lambda scores, remove: near(scores, remove, 1.5),
}


def near(scores: Parts, remove: int, off: float) -> Cutoff:
    """The cutoff by one who remembers others, wrong by a factor."""
    finder = CutoffFinder()
    first = finder.find(scores, remove)
    guess = float(np.clip(first.score * off, FLOAT32.min, FLOAT32.max))
    finder._last[""] = (guess, guess)
    return finder.find(scores, remove)


@pytest.mark.parametrize("way", [*WAYS, "on a GPU"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_same_as_sorting(case: str, fraction: float, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "on a GPU":
        like_a_gpu(monkeypatch)
    find = WAYS.get(way, WAYS["sampled"])
    values = CASES[case]
    remove = round(fraction * len(values))
    third = len(values) // 3
    for sizes in ([], [third], [1, third] if third > 1 else []):
        scores = in_slices(values, sizes)
        removed = removed_by_cutoff(scores, find(scores, remove))
        assert removed.sum() == remove
        np.testing.assert_array_equal(removed, removed_by_sort(values, remove))


def test_one_huge_matrix_beside_tiny_ones() -> None:
    values = GENERATOR.random(1_000_003)
    scores = in_slices(values, [1, 1, 1])
    removed = removed_by_cutoff(scores, CutoffFinder().find(scores, 900_000))
    np.testing.assert_array_equal(removed, removed_by_sort(values, 900_000))


@pytest.mark.parametrize("seed", range(20))
def test_scores_at_random_of_two_processes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(generator.integers(2, 30_000)) * 10.0 ** generator.integers(-44, 37)
    values = values.astype(np.float32).astype(float)
    if seed % 2:
        values = np.round(values / np.abs(values).max(), generator.integers(1, 3))  # ties
    remove, split = int(generator.integers(1, len(values) + 1)), int(generator.integers(1, len(values)))
    whole = in_slices(values, [split])
    shares = [lambda part=part: iter((part,)) for part in whole()]
    barrier, given = Barrier(2), [torch.empty(0)] * 2

    def of(process: int) -> list[Cutoff]:
        def total(counts: torch.Tensor) -> torch.Tensor:
            given[process] = counts
            barrier.wait()
            summed = given[0] + given[1]
            barrier.wait()
            return summed

        finder = CutoffFinder(total)
        return [finder.find(shares[process], remove) for _ in range(3)]  # the third one near the others

    with ThreadPoolExecutor(2) as threads:
        found = {cutoff for cutoffs in threads.map(of, range(2)) for cutoff in cutoffs}
    assert found == {CutoffFinder().find(whole, remove)}
    np.testing.assert_array_equal(removed_by_cutoff(whole, found.pop()), removed_by_sort(values, remove))


def test_a_gpu_is_waited_for_once_and_once_more_where_ties_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    like_a_gpu(monkeypatch)
    values = GENERATOR.standard_normal(10_000)
    for rounded, waits in ((values, 1), (values.round(1), 2)):
        scores = in_slices(rounded, [100] * 36)
        with counted() as seen:
            CutoffFinder().find(scores, 9_000)
        assert len(seen.waits) == waits
        assert seen.launches < (60 if waits == 1 else 100)


def test_scores_are_joined_into_pieces_of_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "AT_ONCE", 250)
    parts = [Scores(torch.full((100,), float(number)), 100 * number) for number in range(5)]
    apart = Scores(torch.zeros(10), 1000)
    joined = list(selection.joined(iter([*parts, apart])))
    assert [(part.start, len(part.values)) for part in joined] == [(0, 200), (200, 200), (400, 100), (1000, 10)]
    assert torch.equal(torch.cat([part.values for part in joined]), torch.cat([part.values for part in [*parts, apart]]))


def test_ties_keep_the_lowest_positions() -> None:
    scores = in_slices(np.array([2.0, 1.0, 1.0, 1.0, 3.0, 1.0]), [3])
    cutoff = CutoffFinder().find(scores, 2)
    assert cutoff == Cutoff(1.0, 3)
    assert removed_by_cutoff(scores, cutoff).tolist() == [False, False, False, True, False, True]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_refuses_what_is_not_a_number(bad: float) -> None:
    values = np.ones(100)
    values[70] = bad
    with pytest.raises(InvalidScores, match="infinite or not a number"):
        CutoffFinder().find(in_slices(values, [50]), 10)


def test_integers_sort_as_the_floats() -> None:
    values = np.sort(np.concatenate([CASES["signed"], CASES["extremes"]]).astype(np.float32))
    keys = sortable(torch.from_numpy(values)).numpy()
    assert (np.diff(keys) >= 0).all()
    assert [score_of(int(key)) for key in keys[:50]] == values[:50].tolist()
