"""Which modules of a pruned model can be smaller, and what they then hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from prune_cli.compaction.affine import Affine
from prune_cli.compaction.compact_layout import KEY, Entry
from prune_cli.compaction.families import FAMILIES, AttentionNames, FeedForwardNames
from prune_cli.compaction.modules import Group
from prune_cli.compaction.rules import (
    Attention,
    alive_groups,
    compact_attention,
    compact_feed_forward,
    joined,
    kept_rows,
    partition,
)
from prune_cli.pruning.scope import transformer_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Change(NamedTuple):
    """One module, before and after.

    Attributes:
        tensors: What that holds, by name in it.
        before: Weights of its matrices as it was: multiply-adds for a token.
    """

    entry: Entry
    tensors: dict[str, Tensor]
    before: int

    @property
    def after(self) -> int:
        """Weights of its matrices as it becomes."""
        return sum(tensor.numel() for tensor in self.tensors.values() if tensor.ndim == 2)


def has_rules(model: PreTrainedModel) -> bool:
    """Whether there are rules for a model's architecture, and it is not compact already."""
    config = model.config
    if hasattr(config, KEY) or config.model_type not in FAMILIES:
        return False
    return not (FAMILIES[config.model_type].attention[0].encoder and getattr(config, "is_decoder", False))


@torch.no_grad()
def changes(model: PreTrainedModel) -> Iterator[Change]:
    """What can be cut out of a model, block by block; nothing is changed yet.

    Args:
        model: In float32, of an architecture that is `has_rules`; what its masks removed is zero.
    """
    family = FAMILIES[model.config.model_type]
    for name in transformer_blocks(model):
        block = model.get_submodule(name)
        there = dict(block.named_modules())
        for attention in family.attention:
            if attention.module in there:
                yield from _placed(name, _attention(block, attention))
        for feed_forward in family.feed_forward:
            if feed_forward.up in there:
                yield from _placed(name, _feed_forward(block, feed_forward))


def _placed(block: str, of_block: Iterator[Change]) -> Iterator[Change]:
    for change in of_block:
        change.entry["name"] = f"{block}.{change.entry['name']}"
        yield change


def _linear(block: nn.Module, name: str, new: Affine) -> Change:
    """A layer with another matrix; one without a row or a column that is alive leaves its bias."""
    before = Affine.of(block.get_submodule(name)).weight.numel()
    outputs, inputs = new.weight.shape
    if inputs == 0 or not new.rows.any():
        return Change({"name": name, "kind": "constant", "outputs": outputs}, {"bias": new.bias.contiguous()}, before)
    tensors = {"weight": new.weight.contiguous()} | ({"bias": new.bias.contiguous()} if new.biased else {})
    return Change({"name": name, "kind": "linear", "inputs": inputs, "outputs": outputs, "bias": new.biased}, tensors, before)


def _feed_forward(block: nn.Module, names: FeedForwardNames) -> Iterator[Change]:
    up, down = (Affine.of(block.get_submodule(name)) for name in (names.up, names.down))
    gate = None if names.gate is None else Affine.of(block.get_submodule(names.gate))
    left = compact_feed_forward(up, down, _attribute(block, names.activation), gate)
    if len(left.up.weight) == len(up.weight):
        return
    into = [(names.up, left.up)]
    if names.gate is not None and left.gate is not None:
        into.append((names.gate, left.gate))
    if len(left.up.weight) == 0:
        for name, _ in into:
            yield Change({"name": name, "kind": "unread"}, {}, Affine.of(block.get_submodule(name)).weight.numel())
    else:
        for name, matrix in into:
            yield _linear(block, name, matrix)
    yield _linear(block, names.down, left.down)


def _attention(block: nn.Module, names: AttentionNames) -> Iterator[Change]:
    output = Affine.of(block.get_submodule(names.output))
    module = block.get_submodule(names.module)
    size = int(getattr(module, names.size[0]))
    heads = output.weight.shape[1] // size
    if names.query == names.key:  # one matrix for all three
        whole = Affine.of(block.get_submodule(names.query))
        weights, biases = whole.weight.chunk(3), whole.bias.chunk(3)
        parts = [Affine(weight, bias, whole.biased) for weight, bias in zip(weights, biases, strict=True)]
    else:
        parts = [Affine.of(block.get_submodule(name)) for name in (names.query, names.key, names.value)]
    if names.rotary:
        yield from _rotary(block, names, parts, output, size)
        return
    query, key, value = parts
    there = dict(block.named_modules())
    positional = None if names.positions is None else [name for name in names.positions if name in there]
    left = compact_attention(
        query,
        key,
        value,
        output,
        heads,
        positions=None if positional is None else [Affine.of(there[name]) for name in positional],
        keep_dead=not names.removable,
    )
    if names.encoder:
        yield from _grouped(block, names, left, inputs=query.weight.shape[1], heads=heads, size=size)
    else:
        yield from _resized(block, names, left, positional or [], heads=heads, size=size)


