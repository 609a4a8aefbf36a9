"""Where heads, neurons and layers lie: what a structured pattern removes is whole, and can be cut out."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from prune_cli.compaction.compact import compact
from prune_cli.models.prunable import prunable
from prune_cli.pruning.criteria import Magnitude
from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.patterns import Units
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import OneShot
from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime import load_compact
from tests.compaction.architectures import ARCHITECTURES, batch, outputs, tiny


def removed(model: PreTrainedModel, *kinds: str, sparsity: float = 0.5, inside: float = 0.0) -> Pruner:
    """Remove units at once, by magnitude."""
    pattern = Units(units=kinds, inside=inside)
    assert not list(pattern.problems())
    matrices, layout = prunable(model, pattern)
    assert not list(pattern.incompatibilities(layout, sparsity))
    pruner = Pruner(
        matrices,
        criterion=Magnitude(), schedule=OneShot(initial=0.0), pattern=pattern, sparsity=sparsity, total_steps=10, layout=layout,
    )  # fmt: skip
    pruner.select(0)
    return pruner


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("kinds", [("heads",), ("neurons",), ("heads", "neurons"), ("layers",)], ids="-".join)
def test_whole_units_go_and_the_model_computes_the_same_without_them(name: str, kinds: tuple[str, ...], tmp_path: Path) -> None:
    model = tiny(name, 0.0)
    dense = sum(weight.numel() for weight in prunable_weights(model).values())
    pruner = removed(model, *kinds)
    assert pruner.removed == pruner.pattern.count(pruner.layout, 0.5) == sum(pruner.zeros()) == 0.5 * pruner.prunable
    for matrix in pruner.matrices:
        weight = matrix.local()
        for parts in (pruner.layout.structures[kind] for kind in kinds):
            if (part := parts.get(matrix.name)) is not None:
                along = part.units(weight.shape[part.axis])
                for unit in along.unique():
                    zero = (weight[along == unit] if part.axis == 0 else weight[:, along == unit]) == 0
                    assert zero.all() or not zero.any()
    inputs = batch(model)
    expected = outputs(model, inputs)
    left = compact(model)
    torch.testing.assert_close(outputs(model, inputs), expected, rtol=1e-5, atol=1e-5)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(outputs(load_compact(tmp_path), inputs), expected, rtol=1e-5, atol=1e-5)
    if not name.startswith("t5") or kinds == ("neurons",):  # whose blocks must all have as many heads
        assert left.left <= dense - 0.6 * pruner.removed  # so small a model is filled up to whole vectors


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "bart"])
@pytest.mark.parametrize(("kinds", "share"), [(("heads", "neurons"), 0.5), (("layers",), 0.5), (("neurons",), 0.9)])
def test_weights_inside_of_units_make_up_the_exact_count(name: str, kinds: tuple[str, ...], share: float) -> None:
    inside = 0.3
    sparsity = share + (1 - share) * inside
    model = tiny(name, 0.0)
    before = {name: weight.detach().clone() for name, weight in prunable_weights(model).items()}
    pruner = removed(model, *kinds, sparsity=sparsity, inside=inside)
    assert pruner.removed == sum(pruner.zeros()) == round(sparsity * pruner.prunable)
    gone, kept = [], []
    for matrix in pruner.matrices:
        weight, first = matrix.local(), before[matrix.name]
        unit = torch.zeros_like(weight, dtype=torch.bool)
        for part in (
            pruner.layout.structures[kind][matrix.name] for kind in kinds if matrix.name in pruner.layout.structures[kind]
        ):
            along = part.units(weight.shape[part.axis])
            for number in along.unique():
                where = (along == number)[:, None] if part.axis == 0 else (along == number)[None]
                unit |= where & (weight.masked_select(where.expand_as(weight)) == 0).all()
        assert torch.equal(weight[unit], torch.zeros_like(weight[unit]))
        gone.append(first[(weight == 0) & ~unit].abs())
        kept.append(first[weight != 0].abs())
    assert torch.cat(gone).max() <= torch.cat(kept).min(), "inside of units, the least important weights go"


def test_heads_that_share_keys_and_values_go_together() -> None:
    model = tiny("llama", 0.0)
    pruner = removed(model, "heads")
    sizes = pruner.layout.sizes("heads")
    # two groups a layer: queries 16 x 32, keys and values 8 x 32, output 32 x 16
    assert sizes.tolist() == [16 * 32 + 2 * 8 * 32 + 32 * 16] * 4


def test_units_are_numbered_through_the_model() -> None:
    model = tiny("bart", 0.0)
    _, layout = prunable(model, Units(units=("layers",)))
    assert len(layout.sizes("layers")) == 4
    assert len(set(layout.sizes("layers").tolist())) == 2  # a decoder's has an attention more
    assert sum(layout.sizes("layers").tolist()) == sum(map(math.prod, layout.shapes.values()))


def test_what_cannot_be_is_told() -> None:
    (problem,) = Units().incompatibilities(ModelLayout({"a": (4, 4)}), 0.5)
    assert problem.startswith("pattern.units=['heads']: where the heads of this architecture are is not known")
    _, layout = prunable(tiny("bert", 0.0), Units(units=("layers",)))
    (problem,) = Units(units=("layers",)).incompatibilities(layout, 0.2)
    assert problem == "sparsity=0.2 of 2 layers is less than half of one: give sparsity=0.5 or more"
    (problem,) = Units(units=("layers",), inside=0.5).incompatibilities(layout, 0.5)
    assert problem.startswith("sparsity=0.5 leaves nothing for whole units where pattern.inside=0.5 goes weight by weight")
    (problem,) = Units(units=("layers",), inside=0.5).incompatibilities(layout, 0.7)
    assert problem == "sparsity=0.7 of 2 layers is less than one: give sparsity=0.75 or more"
    assert not list(Units(units=("layers",), inside=0.5).incompatibilities(layout, 0.75))
    assert next(Units(inside=1.0).problems()).startswith("inside is 1: give the share that goes weight by weight")
    assert [next(Units(units=units).problems()) for units in ((), ("layers", "heads"), ("rows",))] == [
        "units is []: name each kind once, one at least",
        "units is ['layers', 'heads']: layers hold all of their heads and neurons, give pattern=layers alone",
        "units has rows: give some of heads, neurons, layers",
    ]
