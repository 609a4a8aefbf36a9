"""What a run and an evaluation say aloud, and in which words they write records and predictions down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prune_cli.cli.evaluating import show_evaluation
from prune_cli.run.run import Outcome
from tests.whole_runs import do

TEXTS = ["a fine film", "a dull film", "what a fine book", "such a dull book"]
RECORDS = [
    {"id": f"r{number}", "sentence": f"{TEXTS[number % 4]} {number}", "label": ("positive", "negative")[number % 2]}
    for number in range(24)
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A model that has learned nothing, of records that are partly the same, one of them too long."""
    folder = tmp_path_factory.mktemp("silent")
    long = {"sentence": "word " * 60, "label": "positive"}
    written(folder / "train.jsonl", [*RECORDS[:15], long])
    written(folder / "validation.jsonl", [*RECORDS[12:], {**long, "id": "r24"}])
    quick = ("trainer.max_steps=2", "trainer.batch_size=8", "trainer.learning_rate=1e-9", "sparsity=0")
    return do(folder, "task=sst2", "task.max_length=16", *quick, data=("data=local", f"data.path={folder}"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_says_what_may_be_wrong_with_its_records(outcome: Outcome) -> None:
    log = (outcome.folder / "run.log").read_text()
    assert "4 of 13 records of validation (30.8%) ARE TRAINING RECORDS TOO" in log
    assert "1 of 16 training records (6.25%) have more tokens than the model is given" in log


def test_a_model_that_says_the_same_of_all_records_is_told(outcome: Outcome) -> None:
    said = {row["predicted"] for row in lines(outcome.folder / "predictions.jsonl")}
    assert len(said) == 1  # what this test rests on
    assert outcome.result.only_prediction == said.pop()
    assert "THE MODEL SAYS THE SAME OF ALL RECORDS" in (outcome.folder / "run.log").read_text()


def test_predictions_samples_and_eval_tell_the_same_in_the_same_words(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = lines(outcome.folder / "predictions.jsonl")
    assert [row["id"] for row in kept] == [f"r{number}" for number in range(12, 25)]
    for row in kept:
        assert row["label"] == row["expected"] and row["predicted"] == row["prediction"]["label"]
        assert row["right"] is (row["expected"] == row["predicted"])
    assert [row["expected"] for row in kept[:2]] == ["positive", "negative"]
    for sample in outcome.result.samples:
        (row,) = [row for row in kept if row["id"] == sample["id"]]
        assert sample.items() <= {**row, "sentence": row["sentence"].strip()}.items()
    file = written(tmp_path / "others.jsonl", [*RECORDS[12:], {"id": "r24", "sentence": "word " * 60, "label": "positive"}])
    show_evaluation(outcome.folder, [str(file)], None, predictions=tmp_path / "said.jsonl")
    again = lines(tmp_path / "said.jsonl")
    assert [row.pop("split") for row in again] == ["others.jsonl"] * 13
    for row, before in zip(again, kept, strict=True):
        assert row.keys() == before.keys() - {"split"} and row["expected"] == before["expected"]
    assert "(others.jsonl)" in capsys.readouterr().out


def test_an_evaluation_says_that_one_answer_is_right_of_all(
    outcome: Outcome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path / "one.jsonl", [row for row in RECORDS if row["label"] == "positive"])
    show_evaluation(outcome.folder, [str(file)], None)
    assert "ALL RECORDS OF one.jsonl HAVE THE SAME ANSWER (positive)" in caplog.text
