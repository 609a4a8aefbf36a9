"""Compact models of every architecture: the same outputs, counted arithmetic, a round trip through files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from prune_cli.compaction.compact import arithmetic, compact
from prune_cli.compaction.families import FAMILIES
from prune_cli.errors import UserError
from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime import load_compact
from tests.compaction.architectures import ARCHITECTURES, batch, outputs, tiny

SPARSITIES = (0.5, 0.8, 0.95, 0.99, 1.0)


def test_every_family_is_tried() -> None:
    assert {options.get("model_type", name) for name, (_, options) in ARCHITECTURES.items()} == set(FAMILIES)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize(
    ("name", "attention"),
    [
        *((name, "eager") for name in ARCHITECTURES),
        *((name, "sdpa") for name in ARCHITECTURES if "deberta" not in name),
    ],
)
def test_a_compact_model_computes_the_same(name: str, attention: str, sparsity: float, tmp_path: Path) -> None:
    model = tiny(name, sparsity, seed=round(100 * sparsity))
    model.set_attn_implementation(attention)
    inputs = batch(model)
    expected, counted = outputs(model, inputs), arithmetic(model)
    left = compact(model)
    assert counted == left
    torch.testing.assert_close(outputs(model, inputs), expected, rtol=1e-5, atol=1e-5)

    model.save_pretrained(tmp_path)
    loaded = load_compact(tmp_path)
    loaded.set_attn_implementation(attention)
    torch.testing.assert_close(outputs(loaded, inputs), outputs(model, inputs), rtol=0, atol=0)
    assert type(loaded).__name__ == type(model).__name__


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_arithmetic_left_is_what_the_model_holds(name: str) -> None:
    model = tiny(name, 0.95)
    dense = sum(weight.numel() for weight in prunable_weights(model).values())
    left = compact(model)
    assert left.dense == dense
    assert left.left == sum(weight.numel() for weight in prunable_weights(model).values()) < dense
    assert 0 < left.share < 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_empty_model_has_next_to_nothing_left(name: str) -> None:
    assert compact(tiny(name, 1.0)).share < 0.02  # of attention one dimension may stay, or nothing


@pytest.mark.parametrize("name", ["gpt2", "llama", "bart", "t5"])
def test_a_compact_model_generates_the_same(name: str) -> None:
    model = tiny(name, 0.9)
    ids = torch.tensor([[7, 8, 9, 10], [11, 12, 13, 14]])
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(ids)}
    expected = model.generate(ids, **options)  # pyright: ignore
    compact(model)
    assert torch.equal(model.generate(ids, **options), expected)  # pyright: ignore


def test_a_dense_model_stays_as_it_is() -> None:
    model = tiny("bert", 0.0)
    modules = dict(model.named_modules())
    assert compact(model).share == 1
    assert dict(model.named_modules()) == modules


def test_what_cannot_be_made_compact_is_told(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, OPTConfig

    other = AutoModelForCausalLM.from_config(OPTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16))
    assert arithmetic(other) is None
    with pytest.raises(UserError, match="no rules for opt"):
        compact(other)
    model = tiny("bert", 0.9)
    compact(model)
    with pytest.raises(UserError, match="compact already"):
        compact(model)
    with pytest.raises(UserError, match="cannot be read"):
        load_compact(tmp_path / "nowhere")
    plain = tiny("bert", 0.9)
    plain.save_pretrained(tmp_path)
    assert load_compact(tmp_path).state_dict().keys() == plain.state_dict().keys(), "one call for every saved model"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(compact={"version": 2, "modules": []}), "no compact model"),
        (lambda c: c.update(compact=[1]), "no compact model"),
        (lambda c: c["compact"]["modules"][0].update(kind="pickle"), "entry 0"),
        (lambda c: c["compact"]["modules"][0].update(inputs=1 << 40), "entry 0"),
        (lambda c: c["compact"]["modules"][0].update(inputs="4"), "entry 0"),
        (lambda c: c["compact"]["modules"][0].update(more=1), "entry 0"),
        (lambda c: c["compact"]["modules"][0].update(name="bert.nowhere.at.all"), "cannot be loaded"),
        (lambda c: c["compact"]["modules"].pop(), "cannot be loaded"),
        (lambda c: c.update(architectures=["os"]), "names no model"),
        (lambda c: c.update(architectures=None), "names no model"),
    ],
)  # fmt: skip
def test_a_hostile_layout_is_refused(change, message: str, tmp_path: Path) -> None:
    model = tiny("bert", 0.95)
    compact(model)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        load_compact(tmp_path)


def test_torn_weights_are_refused(tmp_path: Path) -> None:
    model = tiny("bert", 0.95)
    compact(model)
    model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_compact(tmp_path)