def _grouped(block: nn.Module, names: AttentionNames, left: Attention, *, inputs: int, heads: int, size: int) -> Iterator[Change]:
    """Attention whose heads differ in size."""
    module = block.get_submodule(names.module)
    inside = names.output.startswith(f"{names.module}.")  # DistilBERT's output projection belongs to the attention
    outputs = len(left.bias)
    whole = (3 * inputs + outputs) * heads * size
    cut = partition([head.group for head in left.heads], heads, size)
    laid = [
        joined([left.heads[number] for number in numbers], group) for numbers, group in zip(cut.heads, cut.groups, strict=True)
    ]
    projection = Affine(torch.cat([one.output for one in laid], dim=1), left.bias, True)
    tensors = {
        f"projections.{number}.{name}.{kind}": tensor.contiguous()
        for number, one in enumerate(laid)
        for name, part in (("query", one.query), ("key", one.key), ("value", one.value))
        for kind, tensor in (("weight", part.weight), ("bias", part.bias))
    }
    if sum(tensor.numel() for tensor in tensors.values() if tensor.ndim == 2) + projection.weight.numel() >= whole:
        return
    if inside:
        tensors |= {"output.weight": projection.weight.contiguous(), "output.bias": projection.bias}
    entry = {
        "name": names.module,
        "kind": "grouped",
        "inputs": inputs,
        "outputs": outputs if inside else None,
        "groups": [list(group) for group in cut.groups],
        "scaling": float(module.scaling),  # pyright: ignore[reportArgumentType]
    }
    yield Change(entry, tensors, whole if inside else whole - Affine.of(block.get_submodule(names.output)).weight.numel())
    if not inside:
        yield _linear(block, names.output, projection)


def _resized(
    block: nn.Module, names: AttentionNames, left: Attention, positional: Sequence[str], *, heads: int, size: int
) -> Iterator[Change]:
    """Attention in transformers' own module, whose heads all have the same size, that of the largest."""
    largest = max(max(head.group.keys, head.group.values) for head in left.heads)
    if largest == size and len(left.heads) == heads:
        return
    laid = joined(left.heads, Group(len(left.heads), largest, largest))
    sizes = dict.fromkeys(names.size, largest) | dict.fromkeys(names.width, largest * len(left.heads))
    if names.heads is not None:
        sizes[names.heads] = len(left.heads)
    yield Change({"name": names.module, "kind": "sizes", "sizes": sizes}, {}, 0)
    # DeBERTa divides by the square root of the dimensions that it sees; every product has two of these factors
    factor = 1.0 if names.positions is None else (largest / size) ** 0.25
    query, key, *positions = (each.times(factor) for each in (laid.query, laid.key, *laid.positions))
    if names.query == names.key:
        parts = (query, key, laid.value)
        whole = Affine(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]), True)
        yield _linear(block, names.query, whole)
    else:
        placed = zip((names.query, names.key, names.value, *positional), (query, key, laid.value, *positions), strict=True)
        for name, matrix in placed:
            yield _linear(block, name, matrix)
    yield _linear(block, names.output, Affine(laid.output, left.bias, left.biased))


def _rotary(block: nn.Module, names: AttentionNames, parts: list[Affine], output: Affine, size: int) -> Iterator[Change]:
    """Attention whose queries and keys are rotated: the heads that share a key go when none of them is alive."""
    query, key, value = parts
    groups = len(key.weight) // size
    alive, folded = alive_groups(value, output, groups)
    if alive.all():
        return
    weight = torch.where(alive.repeat_interleave(output.weight.shape[1] // groups), output.weight, 0)
    if not alive.any():
        alive[0] = True  # the module wants one; nobody reads what it gives
    of_heads, of_keys = (alive.repeat_interleave(len(each.weight) // groups) for each in (query, key))
    yield _linear(block, names.query, kept_rows(query, of_heads))
    yield _linear(block, names.key, kept_rows(key, of_keys))
    yield _linear(block, names.value, kept_rows(value, of_keys))
    yield _linear(block, names.output, Affine(weight[:, of_heads], folded.bias, folded.biased))


def _attribute(block: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    """A module or a function of a block, by its dotted name."""
    return attrgetter(name)(block)
