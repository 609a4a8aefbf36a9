"""Records and predictions that repeat each other."""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from prune_cli.tasks.ner import TokenTagging
from prune_cli.tasks.sameness import only_answer, only_prediction, repeated
from prune_cli.tasks.squad import SpanExtraction


def test_repeated_records_are_those_that_ask_the_same(glue_task: Any) -> None:
    train = Dataset.from_list(
        [{"sentence1": "a", "sentence2": "b", "label": 1}, {"sentence1": "c", "sentence2": "d", "label": 0}]
    )
    rows = [("a", "b", 0), ("b", "a", 1), ("a", "c", 1), ("a", "b", 1)]
    evaluated = Dataset.from_list([{"sentence1": a, "sentence2": b, "label": label} for a, b, label in rows])
    assert repeated(glue_task("mrpc"), train, evaluated) == 2
    words = [["a", "b"], ["b"]]
    tags = TokenTagging(name="ner", labels=("O", "B-X"))
    assert repeated(tags, Dataset.from_dict({"tokens": words[:1]}), Dataset.from_dict({"tokens": words})) == 1


def test_only_what_is_said_of_all_records_is_told(glue_task: Any) -> None:
    task = glue_task("mrpc")
    mixed, alike = ([{"label": label} for label in labels] for labels in ([0, 1, 1], [1, 1, 1]))
    assert only_answer(task, mixed) is None and only_answer(task, alike) == "equivalent"
    assert only_answer(task, alike[:1]) is None  # of one record nothing can be said
    same, other = {"label": "equivalent"}, {"label": "not_equivalent"}
    assert only_prediction(task, [same] * 3, mixed) == "equivalent"
    assert only_prediction(task, [same] * 3, alike) is None  # that is right
    assert only_prediction(task, [same, same, other], mixed) is None
    questions = SpanExtraction(name="squad", null_answers=True)
    records = [{"answers": {"text": texts, "answer_start": [0] * len(texts)}} for texts in ([], ["Rome"])]
    assert only_prediction(questions, [{"answer": ""}] * 2, records) == "no answer"
    scores = glue_task("stsb")
    assert only_prediction(scores, [{"score": 2.5012}, {"score": 2.4987}], [{"label": 1.0}, {"label": 5.0}]) == "2.50"
