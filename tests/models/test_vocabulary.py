"""A tokenizer must know the words, and a model the tokens."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from prune_cli.errors import UserError
from prune_cli.models import other_token, unknown_share
from prune_cli.run.run import Outcome
from tests.whole_runs import do

STEPS = ("trainer.max_steps=2", "sparsity=0", "regularization=none", "model=bert_base", "model.revision=null")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return do(tmp_path_factory.mktemp("runs"), "trainer.max_steps=2", "sparsity=0")


@pytest.fixture
def model(trained: Outcome, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.folder / "model", tmp_path / "model"))


def test_shares(tiny_tokenizer: Callable) -> None:
    tokenizer = tiny_tokenizer(["one two three"])
    assert unknown_share(tokenizer, ["one two", "three"]) == 0
    assert unknown_share(tokenizer, ["one four five six"]) == 0.75
    assert unknown_share(tokenizer, ["four"]) == unknown_share(tokenizer, []) == 1


def test_tokens_that_mean_something_else_are_found(tiny_tokenizer: Callable) -> None:
    one, other = tiny_tokenizer(["two two one"]), tiny_tokenizer(["two one one one"])
    assert other_token(one, one) is None
    assert other_token(one, other) == "two"  # the most frequent word has the first number


def test_a_teacher_with_another_tokenizer_is_refused_before_models_are_loaded(model: Path, tmp_path: Path) -> None:
    vocabulary = json.loads((model / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    (one, first), (two, second) = [(word, number) for word, number in words.items() if number > 4][:2]
    words.update({one: second, two: first})
    (model / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UserError, match=r"first_teacher=.* has another tokenizer than the model"):
        do(tmp_path, "regularization=teacher", f"regularization.first_teacher={model}", "trainer.max_steps=20")


@pytest.mark.parametrize("kind", ["bert", "gpt2", "roberta", "t5", "deberta-v2"])
def test_a_tokenizer_without_files_knows_nothing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    assert unknown_share(AutoTokenizer.from_pretrained(tmp_path), ["Hello world, how are you?"]) == 1


@pytest.mark.parametrize("kind", ["ByT5Tokenizer", "CanineTokenizer"])
def test_a_tokenizer_of_characters_needs_no_files(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    assert unknown_share(AutoTokenizer.from_pretrained(tmp_path), ["Hello world"]) == 0


def test_a_model_folder_without_its_tokenizer_is_refused(model: Path, tmp_path: Path) -> None:
    for file in model.glob("*token*"):
        file.unlink()
    with pytest.raises(UserError, match=r"its tokenizer knows none of the words.*tokenizer\.json"):
        do(tmp_path, *STEPS, f"model.name={model}")


def test_a_tokenizer_of_another_language_is_told(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = json.loads((model / "tokenizer.json").read_text())
    words = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)
    kept = {word for word in words[5:] if len(word) == 1} | set(words[:5])
    content["model"]["vocab"] = {w if w in kept else f"\u4e2d{n}": n for n, w in enumerate(words)}
    (model / "tokenizer.json").write_text(json.dumps(content))
    logging.getLogger("prune_cli").addHandler(caplog.handler)
    try:
        do(tmp_path, *STEPS, f"model.name={model}")
    finally:
        logging.getLogger("prune_cli").removeHandler(caplog.handler)
    assert "DOES NOT KNOW" in caplog.text


def test_tokens_that_the_model_has_no_embedding_for_are_refused(model: Path, tmp_path: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"] = weights["bert.embeddings.word_embeddings.weight"][:50].clone()
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "vocab_size": 50}))
    with pytest.raises(UserError, match="embeddings for 50 tokens alone"):
        do(tmp_path, *STEPS, f"model.name={model}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(model: Path, tmp_path: Path, value: float) -> None:
    weights = load_file(model / "model.safetensors")
    weights["bert.encoder.layer.1.output.dense.weight"][3, 4] = torch.tensor(value)
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"layer\.1\.output\.dense\.weight holds infinite or not-a-number"):
        do(tmp_path, *STEPS, f"model.name={model}")
    with pytest.raises(UserError, match=r"first_teacher=.*layer\.1\.output\.dense\.weight holds infinite"):
        do(tmp_path, "trainer.max_steps=20", f"regularization.first_teacher={model}")
