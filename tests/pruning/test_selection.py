"""Selection against numpy's sort, on what usually breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from prune_cli.pruning.selection import Cutoff, InvalidScores, Scores, find_cutoff, score_of, sortable

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


def in_slices(values: np.ndarray, sizes: list[int]) -> Callable[[], Iterator[Scores]]:
    """The scores in runs of the given sizes; the last takes the rest."""
    tensor = torch.tensor(values, dtype=torch.float32)

    def scores() -> Iterator[Scores]:
        start = 0
        for index, part in enumerate(tensor.split([*sizes, len(tensor) - sum(sizes)])):
            yield Scores(part, start, f"matrix{index}")
            start += len(part)

    return scores


def removed_by_sort(values: np.ndarray, remove: int) -> np.ndarray:
    """Reference: sort by score, and among ties by position from the end."""
    order = np.lexsort((-np.arange(len(values)), values.astype(np.float32) + 0.0))
    removed = np.zeros(len(values), dtype=bool)
    removed[order[:remove]] = True
    return removed


def removed_by_cutoff(scores: Callable[[], Iterator[Scores]], cutoff: Cutoff | None) -> np.ndarray:
    parts = [torch.zeros(len(s.values), dtype=torch.bool) if cutoff is None else cutoff.removed(s) for s in scores()]
    return torch.cat(parts).numpy()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_same_as_sorting(case: str, fraction: float) -> None:
    values = CASES[case]
    remove = round(fraction * len(values))
    third = len(values) // 3
    for sizes in ([], [third], [1, third] if third > 1 else []):
        scores = in_slices(values, sizes)
        removed = removed_by_cutoff(scores, find_cutoff(scores, remove))
        assert removed.sum() == remove
        np.testing.assert_array_equal(removed, removed_by_sort(values, remove))


def test_one_huge_matrix_beside_tiny_ones() -> None:
    values = GENERATOR.random(1_000_003)
    scores = in_slices(values, [1, 1, 1])
    removed = removed_by_cutoff(scores, find_cutoff(scores, 900_000))
    np.testing.assert_array_equal(removed, removed_by_sort(values, 900_000))


def test_ties_keep_the_lowest_positions() -> None:
    scores = in_slices(np.array([2.0, 1.0, 1.0, 1.0, 3.0, 1.0]), [3])
    cutoff = find_cutoff(scores, 2)
    assert cutoff == Cutoff(1.0, 3)
    assert removed_by_cutoff(scores, cutoff).tolist() == [False, False, False, True, False, True]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_refuses_what_is_not_a_number_and_names_the_matrix(bad: float) -> None:
    values = np.ones(100)
    values[70] = bad
    with pytest.raises(InvalidScores, match="matrix1 has infinite or not-a-number values"):
        find_cutoff(in_slices(values, [50]), 10)


def test_integers_sort_as_the_floats() -> None:
    values = np.sort(np.concatenate([CASES["signed"], CASES["extremes"]]).astype(np.float32))
    keys = sortable(torch.from_numpy(values)).numpy()
    assert (np.diff(keys) >= 0).all()
    assert [score_of(int(key)) for key in keys[:50]] == values[:50].tolist()
