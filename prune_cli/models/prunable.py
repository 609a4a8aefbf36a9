"""Where the heads, neurons and layers of a model lie in its prunable matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from prune_cli.compaction.families import FAMILIES, AttentionNames
from prune_cli.pruning.layout import ModelLayout, Part
from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.scope import prunable_matrices, transformer_blocks

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from prune_cli.pruning.patterns import Pattern

Shapes = Mapping[str, tuple[int, int]]
Found = Iterator[tuple[list[tuple[str, int, int, int]], int]]
"""For one attention, feed-forward or layer: name, axis, size and period of each of its matrices; and how many units it has."""


def prunable(
    model: PreTrainedModel, pattern: Pattern, include: str | None = None, exclude: str | None = None
) -> tuple[list[Matrix], ModelLayout]:
    """What a pattern prunes of a model.

    Args:
        pattern: Says which of the prunable matrices it covers.

    Raises:
        ValueError: If nothing is prunable.
    """
    matrices = prunable_matrices(model, include, exclude)
    layout = _layout(model, matrices)
    covered = pattern.covers(layout)
    kept: list[Matrix] = []
    start = 0
    for matrix in matrices:
        if matrix.name in covered:
            kept.append(replace(matrix, start=start))
            start += matrix.size
    return (kept, _layout(model, kept)) if covered else (matrices, layout)


def _layout(model: PreTrainedModel, matrices: list[Matrix]) -> ModelLayout:
    """The matrices of a model, and their units where there are rules for its architecture."""
    shapes = ModelLayout.of(matrices).shapes
    if (family := FAMILIES.get(model.config.model_type)) is None:
        return ModelLayout(shapes)
    blocks = list(transformer_blocks(model).items())

    def heads() -> Found:
        for name, block in blocks:
            there = dict(block.named_modules())
            for names in family.attention:
                if names.module in there:
                    yield _heads(name, there[names.module], names, shapes)

    def neurons() -> Found:
        for name, block in blocks:
            there = dict(block.named_modules())
            for names in family.feed_forward:
                if names.up in there and (names.gate is None or names.gate in there):
                    into = [f"{name}.{each}.weight" for each in (names.up, names.gate) if each is not None]
                    width = next((shapes[each][0] for each in into if each in shapes), 0)
                    down = f"{name}.{names.down}.weight"
                    yield [*((each, 0, 1, width) for each in into), (down, 1, 1, width)], width

    def layers() -> Found:
        for name, _ in blocks:
            inside = [each for each in shapes if each.startswith(f"{name}.")]
            yield [(each, 0, shapes[each][0], shapes[each][0]) for each in inside], 1

    kinds: dict[str, Callable[[], Found]] = {"heads": heads, "neurons": neurons, "layers": layers}
    return ModelLayout(shapes, {kind: _numbered(find(), shapes) for kind, find in kinds.items()})


def _heads(block: str, module: nn.Module, names: AttentionNames, shapes: Shapes) -> tuple[list[tuple[str, int, int, int]], int]:
    """The heads of one attention; those that share keys and values are one unit."""
    size = int(getattr(module, names.size[0]))
    query, key, value, output = (f"{block}.{each}.weight" for each in (names.query, names.key, names.value, names.output))
    if query == key:  # one matrix for all three
        heads = shapes[query][0] // 3 // size if query in shapes else shapes[output][1] // size if output in shapes else 0
        return [(query, 0, size, heads * size), (output, 1, size, heads * size)], heads
    across = next((shapes[each][axis] for each, axis in ((query, 0), (output, 1)) if each in shapes), 0)
    along = next((shapes[each][0] for each in (key, value) if each in shapes), across)
    groups = along // size
    shared = across // groups if groups else size
    return [
        (query, 0, shared, across),
        (key, 0, size, along),
        (value, 0, size, along),
        *((f"{block}.{each}.weight", 0, size, along) for each in names.positions or ()),
        (output, 1, shared, across),
    ], groups


def _numbered(found: Found, shapes: Shapes) -> dict[str, Part]:
    """Number the units through the model; matrices that are not prunable have no part."""
    parts: dict[str, Part] = {}
    first = 0
    for matrices, units in found:
        there = [(name, axis, size, period) for name, axis, size, period in matrices if name in shapes]
        parts |= {name: Part(axis, first, size, period) for name, axis, size, period in there}
        first += units if there else 0
    return parts
