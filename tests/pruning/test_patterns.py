"""Patterns against brute force, their exact counts, and what does not fit."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns import Block, Floor, NofM, Pattern, Rows, Uniform, Unstructured
from prune_cli.pruning.patterns.allocation import erk_shares, rounded
from prune_cli.pruning.selection import CutoffFinder, NotFinite

SHAPES = {"a.query": (8, 16), "a.key": (8, 16), "b.up": (32, 8), "b.down": (8, 32)}
LAYOUT = ModelLayout(SHAPES)
TOTAL = 8 * 16 * 2 + 8 * 32 * 2


@dataclass
class Made:
    """Importance that was made up, four rows at a time."""

    values: dict[str, torch.Tensor]
    target: float = 0.5
    together: int = 4
    starts: list[int] = field(default_factory=list)
    cutoffs: CutoffFinder = field(default_factory=CutoffFinder)

    @property
    def layout(self) -> ModelLayout:
        return ModelLayout({name: (values.shape[0], values.shape[1]) for name, values in self.values.items()})

    def rows(self, matrix: int | None = None) -> Iterator[Rows]:
        start = 0
        for number, values in enumerate(self.values.values()):
            for row in range(0, len(values), self.together) if matrix in (None, number) else ():
                yield Rows(values[row : row + self.together], number, row, start + row * values.shape[1])
            start += values.numel()


def random(seed: int = 0, *, ties: bool = False) -> Made:
    generator = torch.Generator().manual_seed(seed)
    values = {name: torch.rand(shape, generator=generator) for name, shape in SHAPES.items()}
    return Made({name: (3 * each).round() if ties else each for name, each in values.items()})


def removed(pattern: Pattern, made: Made, sparsity: float) -> dict[str, torch.Tensor]:
    """The mask of each matrix, which is as large as the pattern says."""
    made.target = max(sparsity, made.target)
    mask = pattern.select(made, sparsity)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in made.values}
    for rows in made.rows():
        found[list(made.values)[rows.matrix]].append(mask(rows))
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    assert sum(int(part.sum()) for part in joined.values()) == pattern.count(made.layout, sparsity)
    return joined


def lowest(values: list[float], count: int) -> set[int]:
    """Positions of the lowest, of equal ones the last."""
    return set(sorted(range(len(values)), key=lambda at: (values[at], -at))[:count])


EVERY = [
    Unstructured(), Uniform(), Uniform(allocation="erk"), Uniform(sparsities={"query": 0.1, "key": 0.2}), Floor(), NofM(),
    Block(), Block(block=(1, 4)), Block(block=(4, 1)),
]  # fmt: skip


@pytest.mark.parametrize("pattern", EVERY, ids=str)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.123, 0.49, 0.5])
def test_removes_as_many_as_it_says(pattern: Pattern, ties: bool, sparsity: float) -> None:
    made = random(ties=ties)
    found = removed(pattern, made, sparsity)
    count = sum(int(part.sum()) for part in found.values())
    assert count == pattern.count(made.layout, sparsity)
    assert abs(count - sparsity * TOTAL) <= (math.prod(pattern.block) / 2 if isinstance(pattern, Block) else 0.5)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [(4, 4), (1, 4), (4, 1), (2, 8)])
def test_blocks_are_those_of_brute_force(block: tuple[int, int], ties: bool) -> None:
    made = random(1, ties=ties)
    found = removed(Block(block=block), made, 0.3)
    means, places = [], []
    for name, values in made.values.items():
        for row, column in itertools.product(range(0, values.shape[0], block[0]), range(0, values.shape[1], block[1])):
            means.append(float(values[row : row + block[0], column : column + block[1]].mean()))
            places.append((name, row, column))
    gone = lowest(means, round(0.3 * len(means)))
    for number, (name, row, column) in enumerate(places):
        part = found[name][row : row + block[0], column : column + block[1]]
        assert bool(part.all()) == bool(part.any()) == (number in gone)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (1, 4), (3, 8)])
def test_n_of_m_are_those_of_brute_force(n: int, m: int, ties: bool) -> None:
    made = random(2, ties=ties)
    found = removed(NofM(n=n, m=m), made, 1 - n / m)
    for name, values in made.values.items():
        for group, part in zip(values.view(-1, m).tolist(), found[name].view(-1, m).tolist(), strict=True):
            assert {at for at, gone in enumerate(part) if gone} == lowest(group, m - n)


def test_n_of_m_on_the_way_takes_the_lowest_of_those_that_may_go() -> None:
    made = random(3)
    found = removed(NofM(), made, 0.2)
    flat, may_go = [], []
    for values in made.values.values():
        for group in values.view(-1, 4).tolist():
            may_go += [len(flat) + at for at in lowest(group, 2)]
            flat += group
    expected = sorted(may_go, key=flat.__getitem__)[: round(0.2 * TOTAL)]
    mask = torch.cat([part.flatten() for part in found.values()])
    assert set(mask.nonzero().flatten().tolist()) == set(expected)


def test_two_of_four_is_what_sparse_tensor_cores_take() -> None:
    """As torch packs it; `to_sparse_semi_structured` itself needs a GPU."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(64, 64, generator=generator)
    mask = removed(NofM(), Made({"a": values}), 0.5)["a"]
    dense = torch.randn(64, 64, generator=generator).masked_fill(mask, 0).to(torch.bfloat16)
    packed, places = sparse_semi_structured_from_dense_cutlass(dense)
    assert packed.shape == (64, 32)
    assert torch.equal(sparse_semi_structured_to_dense_cutlass(packed, places), dense)


