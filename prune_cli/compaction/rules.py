"""The rules, on bare matrices: what of a feed-forward and of an attention is alive, and what is left of it.

Every rule is exact in real arithmetic; sums are made in double precision and rounded once. The proofs: docs/compaction.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prune_cli.compaction.affine import Affine
from prune_cli.compaction.modules import Group

Activation = Callable[[Tensor], Tensor]

_A_GROUP = 0.3
"""What a group of heads more has to save of an attention's matrices."""
_AT_ONCE = 16
"""Outputs that vector instructions make at once. A matrix with a multiple of them is up to a fifth faster in int8 than a somewhat
smaller one, and in float32 no slower."""


class FeedForward(NamedTuple):
    """What is left of a feed-forward.

    Attributes:
        down: The projection from them, with what the dead ones gave folded into its bias.
    """

    gate: Affine | None
    up: Affine
    down: Affine


def compact_feed_forward(up: Affine, down: Affine, activation: Activation, gate: Affine | None = None) -> FeedForward:
    """Cut dead neurons out of a feed-forward, `down(act(up(x)))` or `down(act(gate(x)) * up(x))`.

    A neuron goes if nothing reads it, or if it is the same for every input; then it joins the next bias. A few may stay, see
    `_AT_ONCE`.

    Args:
        up: [neurons, width].
        down: [width, neurons].
        gate: [neurons, width]; None without one.
    """
    if gate is None:
        constant, value = ~up.rows, activation(up.bias)
    else:
        at_gate = activation(gate.bias)
        value = at_gate * up.bias
        # Both factors are constant, or one of them is zero
        constant = (~gate.rows & ~up.rows) | (~gate.rows & (at_gate == 0)) | (~up.rows & (up.bias == 0))
    alive = _filled_up(down.columns & ~constant)
    return FeedForward(
        None if gate is None else kept_rows(gate, alive),
        kept_rows(up, alive),
        _folded(down, alive, constant & ~alive, value),
    )


def _filled_up(alive: Bool[Tensor, " neurons"]) -> Bool[Tensor, " neurons"]:
    """Those that are alive, and of the others as many as fill the last vector."""
    others = (~alive).nonzero().flatten()[: -int(alive.sum()) % _AT_ONCE]
    return alive.index_fill(0, others, True)


def kept_rows(matrix: Affine, kept: Bool[Tensor, " out"] | Int[Tensor, " kept"]) -> Affine:
    """Some outputs of a matrix, in their order.

    Args:
        kept: Which, as a mask or by number.
    """
    return Affine(matrix.weight[kept], matrix.bias[kept], matrix.biased)


def _folded(matrix: Affine, alive: Bool[Tensor, " in"], constant: Bool[Tensor, " in"], value: Float[Tensor, " in"]) -> Affine:
    """The columns that are alive; the inputs that are constant are in the bias."""
    given = torch.where(constant, value, 0).double()
    more = matrix.weight.double() @ given
    bias = (matrix.bias.double() + more).to(matrix.bias.dtype)
    return Affine(matrix.weight[:, alive], bias, matrix.biased or bool((more != 0).any()))


class Head(NamedTuple):
    """What is left of one head; [dimensions, inputs] and [dimensions], the output [outputs, dimensions]."""

    query: Affine
    key: Affine
    value: Affine
    output: Float[Tensor, "out values"]
    positions: tuple[Affine, ...] = ()

    @property
    def group(self) -> Group:
        """Its sizes, none of them zero: a head without keys attends to all alike, and an operation wants a dimension."""
        return Group(1, max(1, len(self.query.weight)), max(1, len(self.value.weight)))


class Attention(NamedTuple):
    """What is left of an attention.

    Attributes:
        heads: Those that are alive.
        bias: Of the output projection, with what constant values gave.
        biased: Whether it is needed.
    """

    heads: list[Head]
    bias: Float[Tensor, " out"]
    biased: bool


def compact_attention(
    query: Affine,
    key: Affine,
    value: Affine,
    output: Affine,
    heads: int,
    *,
    positions: Sequence[Affine] | None = None,
    keep_dead: bool = False,
) -> Attention:
    """Cut dead dimensions, then dead heads, out of an attention that has as many keys as queries.

    Args:
        query: [heads * size, inputs].
        key: The same.
        value: The same.
        output: [outputs, heads * size].
        positions: Further projections, of relative positions, that meet queries and keys dimension by dimension; empty where the
            query's and the key's own are used for that; None where positions do not come this way.
        keep_dead: Keep a head without a value that is alive, as one without dimensions. One head is always kept.
    """
    constant = ~value.rows
    alive_values = output.columns & ~constant
    folded = _folded(output, alive_values, constant, value.bias)
    found: list[Head] = []
    for dimensions in torch.arange(len(query.weight)).view(heads, -1):
        values = dimensions[alive_values[dimensions]]
        if len(values) == 0:
            dimensions = values  # nobody asks where it looks
        q, k, *more = (kept_rows(matrix, dimensions) for matrix in (query, key, *(positions or ())))
        q, k, *more = _merged(q, k) if positions is None else _tied(q, k, *more)
        found.append(Head(q, k, kept_rows(value, values), output.weight[:, values], tuple(more)))
    alive = found if keep_dead else [head for head in found if len(head.value.weight)]
    return Attention(alive or found[:1], folded.bias, folded.biased)


