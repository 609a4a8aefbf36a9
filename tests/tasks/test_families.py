"""Entities and questions end to end on a tiny model: what is learned, resumed, loaded elsewhere, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification, AutoTokenizer, pipeline

from prune_cli.config.saved import saved_run
from prune_cli.errors import UserError
from prune_cli.pruning.pruner import Pruner
from prune_cli.run.run import Outcome, run
from prune_cli.run.saved import predict
from prune_cli.tasks.tags import entities_of
from tests.tiers import quick
from tests.whole_runs import Killed, assert_same_end, config_of, dies, do

TASKS = ("conll2003", "squad")
LEARNING = (
    "trainer.max_steps=250 trainer.batch_size=16 trainer.learning_rate=3e-3 trainer.eval_steps=125 sparsity=0.5"
    " data.train=1000 data.validation=100"
).split()


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Half of the weights removed, and entities learned."""
    folder = tmp_path_factory.mktemp("learned")
    return run(config_of(folder, "task=conll2003", *LEARNING), Console(quiet=True))


def lines_of(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outcome.folder / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_entities_are_learned(learned: Outcome) -> None:
    assert learned.result.metric > 0.5
    assert {"f1_PER", "precision_PER", "recall_PER", "f1_LOC"} < set(learned.result.metrics)
    right = [sample["right"] for sample in learned.result.samples]
    assert right.count(True) == right.count(False) == 5


def test_the_librarys_pipeline_finds_the_same_entities(learned: Outcome) -> None:
    """Where tags are sound: what begins with I-X is an entity to the pipeline, and none to the strict mode of seqeval."""
    tokenizer = AutoTokenizer.from_pretrained(learned.folder / "model")
    model = AutoModelForTokenClassification.from_pretrained(learned.folder / "model")
    pipe = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple"
    )  # a word is a token here
    compared = 0
    for line in lines_of(learned):
        made = line["prediction"]
        begins = [tag.startswith("B-") for tag in made["tags"]]
        if sum(begins) != len(entities_of(made["tags"])) or any(
            tag.startswith("I-") and before[2:] != tag[2:]
            for before, tag in zip(["O", *made["tags"]], made["tags"], strict=False)
        ):
            continue
        (theirs,) = pipe(line["tokens"], is_split_into_words=True, delimiter=" ")
        ours = [(entity["type"], entity["start"], entity["end"]) for entity in made["entities"]]
        assert [(found["entity_group"], found["start"], found["end"]) for found in theirs] == ours
        scores = [entity["score"] for entity in made["entities"]]
        assert [float(found["score"]) for found in theirs] == pytest.approx(scores, abs=1e-4)
        compared += len(ours)
    assert compared > 50


def test_words_and_texts_are_asked_together_and_answers_are_not_read(learned: Outcome) -> None:
    """What the records say of their tags, by whichever name, is no part of a question; each text keeps its own characters."""
    config, folder = saved_run(learned.folder, [], records=False)
    words = lines_of(learned)[0]["tokens"]
    text = "  ".join(words)
    rows = [{"tokens": words, "tags": [0] * len(words)}, {"tokens": text}, {"tokens": words, "ner_tags": "unread"}]
    ((of_words, of_text, again),) = predict(config, folder, rows)
    assert of_words == again
    assert [text[entity["start"] : entity["end"]] for entity in of_text["entities"]] == [
        entity["text"] for entity in of_text["entities"]
    ]
    assert of_text["tags"] == of_words["tags"]


@pytest.mark.parametrize("task", quick(["conll2003"], TASKS))
def test_killed_and_resumed_ends_the_same(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through accumulated batches too, whose losses are divided by what the batches of a step hold together."""
    options = [
        f"task={task}",
        "trainer.max_steps=24",
        "trainer.eval_steps=8",
        "trainer.save_steps=6",
        "schedule.delta_t=2",
    ]
    options += ["trainer.gradient_accumulation=2", "trainer.batch_size=4", "data.train=60", "data.validation=12"]
    whole = do(tmp_path / "whole", *options)
    with monkeypatch.context() as patch:
        patch.setattr(Pruner, "select", dies(Pruner.select, 17))
        with pytest.raises(Killed):
            do(tmp_path / "cut", *options)
    assert list((tmp_path / "cut").rglob("checkpoint-*"))
    assert_same_end(whole, do(tmp_path / "cut", *options))
    sparsity, names = whole.result.sparsity, {layer.name for layer in whole.result.layers}
    saved = load_file(whole.folder / "model" / "model.safetensors")
    assert sum(int((saved[name] == 0).sum()) for name in names) == round(0.9 * sparsity.prunable) == sparsity.zeros_in_file


def test_the_saved_model_answers_elsewhere_as_it_does_here(tmp_path: Path) -> None:
    """The best pair of start and end in the text, found by hand from what the library's class gives."""
    outcome = do(tmp_path, "task=squad", "trainer.max_steps=20", "data.validation=12")
    folder = outcome.folder / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForQuestionAnswering.from_pretrained(folder)
    config, _ = saved_run(outcome.folder, [], records=False)
    rows = [{name: line[name] for name in ("question", "context")} for line in lines_of(outcome)]
    (found,) = predict(config, folder, rows)
    for row, ours in zip(rows, found, strict=True):
        inputs = tokenizer(row["question"], row["context"], return_offsets_mapping=True, return_tensors="pt")
        offsets, of = inputs.pop("offset_mapping")[0], inputs.sequence_ids(0)
        with torch.no_grad():
            made = model(**inputs)
        inside = [token for token, which in enumerate(of) if which == 1]
        pairs = [(first, last) for first in inside for last in inside if first <= last < first + 30]
        first, last = max(pairs, key=lambda pair: float(made.start_logits[0, pair[0]] + made.end_logits[0, pair[1]]))
        assert (ours["start"], ours["end"]) == (int(offsets[first, 0]), int(offsets[last, 1]))
        assert row["context"][ours["start"] : ours["end"]] == ours["answer"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_t5"])
def test_a_decoder_is_refused_before_anything_is_loaded(task: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"task={task} needs an encoder, and model={model} is .*: choose model=.*bert_base"):
        do(tmp_path, f"task={task}", f"model={model}")
    assert not list(tmp_path.iterdir())