def test_uniform_is_as_sparse_in_every_matrix() -> None:
    made = random(4)
    for name, part in removed(Uniform(), made, 0.25).items():
        values = made.values[name].flatten().tolist()
        assert set(part.flatten().nonzero().flatten().tolist()) == lowest(values, len(values) // 4)


def test_uniform_gives_the_rest_to_the_largest_remainders() -> None:
    assert rounded([0.3, 0.3, 0.3], [10, 5, 5], 6) == [3, 2, 1]
    assert rounded([1.0, 1.0], [3, 4], 7) == [3, 4]
    assert rounded([1.0, 0.5], [2, 3], 5) == [2, 3], "what is full takes no more"


def test_erk_by_hand() -> None:
    # (out + in) / (out * in): 24/128, 24/128, 40/256, 40/256; keep half of 768 = e * (24 + 24 + 40 + 40): e = 3
    shares = erk_shares(list(SHAPES.values()), 0.5)
    assert shares == pytest.approx([1 - 9 / 16, 1 - 9 / 16, 1 - 15 / 32, 1 - 15 / 32])
    # a small matrix keeps all it has: 2x2 would keep more, 100x100 keeps what is left
    assert erk_shares([(2, 2), (100, 100)], 0.9) == pytest.approx([0.0, (0.9 * 10004) / 10000])
    # 875 are kept. 875/220 * 1.0 is more than all of 2x2, then 871/216 * 0.25 more than all of 8x8, and 807 are left
    assert erk_shares([(2, 2), (8, 8), (100, 100)], 1 - 875 / 10068) == pytest.approx([0.0, 0.0, 1 - 807 / 10000])
    assert Uniform(allocation="erk").counts(LAYOUT, 0.5, 0.5) == [56, 56, 136, 136]
    assert Uniform().counts(LAYOUT, 0.5, 0.5) == [64, 64, 128, 128]


@pytest.mark.parametrize("pattern", [Uniform(), Floor(), Unstructured(), NofM()], ids=str)
def test_importance_that_is_no_number_is_refused(pattern: Pattern) -> None:
    made = random(6)
    made.values["b.up"][3, 3] = math.nan
    with pytest.raises(NotFinite):
        removed(pattern, made, 0.5)


@pytest.mark.parametrize(
    ("sparsity", "n", "m"),
    [(0.5, 1, 2), (0.75, 1, 4), (0.625, 3, 8), (0.9, 1, 10), (15 / 16, 1, 16), (0.95, 1, 20), (31 / 32, 1, 32)],
)
def test_numbers_that_reach_a_sparsity_are_told(sparsity: float, n: int, m: int) -> None:
    (problem,) = NofM(n=3, m=4).incompatibilities(LAYOUT, sparsity)
    assert problem.endswith(f"pattern.m, such as pattern.n={n} pattern.m={m}")


@pytest.mark.parametrize("sparsity", [0.0, 0.123, 1.0])
def test_numbers_that_do_not_reach_it_are_not(sparsity: float) -> None:
    (problem,) = NofM().incompatibilities(LAYOUT, sparsity)
    assert problem.endswith("or another pattern.n and pattern.m")


def test_a_given_allocation_holds_at_the_end_and_in_proportion_before() -> None:
    pattern = Uniform(sparsities={"query": 0.25, "b": 0.75})
    assert not list(pattern.incompatibilities(LAYOUT, 0.625))
    # 0.625 * 768 = 480 = 32 of a.query + 64 of a.key, which has what is left + 192 of each b
    assert pattern.counts(LAYOUT, 0.625, 0.625) == [32, 64, 192, 192]
    assert pattern.counts(LAYOUT, 0.3125, 0.625) == [16, 32, 96, 96]
    (problem,) = pattern.incompatibilities(LAYOUT, 0.9)
    assert problem.startswith("sparsity=0.9 cannot be reached with pattern.sparsities, which lead to 0.7083")
    (problem,) = Uniform(sparsities={"none": 0.5}).incompatibilities(LAYOUT, 0.5)
    assert "pattern.sparsities has none, which is in no prunable matrix's name, such as a.query" in problem


def test_floor_empties_no_matrix() -> None:
    made = random(5)
    made.values["a.key"] *= 0.001  # would all be gone
    assert removed(Unstructured(), made, 0.9)["a.key"].all()
    found = removed(Floor(keep=0.05), made, 0.9)
    kept = (~found["a.key"]).flatten().nonzero().flatten().tolist()
    assert len(kept) == 7  # 0.05 * 128 rounded up
    values = made.values["a.key"].flatten().tolist()
    assert set(range(128)) - set(kept) == lowest(values, 121)


@pytest.mark.parametrize(
    ("pattern", "sparsity", "told"),
    [
        (
            NofM(),
            0.9,
            r"keeps 2 of 4, which is sparsity=0.5, and not 0.9: give that, or .* such as pattern.n=1 pattern.m=10",
        ),
        (NofM(n=1, m=3), 2 / 3, r"pattern.m=3 does not divide the 16 inputs of a.query: give another, such as 8"),
        (
            Block(block=(3, 4)),
            0.5,
            r"pattern.block=\[3,4\] does not divide a.query, which is 8 x 16: give divisors of 8 and 8",
        ),
        (Floor(keep=0.2), 0.9, r"give sparsity=0.79\d* at most, or pattern.keep=0.095$"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_told_with_what_would_do(pattern: Pattern, sparsity: float, told: str) -> None:
    assert not list(pattern.problems())
    (problem,) = pattern.incompatibilities(LAYOUT, sparsity)
    assert re.search(told, problem), problem


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (NofM(n=4, m=4), "n is 4 of m=4"),
        (Block(block=(0, 4)), "block is [0, 4]"),
        (Floor(keep=1.5), "keep is 1.5"),
        (Uniform(allocation="other"), "allocation is other: give uniform or erk"),
        (Uniform(sparsities={"(": 0.5}), "sparsities has (, which is no regular expression"),
        (Uniform(sparsities={"a": 2.0}), "sparsities has 2 for a"),
    ],
    ids=str,
)
def test_impossible_values_are_told(pattern: Pattern, told: str) -> None:
    (problem,) = pattern.problems()
    assert problem.startswith(told)
