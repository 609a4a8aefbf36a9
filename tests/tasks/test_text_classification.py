from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from prune_cli.errors import UserError
from prune_cli.tasks.text_classification import TextClassification

Build = Callable[..., TextClassification]


def pairs(*labels: float | None) -> Dataset:
    return Dataset.from_dict(
        {"sentence1": ["a cat sat"] * len(labels), "sentence2": ["a dog ran off"] * len(labels), "label": list(labels)}
    )


@pytest.mark.parametrize(
    ("name", "metrics", "primary"),
    [
        ("cola", {"matthews", "accuracy"}, "matthews"),
        ("sst2", {"accuracy"}, "accuracy"),
        ("mrpc", {"f1", "accuracy", "matthews"}, "f1"),
        ("stsb", {"pearson", "spearman", "pearson_spearman"}, "pearson_spearman"),
        ("qqp", {"f1", "accuracy"}, "f1"),
        ("mnli", {"accuracy"}, "accuracy"),
        ("qnli", {"accuracy"}, "accuracy"),
        ("rte", {"accuracy"}, "accuracy"),
        ("wnli", {"accuracy"}, "accuracy"),
    ],
)
def test_official_metrics(glue_task: Build, name: str, metrics: set[str], primary: str):
    task = glue_task(name)
    assert set(task.metrics) == metrics
    assert task.primary_metric == primary


@pytest.mark.parametrize(
    ("name", "labels"),
    [  # numbered as on the hub
        ("cola", ("unacceptable", "acceptable")),
        ("sst2", ("negative", "positive")),
        ("mrpc", ("not_equivalent", "equivalent")),
        ("stsb", ()),
        ("qqp", ("not_duplicate", "duplicate")),
        ("mnli", ("entailment", "neutral", "contradiction")),
        ("qnli", ("entailment", "not_entailment")),
        ("rte", ("entailment", "not_entailment")),
        ("wnli", ("not_entailment", "entailment")),
    ],
)
def test_label_numbers(glue_task: Build, name: str, labels: tuple[str, ...]):
    assert glue_task(name).labels == labels


