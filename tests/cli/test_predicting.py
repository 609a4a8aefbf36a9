"""What `prune predict` takes and prints."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from prune_cli.cli.predicting import STDIN, given_rows, show_predictions
from prune_cli.errors import UserError


@pytest.fixture
def pairs(glue_task: Any) -> Any:
    return glue_task("mrpc")


@pytest.fixture
def single(glue_task: Any) -> Any:
    return glue_task("sst2")


def test_texts_are_the_input_columns_in_their_order(pairs: Any) -> None:
    assert given_rows(pairs, ["a", "b"], None) == [{"sentence1": "a", "sentence2": "b"}]


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])
def test_a_wrong_number_of_texts_names_the_columns(pairs: Any, texts: list[str]) -> None:
    with pytest.raises(UserError, match=rf"takes 2 \(sentence1, sentence2\), and {len(texts)} came"):
        given_rows(pairs, texts, None)


def test_texts_and_a_file_contradict(single: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not both"):
        given_rows(single, ["a"], tmp_path / "x.jsonl")


def test_lines_of_a_file_are_records_or_plain_texts(single: Any, tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text('{"sentence": "one", "label": 1}\n\ntwo words\n', encoding="utf-8")
    assert given_rows(single, [], file) == [{"sentence": "one", "label": 1}, {"sentence": "two words"}]


def test_standard_input_is_read_where_nothing_is_given(single: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (None, STDIN):
        monkeypatch.setattr("sys.stdin", io.StringIO("a\nb\n"))
        assert given_rows(single, [], file) == [{"sentence": "a"}, {"sentence": "b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("plain\n", "in.txt:1: task mrpc needs sentence1, sentence2: give a JSON object"),
        ('{"sentence1": "a"\n', "in.txt:1: broken JSON"),
        ("\n", "in.txt has no records"),
    ],
)
def test_lines_that_cannot_be_used(pairs: Any, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "in.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        given_rows(pairs, [], file)


def test_files_that_cannot_be_read(single: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere cannot be read: No such file"):
        given_rows(single, [], tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match="latin is not UTF-8"):
        given_rows(single, [], tmp_path / "latin")


def test_json_lines_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = [{"text": "Käse"}, {"label": "yes", "probabilities": {"yes": 0.75}}]
    show_predictions(predictions, json_lines=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == predictions


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show_predictions([{"label": "yes", "probabilities": {"yes": 0.75, "no": 0.25}}], json_lines=False)
    assert capsys.readouterr().out.splitlines() == ["label  yes", "probabilities  yes: 0.7500, no: 0.2500"]
