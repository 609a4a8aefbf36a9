"""Runs that remove whole units: the saved model is small, and everything that reads a saved model reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from prune_cli.bench.bench import _sparsity
from prune_cli.compaction.compact import compact
from prune_cli.errors import UserError
from prune_cli.exporting.export import Wanted, export
from prune_cli.exporting.source import Source
from prune_cli.pruning.scope import prunable_weights
from prune_cli.run import finish
from prune_cli.run.run import Outcome
from prune_cli.run.saved import evaluate, predict
from prune_cli.runtime import load_compact, load_sparse
from prune_cli.runtime.compact import is_compact
from prune_cli.runtime.folders import class_of
from tests.whole_runs import config_of, do

WIDE = ("model.random.hidden_size=64", "model.random.num_attention_heads=4", "model.random.intermediate_size=160")
UNITS = (*WIDE, "pattern=heads", "pattern.units=[heads,neurons]", "sparsity=0.6")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return do(tmp_path_factory.mktemp("runs"), *UNITS)


def test_the_saved_model_is_as_much_smaller_as_was_removed(finished: Outcome, tmp_path: Path) -> None:
    result = finished.result
    dense = do(tmp_path, *WIDE, "sparsity=0", "trainer.max_steps=1").result
    name = "model/model.safetensors"
    saved = dense.files[name] - result.files[name]
    assert (result.small, dense.small) == ("compact", None)
    gone = result.sparsity.zeros_in_file
    assert gone == result.sparsity.zeros_by_mask == sum(layer.zeros for layer in result.layers)
    assert 4 * gone * 0.85 < saved < 4 * gone * 1.1, "bytes; what is left is filled up to whole vectors, and biases go too"
    left = sum(weight.numel() for weight in prunable_weights(load_compact(finished.folder / "model")).values())
    assert result.arithmetic is not None
    assert left == result.arithmetic.left < result.arithmetic.dense == dense.sparsity.prunable
    assert "load_compact(folder)" in (finished.folder / "model" / "README.md").read_text()


def test_it_is_evaluated_and_predicts_as_at_the_end_of_the_run(finished: Outcome) -> None:
    config, model = config_of(finished.folder.parent, *UNITS), finished.folder / "model"
    assert evaluate(config, model, Console(quiet=True)).metrics == pytest.approx(finished.result.metrics, abs=1e-5)
    rows = [json.loads(line) for line in (finished.folder / "predictions.jsonl").read_text().splitlines()]
    said = [each for part in predict(config, model, rows) for each in part]
    for one, other in zip(said, (row["prediction"] for row in rows), strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_it_is_exported_and_measured(finished: Outcome, tmp_path: Path) -> None:
    source = Source(finished.folder / "model", None)
    export(source, Wanted(format="sparse"), tmp_path / "sparse", lambda _: None)
    ours, theirs = (
        load_sparse(tmp_path / "sparse").state_dict(),
        load_file(finished.folder / "model" / "model.safetensors"),
    )
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    with pytest.raises(UserError, match="the model is compact already"):
        export(source, Wanted(format="compact"), tmp_path / "compact", lambda _: None)
    measured = _sparsity(source.model(), class_of(source.folder))
    whole = finished.result.sparsity
    assert measured == pytest.approx(whole.zeros_in_file / whole.prunable, abs=0.02)


def test_it_teaches_and_is_not_trained_on(finished: Outcome, tmp_path: Path) -> None:
    model = finished.folder / "model"
    taught = do(tmp_path, *WIDE, f"regularization.first_teacher={model}", "regularization.hidden=1", "trainer.max_steps=20")
    assert taught.result.teacher_metric == pytest.approx(finished.result.metric, abs=1e-5)
    with pytest.raises(UserError, match="is a compact model, from which whole units are gone"):
        do(tmp_path, f"model.name={model}", "model.random=null", "trainer.max_steps=20")


def test_weights_inside_of_units_go_too(tmp_path: Path) -> None:
    result = do(tmp_path, *UNITS, "pattern.inside=0.3", "trainer.max_steps=40").result
    assert result.sparsity.zeros_in_file == round(0.6 * result.sparsity.prunable)
    assert result.arithmetic is not None
    assert result.arithmetic.left < result.arithmetic.dense


def test_what_computes_something_else_when_it_is_read_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: Any) -> None:
        compact(model)
        model.classifier.bias.data += 1

    monkeypatch.setattr(finish, "compact", wrong)
    run = do(tmp_path, *UNITS, "trainer.max_steps=20")
    assert run.result.small is None
    assert not is_compact(run.folder / "model")
    metrics = evaluate(config_of(tmp_path, *UNITS), run.folder / "model", Console(quiet=True)).metrics
    assert metrics == pytest.approx(run.result.metrics, abs=1e-5)


def test_a_decoder_without_some_of_its_layers_is_a_plain_one(tmp_path: Path) -> None:
    asked = [
        "task=web_nlg",
        "model=tiny_llama",
        "pattern=layers",
        "sparsity=0.5",
        "regularization=none",
        "task.max_new_tokens=4",
    ]
    run = do(tmp_path, *asked, "trainer.max_steps=20", "trainer.eval_steps=20")
    assert run.result.small == "plain"
    whole = do(tmp_path, *asked, "sparsity=0", "trainer.max_steps=1").result
    model = AutoModelForCausalLM.from_pretrained(run.folder / "model")
    assert model.config.num_hidden_layers * 2 == AutoConfig.from_pretrained(tmp_path / whole.name / "model").num_hidden_layers
    metrics = evaluate(config_of(tmp_path, *asked), run.folder / "model", Console(quiet=True)).metrics
    assert metrics == pytest.approx(run.result.metrics, abs=1e-5)
    assert "AutoModelForCausalLM.from_pretrained(folder)" in (run.folder / "model" / "README.md").read_text()
