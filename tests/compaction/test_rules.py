"""The rules against the plain formulas, in double precision, where rounding cannot hide a mistake."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor

from prune_cli.compaction.affine import Affine
from prune_cli.compaction.modules import Group
from prune_cli.compaction.rules import alive_groups, compact_attention, compact_feed_forward, partition

assert_exact = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
HEADS, SIZE, WIDTH, TOKENS = 4, 6, 10, 7


def _matrix(rows: int, columns: int, seed: int, *, biased: bool = True) -> Affine:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=random, dtype=torch.float64)
    weight[torch.rand(rows, generator=random) < 0.4] = 0
    weight[:, torch.rand(columns, generator=random) < 0.3] = 0
    bias = torch.randn(rows, generator=random, dtype=torch.float64)
    return Affine(weight, bias if biased else torch.zeros_like(bias), biased)


def _apply(matrix: Affine, inputs: Tensor) -> Tensor:
    return inputs @ matrix.weight.T + matrix.bias


def _inputs(seed: int) -> Tensor:
    return torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("activation", [torch.relu, torch.nn.functional.gelu, torch.sigmoid])
def test_a_feed_forward_gives_the_same_without_its_dead_neurons(activation, biased: bool, seed: int) -> None:
    up, down = _matrix(56, WIDTH, seed, biased=biased), _matrix(WIDTH, 56, seed + 100, biased=biased)
    left = compact_feed_forward(up, down, activation)
    alive = int((up.rows & down.columns).sum())
    assert len(left.up.weight) == 16 * -(-alive // 16) < 56  # a vector is filled up
    inputs = _inputs(seed)
    expected = _apply(down, activation(_apply(up, inputs)))
    assert_exact(_apply(left.down, activation(_apply(left.up, inputs))), expected)
    assert left.down.biased == (biased or bool((left.down.bias != 0).any()))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("activation", [torch.nn.functional.silu, torch.sigmoid])
def test_a_gated_feed_forward_gives_the_same_without_its_dead_neurons(activation, biased: bool, seed: int) -> None:
    gate, up = _matrix(56, WIDTH, seed, biased=biased), _matrix(56, WIDTH, seed + 50, biased=biased)
    down = _matrix(WIDTH, 56, seed + 100)
    left = compact_feed_forward(up, down, activation, gate)
    assert left.gate is not None
    assert len(left.up.weight) == len(left.gate.weight) < 56
    inputs = _inputs(seed)
    expected = _apply(down, activation(_apply(gate, inputs)) * _apply(up, inputs))
    given = _apply(left.down, activation(_apply(left.gate, inputs)) * _apply(left.up, inputs))
    assert_exact(given, expected)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.T).softmax(-1) @ value


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("biased", [True, False])
def test_an_attention_gives_the_same_without_its_dead_dimensions(biased: bool, seed: int) -> None:
    parts = [_matrix(HEADS * SIZE, WIDTH, 10 * seed + number, biased=biased) for number in range(3)]
    output = _matrix(WIDTH, HEADS * SIZE, 10 * seed + 3)
    if seed % 2:
        output.weight[:, :SIZE] = 0  # a head that nobody reads
    inputs = _inputs(seed)
    q, k, v = (_apply(part, inputs).view(TOKENS, HEADS, SIZE).unbind(1) for part in parts)
    expected = _apply(output, torch.cat([_attend(*each) for each in zip(q, k, v, strict=True)], dim=1))

    query, key, value = parts
    left = compact_attention(query, key, value, output, HEADS)
    read = (parts[2].rows & output.columns).view(HEADS, SIZE).any(1)
    assert len(left.heads) == int(read.sum()) <= HEADS - seed % 2
    made = [
        _attend(*(_apply(part, inputs) for part in (head.query, head.key, head.value))) @ head.output.T for head in left.heads
    ]
    assert_exact(sum(made) + left.bias, expected)
    for head, number in zip(left.heads, read.nonzero()[:, 0].tolist(), strict=True):
        of_head = slice(number * SIZE, (number + 1) * SIZE)
        both = int((parts[0].rows & parts[1].rows)[of_head].sum())
        assert both <= len(head.query.weight) <= both + biased  # at most one for all constant queries together


@pytest.mark.parametrize("further", [0, 2])
def test_dimensions_are_kept_where_positions_use_them(further: int) -> None:
    parts = [_matrix(HEADS * SIZE, WIDTH, number) for number in range(5)]
    more = parts[3 : 3 + further]
    left = compact_attention(parts[0], parts[1], parts[2], _matrix(WIDTH, HEADS * SIZE, 5), HEADS, positions=more, keep_dead=True)
    alive = torch.stack([part.rows for part in (*parts[:2], *more)]).any(0)
    values = (parts[2].rows & _matrix(WIDTH, HEADS * SIZE, 5).columns).view(HEADS, SIZE).any(1)
    assert [len(head.query.weight) for head in left.heads] == (alive.view(HEADS, SIZE).sum(1) * values).tolist()
    assert all(len(each.weight) == len(head.key.weight) for head in left.heads for each in head.positions)
    assert all(len(head.positions) == further for head in left.heads)


def test_one_head_is_left_of_a_dead_attention() -> None:
    dead = Affine(torch.zeros(HEADS * SIZE, WIDTH), torch.ones(HEADS * SIZE), True)
    output = _matrix(WIDTH, HEADS * SIZE, 3)
    output = Affine(output.weight.float(), output.bias.float(), True)
    left = compact_attention(dead, dead, dead, output, HEADS)
    assert [head.group for head in left.heads] == [Group(1, 1, 1)]
    torch.testing.assert_close(left.bias, output.bias + output.weight.sum(1))
    assert len(compact_attention(dead, dead, dead, output, HEADS, keep_dead=True).heads) == HEADS


def test_keys_and_values_go_when_no_head_that_shares_them_is_alive() -> None:
    value, output = _matrix(2 * SIZE, WIDTH, 0), _matrix(WIDTH, 4 * SIZE, 1)
    output.weight[:, : 2 * SIZE] = 0
    alive, left = alive_groups(value, output, 2)
    assert alive.tolist() == [False, True]
    assert_exact(left.bias, output.bias)
    value.weight[:] = 0
    alive, left = alive_groups(value, output, 2)
    assert alive.tolist() == [False, False]
    shared = value.bias.view(2, 1, SIZE).expand(2, 2, SIZE).reshape(-1)
    assert_exact(left.bias, output.bias + output.weight @ shared)


@pytest.mark.parametrize("seed", range(10))
def test_the_partition_is_the_cheapest_of_all_cuts(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    sizes = [Group(1, *torch.randint(1, 33, (2,), generator=random).tolist()) for _ in range(7)]
    found = partition(sizes, heads=7, size=32)
    assert sorted(number for heads in found.heads for number in heads) == list(range(len(sizes)))

    def filled(heads: int, least: int) -> int:
        vectors = [size for size in range(least, 33) if heads * size % 16 == 0]
        return min((size for size in vectors if heads * size <= 18 * -(-heads * least // 16)), default=least)

    def group(members: list[Group]) -> Group:
        heads = len(members)
        return Group(heads, filled(heads, max(m.keys for m in members)), filled(heads, max(m.values for m in members)))

    def cost(groups: list[list[Group]]) -> float:
        return sum(group(members).weight for members in groups) + 0.3 * 4 * 7 * 32 * len(groups)

    assert found.groups == [group([sizes[n] for n in heads]) for heads in found.heads]

    ordered = sorted(sizes, key=lambda size: size.keys + size.values)
    every = [
        cost([ordered[a:b] for a, b in itertools.pairwise([0, *cuts, len(sizes)])])
        for count in range(len(sizes))
        for cuts in itertools.combinations(range(1, len(sizes)), count)
    ]
    assert cost([[sizes[n] for n in heads] for heads in found.heads]) == pytest.approx(min(every))
