from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from prune_cli.data.synthetic import Synthetic

GLUE = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


@pytest.mark.parametrize("name", GLUE)
def test_no_text_is_in_two_records(glue_task, name: str):
    task = glue_task(name)
    _, splits = Synthetic(train=600, validation=200).load(task)
    texts = [tuple(record[column] for column in task.text_columns) for part in splits.values() for record in part]
    assert len(texts) == 600 + 200 * len(task.evaluation_splits)
    assert len(set(texts)) == len(texts)


def test_records_follow_the_seed_alone(glue_task):
    task = glue_task("mrpc")
    records = [Synthetic(seed=seed, train=30, validation=10).load(task)[1]["train"].to_list() for seed in (0, 0, 1)]
    assert records[0] == records[1] != records[2]


def test_more_records_begin_with_the_same(glue_task):
    task = glue_task("mrpc")
    few, many = (Synthetic(train=train, validation=10).load(task)[1]["train"].to_list() for train in (20, 40))
    assert many[:20] == few


def test_identity_is_that_of_the_records(glue_task):
    source, task = Synthetic(train=20, validation=10), glue_task("mrpc")
    assert source.identity(task) == Synthetic(train=20, validation=10).identity(task)
    assert len({source.identity(task), source.identity(glue_task("rte")), Synthetic(1, 20, 10).identity(task)}) == 3


def test_identity_is_the_same_in_every_process(glue_task):
    """Text hashes differ from process to process; no order may follow them."""
    code = (
        "from prune_cli.data.synthetic import Synthetic; from prune_cli.tasks.text_classification import TextClassification as T;"
        "print(Synthetic(0, 20, 10).identity(T(name='x', text_columns=('a', 'b'), labels=('n', 'y'),"
        " metrics=('f1',), primary_metric='f1', hub_path='x/y')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@pytest.mark.parametrize(("name", "affirming"), [("mrpc", 1), ("cola", 1), ("rte", 0), ("qnli", 0), ("wnli", 1)])
def test_classes_are_nearly_balanced(glue_task, name: str, affirming: int):
    labels = Synthetic(train=2000, validation=1).load(glue_task(name))[1]["train"]["label"]
    assert 0.52 < sum(label == affirming for label in labels) / 2000 < 0.58


def test_three_classes_are_balanced(glue_task):
    counts = Counter(Synthetic(train=1500, validation=1).load(glue_task("mnli"))[1]["train"]["label"])
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 430


def test_scores_fill_their_range(glue_task):
    task = glue_task("stsb")
    assert set(Synthetic(train=500, validation=1).load(task)[1]["train"]["label"]) == {0.0, 1.5, 2.0, 3.0, 3.5, 5.0}
    open_task = glue_task("stsb", label_range=None)
    assert set(Synthetic(train=500, validation=1).load(open_task)[1]["train"]["label"]) == {0, 0.3, 0.4, 0.6, 0.7, 1}


def test_sentences_are_short(glue_task):
    task = glue_task("mrpc")
    lengths = [len(text.split()) for text in task.texts(Synthetic(train=500, validation=1).load(task)[1]["train"])]
    assert min(lengths) >= 4
    assert max(lengths) <= 30


def test_shared_words_do_not_give_the_class_away(glue_task):
    """The best threshold on the share of words in common is far from solving it."""
    records = Synthetic(train=1000, validation=1).load(glue_task("mrpc"))[1]["train"].to_list()
    scored = []
    for record in records:
        one, other = (set(record[column].lower().strip(".").split()) for column in ("sentence1", "sentence2"))
        scored.append((len(one & other) / len(one | other), record["label"]))
    best = max(sum((overlap >= threshold) == bool(label) for overlap, label in scored) / len(scored) for threshold, _ in scored)
    assert best < 0.65


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": 0}, "train is 0: give a number of records from 1 to 1,000,000"),
        ({"validation": -1}, "validation is -1: give"),
        ({"train": 10**9}, "train is 1000000000: give"),
        ({"seed": -1}, "seed is -1: give a whole number from 0 on"),
    ],
)
def test_impossible_sizes(fields: dict[str, Any], message: str):
    (problem,) = Synthetic(**fields).problems()
    assert problem.startswith(message)


def test_a_task_of_another_shape_is_refused(glue_task):
    (problem,) = Synthetic().missing(glue_task("mnli", labels=[f"class {number}" for number in range(21)]))
    assert "data=synthetic makes no records for the task mnli" in problem


@pytest.mark.parametrize("columns", [["text"], ["one", "other"]])
def test_any_classes_are_invented(glue_task, columns: list[str]):
    task = glue_task("mnli", labels=["a", "b", "c", "d"], text_columns=columns)
    assert Synthetic().missing(task) == []
    _, splits = Synthetic(train=300, validation=1).load(task)
    sentences = [len(re.findall(r"[.!?]( |$)", text)) for text in splits["train"][columns[0]]]
    assert {number: sentences[splits["train"]["label"].index(number)] for number in range(4)} == {
        0: 1,
        1: 2,
        2: 3,
        3: 4,
    }
