"""Loading weights: what may be made anew, what must be there, and how long an input may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from prune_cli.errors import UserError
from prune_cli.heads.classification import Classification
from prune_cli.heads.text import Text
from prune_cli.models import folder_problems, load_finetuned, load_model
from prune_cli.models.input_length import longest_input

WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 50}
KINDS = {"bert": "AutoModelForMaskedLM", "llama": "AutoModelForCausalLM"}
HEADS = {"bert": Classification(), "llama": Text(max_new_tokens=4, beams=1)}


def saved(folder: Path, kind: str, auto: str | None = None, **options: Any) -> Path:
    config = AutoConfig.for_model(kind, **{**WIDE, "max_position_embeddings": 40, **options})
    torch.manual_seed(0)
    getattr(transformers, auto or KINDS[kind]).from_config(config).save_pretrained(folder)
    return folder


def without(folder: Path, word: str) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: values for name, values in weights.items() if word not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("bert", "word_embeddings"),
        ("bert", "position_embeddings"),
        ("bert", "layer.1.output.dense.weight"),
        ("llama", "embed_tokens"),
        ("llama", "model.norm.weight"),
        ("llama", "lm_head"),
    ],
)
def test_weights_that_are_missing_are_named_and_not_made(tmp_path: Path, kind: str, word: str) -> None:
    without(saved(tmp_path, kind), word)
    with pytest.raises(UserError, match=f"they lack .*{word}"):
        load_model(tmp_path, head=HEADS[kind], labels=["a", "b"])


def test_a_new_head_and_a_pooler_are_made(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, "bert"), head=HEADS["bert"], labels=["a", "b"])
    assert len(model.get_parameter("classifier.weight")) == 2


def test_a_head_of_other_classes_is_made_anew_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, "bert", "AutoModelForSequenceClassification", num_labels=3)
    model = load_model(tmp_path, head=HEADS["bert"], labels=["a", "b"])
    assert len(model.get_parameter("classifier.weight")) == 2
    assert "was fine-tuned for other classes: a new head is made" in caplog.text
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(model.get_parameter(name), load_file(tmp_path / "model.safetensors")[name])


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "bert")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(UserError, match=r"weights and config.json are of different sizes"):
        load_model(tmp_path, head=HEADS["bert"], labels=["a", "b"])
    saved(tmp_path, "bert", "AutoModelForSequenceClassification", num_labels=3)
    (tmp_path / "config.json").write_text(
        json.dumps({**json.loads((tmp_path / "config.json").read_text()), "intermediate_size": 48})
    )
    with pytest.raises(UserError, match=r"bert.encoder.layer.* is of another size than config.json says"):
        load_model(tmp_path, head=HEADS["bert"], labels=["a", "b"])


def test_a_fine_tuned_model_without_its_head_is_refused(tmp_path: Path) -> None:
    without(saved(tmp_path, "bert", "AutoModelForSequenceClassification"), "classifier")
    with pytest.raises(UserError, match="they lack classifier"):
        load_finetuned(tmp_path, HEADS["bert"])


def test_adapters_and_quantized_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "bert")
    assert list(folder_problems(str(tmp_path))) == []
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    (problem,) = folder_problems(str(tmp_path))
    assert problem == "its weights are quantized (gptq): give the plain weights that they were made of"
    with pytest.raises(UserError, match="quantized"):  # as from the hub, where there is no folder to look into before
        load_model(tmp_path, head=HEADS["bert"], labels=["a", "b"])
    (tmp_path / "adapter_config.json").write_text("{}")
    (problem,) = folder_problems(str(tmp_path))
    assert "merge it into its model first" in problem


@pytest.mark.parametrize(
    ("kind", "options", "longest"),
    [
        ("bert", {}, 40),
        ("roberta", {"pad_token_id": 1}, 38),  # rows, less the padding's index and one
        ("gpt2", {"n_positions": 40}, 40),
        ("bart", {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1}, 40),
        ("distilbert", {}, 40),
        ("llama", {}, None),  # computed
        ("t5", {"d_model": 32, "num_layers": 1}, None),  # relative
    ],
)
def test_an_input_is_as_long_as_the_table_of_positions(kind: str, options: dict[str, Any], longest: int | None) -> None:
    assert longest_input(AutoConfig.for_model(kind, max_position_embeddings=40, vocab_size=50, **options)) == longest
