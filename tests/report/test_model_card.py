"""The model card tells the truth and nothing about the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from prune_cli.artifacts.result import Result
from prune_cli.report.model_card import model_card

COMMAND = "prune run task=mrpc model=minilm trainer.learning_rate=0.0001"

MakeResult = Callable[..., Result]


@pytest.fixture
def config() -> dict[str, Any]:
    return {
        "task": {"name": "mrpc", "hub_path": "nyu-mll/glue", "hub_config": "mrpc", "evaluation_splits": ["validation"]},
        "model": {"name": "google-bert/bert-base-uncased", "random": None},
        "trainer": {"learning_rate": 1e-4, "max_steps": 1140},
        "data": {"path": "/home/me/data/mrpc", "token": "hf_nobody_should_see"},
        "sparsity": 0.9,
        "seed": 42,
        "choices": {},
    }


def header(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def test_header(make_result: MakeResult, config: dict[str, Any]) -> None:
    assert header(model_card(make_result(), config, COMMAND)) == {
        "library_name": "transformers",
        "base_model": "google-bert/bert-base-uncased",
        "datasets": ["nyu-mll/glue"],
        "pipeline_tag": "text-classification",
        "metrics": ["f1", "accuracy"],
        "tags": ["pruning", "sparse", "unstructured", "pins", "mrpc", "prune-lm"],
        "model-index": [
            {
                "name": "mrpc-minilm-pins-s0.9-1a2b3c4d",
                "results": [
                    {
                        "task": {"type": "text-classification"},
                        "dataset": {"name": "mrpc", "type": "nyu-mll/glue", "config": "mrpc", "split": "validation"},
                        "metrics": [
                            {"type": "f1", "value": 0.84261, "name": "F1"},
                            {"type": "accuracy", "value": 0.75741, "name": "accuracy"},
                        ],
                    }
                ],
            }
        ],
    }


def test_the_hub_reads_the_evaluation(make_result: MakeResult, config: dict[str, Any]) -> None:
    data: Any = ModelCard(model_card(make_result(), config, COMMAND)).data
    read = [(each.dataset_type, each.metric_type, each.metric_value) for each in data.eval_results]
    assert read == [("nyu-mll/glue", "f1", 0.84261), ("nyu-mll/glue", "accuracy", 0.75741)]


def test_text(make_result: MakeResult, config: dict[str, Any]) -> None:
    card = model_card(make_result(teacher_metric=0.86712, teacher_records=200), config, COMMAND)
    for line in (
        "# mrpc-minilm-pins-s0.9-1a2b3c4d",
        "| prunable weights (matrices in the Transformer blocks) | 9,555,149 | 10,616,832 | 90.0000% |",
        "| the whole model | 9,555,149 | 22,713,986 | 42.07% |",
        "| metric | pruned | first, dense teacher, of 200 records |",
        "|---|---|---|",
        "| **F1** | 0.8426 | 0.8671 |",
        "| accuracy | 0.7574 | |",
        "model = AutoModelForSequenceClassification.from_pretrained(folder)",
        COMMAND,
        "With python 3.11.7, torch 2.13.0, commit 0123abcd:",
        "  max_steps: 1140",
        "  path: mrpc",
    ):
        assert line in card.splitlines(), line
    assert "as large as the unpruned model's (model.safetensors 90.9 MB)" in card
    assert "no faster" in card


def test_without_a_first_teacher_there_is_no_column_for_it(make_result: MakeResult, config: dict[str, Any]) -> None:
    lines = model_card(make_result(git_commit=None), config, COMMAND).splitlines()
    assert "| **F1** | 0.8426 |" in lines
    assert "With python 3.11.7, torch 2.13.0:" in lines


def test_nothing_of_the_machine_or_of_its_user(make_result: MakeResult, config: dict[str, Any]) -> None:
    card = model_card(make_result(), config, COMMAND)
    for private in ("/home", "nobody_should_see"):
        assert private not in card


def test_a_model_that_is_not_on_the_hub_is_no_base_model(
    make_result: MakeResult, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "./mine", str(tmp_path / "mine"), None):
        config["model"] = {"name": name, "random": None}
        card = model_card(make_result(), config, COMMAND)
        assert "base_model" not in header(card)
        assert "A model from a local folder, fine-tuned on `mrpc`" in card
    config["model"] = {"name": None, "random": {"model_type": "bert"}}
    assert "A randomly initialized model, fine-tuned" in model_card(make_result(), config, COMMAND)


def test_local_records_are_no_data_set_of_the_hub(make_result: MakeResult, config: dict[str, Any]) -> None:
    result = make_result()
    result.choices["data"] = "local"
    assert "datasets" not in header(model_card(result, config, COMMAND))


def test_a_model_that_writes_says_how_it_is_asked_and_scored(make_result: MakeResult, config: dict[str, Any]) -> None:
    plain = model_card(make_result(), config, COMMAND)
    assert "generate" not in plain
    assert "sacrebleu" not in plain
    config["task"] |= {
        "prompt": "{source}\nText:",
        "fact": "{a} : {b}",
        "between": " | ",
        "max_new_tokens": 9,
        "beams": 1,
    }
    card = model_card(make_result(signatures={"bleu": "nrefs:var|case:lc", "ter": "case:mixed"}), config, COMMAND)
    assert "inputs = tokenizer('{a} : {b} | {a} : {b}\\nText:', return_tensors=\"pt\")" in card
    assert "model.generate(**inputs, max_new_tokens=9, num_beams=1, do_sample=False)" in card
    assert "As sacrebleu computes them:\n\n- BLEU: `nrefs:var|case:lc`\n- TER: `case:mixed`\n\n## Use" in card
