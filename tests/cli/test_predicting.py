"""What `prune predict` takes and prints."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_cli.cli.predicting import STDIN, given_rows, predictions, show_predictions
from prune_cli.data.records import asked
from prune_cli.errors import UserError
from prune_cli.tasks.ner import TokenTagging


@pytest.fixture
def pairs(glue_task: Any) -> Any:
    return glue_task("mrpc")


@pytest.fixture
def single(glue_task: Any) -> Any:
    return glue_task("sst2")


def test_texts_are_the_input_columns_in_their_order(pairs: Any) -> None:
    assert given_rows(pairs, ["a", "b"], None) == [("the text", {"sentence1": "a", "sentence2": "b"})]


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
    assert given_rows(single, [], file.rename(tmp_path / "in")) == [
        (f"{tmp_path / 'in'}:1", {"sentence": "one", "label": 1}),
        (f"{tmp_path / 'in'}:3", {"sentence": "two words"}),
    ]


def test_the_ending_of_a_file_decides(single: Any, tmp_path: Path) -> None:
    text, records = tmp_path / "in.txt", tmp_path / "in.jsonl"
    text.write_text('{"is": "this a record?"}\n', encoding="utf-8")
    assert given_rows(single, [], text) == [(f"{text}:1", {"sentence": '{"is": "this a record?"}'})]
    records.write_text("plain\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"in\.jsonl:1: broken JSON"):
        given_rows(single, [], records)
    records.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"in\.jsonl:1: not an object with sentence"):
        given_rows(single, [], records)


def test_a_context_is_that_of_every_question(glue_task: Any, tmp_path: Path) -> None:
    squad, file = glue_task("squad"), tmp_path / "in.txt"
    assert given_rows(squad, ["Who?"], None, "Ann did.") == [("the text", {"question": "Who?", "context": "Ann did."})]
    file.write_text("Who?\nWhy?\n", encoding="utf-8")
    asked = [row for _, row in given_rows(squad, [], file, "Ann did.")]
    assert asked == [{"question": question, "context": "Ann did."} for question in ("Who?", "Why?")]
    with pytest.raises(UserError, match="give a JSON object with them, or one text a line and --context"):
        given_rows(squad, [], file)
    own = tmp_path / "in.jsonl"
    own.write_text('{"question": "Who?", "context": "Bob did."}\n', encoding="utf-8")
    assert given_rows(squad, [], own, "Ann did.")[0][1]["context"] == "Bob did."
    with pytest.raises(UserError, match="--context: task sst2 has no context, it takes sentence"):
        given_rows(glue_task("sst2"), ["a"], None, "Ann did.")


def test_standard_input_is_read_where_nothing_is_given(single: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (None, STDIN):
        content = "\ufeffa\u2028still a\r\nb\x85\x0c\n".encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        rows = [row["sentence"] for _, row in given_rows(single, [], file)]
        assert rows == ["a\u2028still a", "b\x85\x0c"]  # no byte order mark, and a line feed alone parts lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("plain\n", "in:1: task mrpc needs sentence1, sentence2: give a JSON object"),
        ('{"sentence1": "a"\n', "in:1: broken JSON"),
        ("\n", "in has no records"),
    ],
)
def test_lines_that_cannot_be_used(pairs: Any, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "in"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        given_rows(pairs, [], file)


def test_files_that_cannot_be_read(single: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere cannot be read: No such file"):
        given_rows(single, [], tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match="latin:1: not UTF-8, byte 4 of the line"):
        given_rows(single, [], tmp_path / "latin")
    (tmp_path / "in.docx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"in.docx is no file of records for task sst2: give one that ends in .jsonl, .*\.txt"):
        given_rows(single, [], tmp_path / "in.docx")


def test_files_are_read_as_a_run_reads_them(single: Any, glue_task: Any, tmp_path: Path) -> None:
    """Neither header nor label of a table is predicted; nor is a word a line of a sentence."""
    rows = [{"sentence": "good film"}, {"sentence": "bad\u2028film"}]
    (tmp_path / "in.csv").write_text("label,sentence\n1,good film\n0,bad\u2028film\n", encoding="utf-8")
    (tmp_path / "in.tsv").write_text("\ufeffsentence\tlabel\ngood film\t1\nbad\u2028film\t0\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "in.txt").write_text("\ufeffgood film\nbad\u2028film\n", encoding="utf-8")
    for file in sorted(tmp_path.iterdir()):
        found = [asked(single, row) for _, row in given_rows(single, [], file)]
        assert found == rows, file.name

    tags = TokenTagging(name="ner", labels=("O", "B-PER"))
    for ending in (".conll", ".txt"):
        (file := tmp_path / f"words{ending}").write_text("Ada B-PER\nlives O\n\nBob B-PER\n", encoding="utf-8")
        assert [row["tokens"] for _, row in given_rows(tags, [], file)] == [["Ada", "lives"], ["Bob"]]
    file.write_text("Ada lives in Rome.\n", encoding="utf-8")
    assert given_rows(tags, [], file) == [(f"{file}:1", {"tokens": "Ada lives in Rome."})]

    question = {"question": "Who?", "id": "q1", "answers": [{"text": "Ada", "answer_start": 0}]}
    (file := tmp_path / "squad.json").write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "Ada did.", "qas": [question]}]}]}), encoding="utf-8"
    )
    ((_, row),) = given_rows(glue_task("squad"), [], file)
    assert (row["question"], row["context"]) == ("Who?", "Ada did.")


def test_json_lines_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = [{"text": "Käse"}, {"label": "yes", "probabilities": {"yes": 0.75}}]
    show_predictions(predictions, json_lines=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == predictions


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show_predictions([{"label": "yes", "probabilities": {"yes": 0.75, "no": 0.25}}], json_lines=False)
    assert capsys.readouterr().out.splitlines() == ["label  yes", "probabilities  yes: 0.7500, no: 0.2500"]


def test_entities_stand_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    entity = {"type": "PER", "text": "Ann", "start": 0, "end": 3, "score": 0.98765}
    show_predictions([{"entities": [entity, entity], "tokens": ["Ann"]}, {"entities": []}], json_lines=False)
    line = "entities  type: PER, text: Ann, start: 0, end: 3, score: 0.9877"
    assert capsys.readouterr().out.splitlines() == [line, line, 'tokens  ["Ann"]', "entities  none"]


def test_output_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.jsonl"
    show_predictions([{"text": "Käse"}], json_lines=True, output=file)
    assert file.read_text(encoding="utf-8") == '{"text": "Käse"}\n'
    out, err = capsys.readouterr()
    assert (out, err.split()[:2]) == ("", ["1", "predictions"])
    with pytest.raises(UserError, match="cannot be written: No such file"):
        show_predictions([{"text": "a"}], json_lines=True, output=tmp_path / "nowhere" / "out.jsonl")


def test_a_name_twice_in_one_record_is_told(single: Any, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"sentence": "a", "sentence": "b"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"in\.jsonl:1: `sentence` more than once in one object"):
        given_rows(single, [], file)


def test_predictions_have_the_ids_of_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(*_: Any) -> Iterator[list[dict[str, Any]]]:
        yield [{"label": "a"}, {"label": "b"}]
        yield [{"label": "c"}]

    monkeypatch.setattr("prune_cli.run.saved.predict", parts)
    config: Any = SimpleNamespace(trainer=SimpleNamespace(eval_batch_size=8))
    rows = [("line 1", {"text": "x", "id": 7}), ("line 2", {"text": "y"}), ("line 3", {"text": "z", "id": "q"})]
    assert predictions(config, Path(), rows) == [{"id": 7, "label": "a"}, {"label": "b"}, {"id": "q", "label": "c"}]