def test_a_task_is_frozen(glue_task: Build):
    with pytest.raises(dataclasses.FrozenInstanceError):
        glue_task("mrpc").name = "other"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mrpc", {"metrics": ["f2"], "primary_metric": "f2"}, "`f2` is no metric of a classification; known are acc"),
        ("stsb", {"metrics": ["f1"], "primary_metric": "f1"}, "`f1` is no metric of a regression; known are pearson"),
        ("mnli", {"metrics": ["f1", "accuracy"]}, "f1 needs two classes, and labels names 3"),
        ("mrpc", {"primary_metric": "pearson"}, "task.primary_metric=pearson is not among metrics"),
        ("mrpc", {"labels": ["only"]}, "task.labels has one class only"),
        ("mrpc", {"text_columns": []}, r"task.text_columns=\[\]"),
        ("stsb", {"label_range": [5, 0]}, r"task.label_range=\[5.0, 0.0\]"),
        ("mrpc", {"max_length": 2}, "task.max_length=2: must be above 2"),
        ("mrpc", {"labels": ["a", "b", "a"]}, "task.labels has a more than once"),
        ("mrpc", {"evaluation_splits": []}, "task.evaluation_splits is empty"),
        ("mrpc", {"evaluation_records": 0}, "task.evaluation_records=0: give at least 1"),
    ],
)
def test_impossible_fields(glue_task: Build, name: str, changes: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        glue_task(name, **changes)


def test_all_that_is_wrong_is_told_at_once(glue_task: Build):
    with pytest.raises(UserError) as caught:
        glue_task("mrpc", max_length=0, metrics=["bleu"], evaluation_splits=[])
    assert len(caught.value.problems) == 4  # and the primary metric is not among the metrics


def test_check_finds_every_kind_of_bad_record(glue_task: Build):
    records = Dataset.from_dict(
        {
            "sentence1": ["a", None, " ", "a", "a", "a", "a", ""],
            "sentence2": ["b", "b", "", "b", "b", "b", None, "b"],
            "label": [1, 0, 0, 2, -1, None, 1, 0],
        }
    )
    assert glue_task("mrpc").check(records) == [
        (1, "`sentence1` is empty"),
        (2, "no text in `sentence1` or `sentence2`"),
        (3, "`label` is 2, outside 0 to 1 (not_equivalent, equivalent)"),
        (4, "`label` is -1, a hidden label: such records cannot be trained on or scored"),
        (5, "`label` is empty"),
        (6, "`sentence2` is empty"),
    ]  # one empty text of two is a record of QQP's


def test_check_wants_whole_numbers(glue_task: Build):
    assert glue_task("mrpc").check(pairs(1.0)) == [(0, "`label` is 1.0, not a class number")]
    texts = pairs(0).remove_columns("label").add_column("label", ["equivalent"])  # pyright: ignore[reportCallIssue]
    assert glue_task("mrpc").check(texts) == [(0, "`label` is 'equivalent', not a class number")]
    assert glue_task("stsb").check(texts) == [(0, "`label` is 'equivalent', not a number")]


def test_check_of_scores(glue_task: Build):
    records = pairs(0.0, 5.0, 5.1, float("nan"), -1.0, None, float("inf"))
    assert glue_task("stsb").check(records) == [
        (2, "`label` is 5.1, outside 0 to 5"),
        (3, "`label` is nan, not a number"),
        (4, "`label` is -1.0, outside 0 to 5, a hidden label: such records cannot be trained on or scored"),
        (5, "`label` is empty"),
        (6, "`label` is inf, not a number"),
    ]
    assert glue_task("stsb", label_range=None).check(pairs(-100.0)) == []


def test_encode(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("mrpc"), pairs(1, 0)
    encoded = task.encode(records, tiny_tokenizer(task.texts(records)), training=True)
    # [CLS] a cat sat [SEP] a dog ran off [SEP]
    assert encoded["length"][:] == [10, 10]
    assert encoded["token_type_ids"][0] == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert encoded["attention_mask"][0] == [1] * 10
    assert encoded["labels"][:] == [1, 0]


def test_encode_cuts_at_the_lower_limit(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("mrpc", max_length=7), pairs(1)
    tokenizer = tiny_tokenizer(task.texts(records))
    assert task.encode(records, tokenizer, training=True)["length"][:] == [7]
    tokenizer.model_max_length = 5
    assert task.encode(records, tokenizer, training=True)["length"][:] == [5]


def test_encode_makes_scores_floats(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("stsb"), pairs(5, 3)
    labels = task.encode(records, tiny_tokenizer(task.texts(records)), training=True)["labels"][:]
    assert labels == [5.0, 3.0]
    assert all(isinstance(label, float) for label in labels)


def test_encode_leaves_the_tokenizer_as_it_was(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("mrpc", max_length=7), pairs(1)
    tokenizer = tiny_tokenizer(task.texts(records))
    before = tokenizer.backend_tokenizer.to_str()
    task.encode(records, tokenizer, training=True)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_encode_by_parts_and_by_threads_is_the_same(glue_task: Build, tiny_tokenizer, monkeypatch: pytest.MonkeyPatch):
    task, records = glue_task("mrpc"), pairs(*(number % 2 for number in range(50)))
    tokenizer = tiny_tokenizer(task.texts(records))
    whole = task.encode(records, tokenizer, training=True).to_dict()
    monkeypatch.setattr("prune_cli.tasks.text_classification.TextClassification.encoded_at_once", 7)
    with ThreadPoolExecutor(4) as pool:
        for encoded in pool.map(lambda _: task.encode(records, tokenizer, training=True), range(8)):
            assert encoded.to_dict() == whole


def test_encode_writes_no_file(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("mrpc"), pairs(1, 0)
    assert task.encode(records, tiny_tokenizer(task.texts(records)), training=True).cache_files == []


def predicted(task: Any, outputs: np.ndarray, records: Dataset) -> Any:
    return task.predictions((outputs,), records, records, None)


def test_mnli_splits_have_keys_of_their_own(glue_task: Build):
    task = glue_task("mnli")
    records = Dataset.from_dict({"premise": ["a"] * 4, "hypothesis": ["b"] * 4, "label": [0, 1, 2, 2]})
    made = predicted(task, np.eye(3)[[0, 1, 2, 1]], records)
    assert task.score(made, records, "validation_matched") == {"accuracy": 0.75}
    assert task.score(made, records, "validation_mismatched") == {"accuracy_mismatched": 0.75}


def test_a_prediction_is_a_label_with_probabilities_or_a_score(glue_task: Build):
    made = predicted(glue_task("mrpc"), np.log([[1.0, 3.0], [1.0, 1.0]]), pairs(1, 1))
    assert made[0] == {
        "label": "equivalent",
        "probabilities": pytest.approx({"not_equivalent": 0.25, "equivalent": 0.75}),
    }
    assert made[1]["label"] == "not_equivalent"  # a tie goes to the first
    assert predicted(glue_task("stsb"), np.array([2.5, -1.0]), pairs(1.0, 2.0)) == [{"score": 2.5}, {"score": -1.0}]


def test_records_without_answers_are_encoded_without_labels(glue_task: Build, tiny_tokenizer):
    task, records = glue_task("mrpc"), pairs(1, 0).remove_columns("label")
    encoded = task.encode(records, tiny_tokenizer(task.texts(records)), training=False)
    assert "labels" not in encoded.column_names
    assert encoded["record"][:] == [0, 1]


def test_outputs_that_are_not_finite_are_no_prediction(glue_task: Build):
    outputs = np.array([[0.0, 1.0], [np.nan, 1.0], [0.0, np.inf]])
    with pytest.raises(UserError, match="Training diverged: outputs for 2 of 3 records are not finite"):
        predicted(glue_task("mrpc"), outputs, pairs(1, 1, 1))
    with pytest.raises(UserError, match="Training diverged: outputs for 1 of 2 records are not finite"):
        predicted(glue_task("stsb"), np.array([0.0, np.nan]), pairs(1.0, 1.0))


def test_nearly_equal_float32_scores_correlate(glue_task: Build):
    task, records = glue_task("stsb"), pairs(1.0, 2.0, 3.0)
    made = predicted(task, np.array([2.5, 2.5000002, 2.5000005], np.float32), records)
    assert task.score(made, records, "validation")["spearman"] == pytest.approx(1.0)


def test_texts_come_column_after_column(glue_task: Build):
    assert glue_task("mrpc").texts(pairs(1, 0)) == ["a cat sat", "a cat sat", "a dog ran off", "a dog ran off"]


@pytest.mark.parametrize(("task", "least"), [("mrpc", 5), ("cola", 3)])
def test_an_input_of_special_tokens_alone_is_refused(tiny_tokenizer, glue_task, task: str, least: int):
    tokenizer = tiny_tokenizer(["so it is"])
    columns = {name: ["so it is"] for name in glue_task(task).text_columns}
    records = Dataset.from_dict({**columns, "label": [1]})
    assert len(glue_task(task, max_length=least).encode(records, tokenizer, training=True)) == 1
    if least > 3:
        with pytest.raises(UserError, match=r"task\.max_length=4.* leaves nothing of the text.*give at least 5"):
            glue_task(task, max_length=4).encode(records, tokenizer, training=True)
    tokenizer.model_max_length = least - 1
    with pytest.raises(UserError, match=f"of which the model takes {least - 1}, leaves nothing"):
        glue_task(task).encode(records, tokenizer, training=True)


def fitted(task: TextClassification, labels: list[Any]) -> TextClassification:
    return task.fitted([{task.label_column: label} for label in labels], None)


def test_classes_are_read_from_the_records(glue_task: Build):
    task = glue_task("classification", label_column="mood")
    assert fitted(task, ["sad", "glad", "sad", None, "glad"]).labels == ("glad", "sad")
    numbered = fitted(task, [10, 2, 2, 10, 5])
    assert numbered.labels == ("2", "5", "10")
    assert [numbered.adapt({"text": "a", "mood": label})["mood"] for label in (2, 5, 10)] == [0, 1, 2]
    assert task.fitted([], ["b", "a"]).labels == ("b", "a")  # those that came with the data or the model


def test_a_class_may_be_named_or_numbered(glue_task: Build):
    task = glue_task("mrpc", label_column="same", text_columns=["text"])
    rows = [{"text": "a", "same": label, "other": 1} for label in ("equivalent", 1, 0, None)]
    assert [task.adapt(row) for row in rows] == [{"text": "a", "same": label} for label in (1, 1, 0, None)]
    assert task.adapt({"text": "a"}) == {"text": "a"}
    with pytest.raises(ValueError, match=r"`same` is 'same', and the labels are not_equivalent, equivalent"):
        task.adapt({"text": "a", "same": "same"})
    with pytest.raises(ValueError, match=r"`same` is 3, and the labels are 2, 5"):
        replace(task, labels=("2", "5")).adapt({"text": "a", "same": 3})


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([1, "a"], "holds int and str: classes are texts or whole numbers alone"),
        ([1.5, 2.5], "holds float: classes are texts or whole numbers alone. For a regression say task=regression"),
        ([True, False], "holds bool"),
        ([], "there is none. Name the column of the classes with task.label_column="),
        (["a"] * 5, "is always a: there is nothing to tell apart"),
        (
            [f"text {number}" for number in range(30)],
            "has 30 different values in 30 records: that is no set of classes",
        ),
    ],
)
def test_what_is_no_set_of_classes_is_refused(glue_task: Build, labels: list[Any], told: str):
    with pytest.raises(UserError, match=re.escape(told)):
        fitted(glue_task("classification"), labels)


def test_scores_that_look_like_classes_are_refused_unless_told(glue_task: Build):
    task = glue_task("regression")
    with pytest.raises(UserError, match=r"is always one of 0, 1, 2\. If these are classes, .*task\.label_range=\[0,2\]"):
        fitted(task, [1, 0, 2.0, 1])
    assert fitted(task, [1, 0, 2.5, 1]) is task
    assert fitted(task, list(range(11))) is task
    told = glue_task("regression", label_range=[0, 2])
    assert fitted(told, [1, 0, 2, 1]) is told


def test_a_run_is_not_judged_by_what_is_to_be_low(glue_task: Build):
    with pytest.raises(UserError, match=r"task\.primary_metric=mse: a lower one is better"):
        glue_task("regression", primary_metric="mse")