def alive_groups(value: Affine, output: Affine, groups: int) -> tuple[Bool[Tensor, " groups"], Affine]:
    """Which heads of grouped-query attention give anything, by the values that they share.

    Args:
        value: [groups * size, inputs].
        output: [outputs, groups * heads a group * size].
        groups: Keys and values that heads share, each by as many.

    Returns:
        Those that are alive, and the output projection with what constant values gave in its bias; of all columns.
    """
    size = len(value.weight) // groups
    shared = torch.arange(len(value.weight)).view(groups, 1, size).expand(-1, output.weight.shape[1] // len(value.weight), -1)
    seen = kept_rows(value, shared.reshape(-1))  # the value behind each column of the output
    constant = ~seen.rows
    alive = (output.columns & ~constant).view(groups, -1).any(1)
    given = constant & ~alive.repeat_interleave(output.weight.shape[1] // groups)
    return alive, _folded(output, ~given, given, seen.bias)


def _tied(*parts: Affine) -> list[Affine]:
    """Drop the dimensions that are constant in all projections, whatever positions they meet."""
    alive = torch.stack([part.rows for part in parts]).any(0)
    return [kept_rows(part, alive) for part in parts]


def _merged(query: Affine, key: Affine) -> tuple[Affine, Affine]:
    """Drop the dimensions whose key is constant, and make one of those whose query is."""
    alive = query.rows & key.rows
    q, k = kept_rows(query, alive), kept_rows(key, alive)
    constant = ~query.rows & key.rows
    merged = (query.bias[constant].double() @ key.weight[constant].double()).to(key.weight.dtype)
    if not (merged != 0).any():
        return q, k
    one, zero = query.bias.new_ones(1), key.bias.new_zeros(1)  # what the key's own bias adds is the same for all keys
    return (
        Affine(torch.cat([q.weight, torch.zeros_like(merged)[None]]), torch.cat([q.bias, one]), True),
        Affine(torch.cat([k.weight, merged[None]]), torch.cat([k.bias, zero]), key.biased),
    )


@dataclass(frozen=True)
class Partition:
    """Heads by group.

    Attributes:
        groups: Their sizes.
        heads: Numbers of the heads of each.
    """

    groups: list[Group]
    heads: list[list[int]]


def partition(sizes: Sequence[Group], heads: int, size: int) -> Partition:
    """Put heads into few groups, so that filling each head up to the sizes of its group adds little.

    Heads are sorted by their dimensions, and the best cuts are found by trying every place of the last cut in turn. A further
    group has to save three tenths of the attention as it was: it is a dozen operations more.

    Args:
        sizes: One group of a single head each.
        size: Dimensions that each of them had.

    >>> partition([Group(1, 4, 4), Group(1, 1, 2), Group(1, 4, 3), Group(1, 1, 1)], heads=4, size=4).groups
    [Group(heads=2, keys=1, values=2), Group(heads=2, keys=4, values=4)]
    """
    order = sorted(range(len(sizes)), key=lambda number: (sizes[number].keys + sizes[number].values, number))
    whole = 4 * heads * size

    def group(start: int, end: int) -> Group:
        members = [sizes[number] for number in order[start:end]]
        keys, values = max(each.keys for each in members), max(each.values for each in members)
        return Group(len(members), _filling(len(members), keys, size), _filling(len(members), values, size))

    # best[end]: cost of the first `end` heads, and where their groups begin
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, len(order) + 1):
        options = ((cost + group(cut, end).weight + whole * _A_GROUP, [*cuts, cut]) for cut, (cost, cuts) in enumerate(best))
        best.append(min(options))
    cuts = [*best[-1][1], len(order)]
    spans = list(pairwise(cuts))
    return Partition([group(*span) for span in spans], [order[start:end] for start, end in spans])


def _filling(heads: int, least: int, most: int) -> int:
    """Dimensions of a head: more than are alive where that fills vectors at little cost, see `_AT_ONCE`."""
    vectors = -(-heads * least // _AT_ONCE)
    size = next((size for size in range(least, most + 1) if heads * size % _AT_ONCE == 0), least)
    return size if heads * size <= 1.125 * vectors * _AT_ONCE else least


class Joined(NamedTuple):
    """Heads side by side, each filled up with zeros to the sizes of its group."""

    query: Affine
    key: Affine
    value: Affine
    output: Float[Tensor, "out all_values"]
    positions: list[Affine]


def joined(heads: Sequence[Head], group: Group) -> Joined:
    """Lay out the heads of a group."""
    output = torch.cat([_filled(head.output.T, group.values) for head in heads]).T
    return Joined(
        _stacked([head.query for head in heads], group.keys),
        _stacked([head.key for head in heads], group.keys),
        _stacked([head.value for head in heads], group.values),
        output,
        [_stacked(parts, group.keys) for parts in zip(*(head.positions for head in heads), strict=True)],
    )


def _filled(rows: Tensor, size: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])])


def _stacked(parts: Sequence[Affine], size: int) -> Affine:
    return Affine(
        torch.cat([_filled(part.weight, size) for part in parts]),
        torch.cat([_filled(part.bias, size) for part in parts]),
        any(part.biased for part in parts),
    )
