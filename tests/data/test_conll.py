from __future__ import annotations

from pathlib import Path

import pytest

from prune_cli.data.conll import read_conll
from prune_cli.data.records import Unreadable


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.conll"


def test_four_columns_of_conll2003(file: Path):
    file.write_text(
        "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP I-PER\n\n-DOCSTART- -X- O O\n"
        "Paris  NNP I-NP\t I-LOC",
        encoding="utf-8",
    )
    split = read_conll(file, {})
    assert split.rows == [
        {"tokens": ["EU", "rejects"], "ner_tags": ["I-ORG", "O"]},
        {"tokens": ["Peter"], "ner_tags": ["I-PER"]},
        {"tokens": ["Paris  NNP I-NP"], "ner_tags": ["I-LOC"]},  # a tab wins over blanks
    ]
    assert [split.where(number) for number in range(3)] == [f"{file}:3", f"{file}:7", f"{file}:10"]
    assert split.origin == str(file)


def test_a_document_begins_a_sentence(file: Path):
    file.write_text("a O\n-DOCSTART-\nb O\n", encoding="utf-8")
    assert [row["tokens"] for row in read_conll(file, {}).rows] == [["a"], ["b"]]


def test_tabs_windows_lines_and_a_byte_order_mark(file: Path):
    file.write_bytes("\ufeff8 1/2\tO\r\n#Größe\tB-creative-work\r\n \r\n\u00a0\tO\r\n".encode())
    assert read_conll(file, {}).rows == [
        {"tokens": ["8 1/2", "#Größe"], "ner_tags": ["O", "B-creative-work"]},
        {"tokens": ["\u00a0"], "ner_tags": ["O"]},
    ]


def test_broken_lines_are_told_by_their_number(file: Path):
    file.write_bytes(b"a O\n\nb O\nParis\nc O\n\nd O\nM\xfcller B-PER\n")
    split = read_conll(file, {})
    assert split.rows[1:] == [
        Unreadable("line 4 has one column only, 'Paris': the tag of the word is missing"),
        Unreadable("line 8 is not UTF-8, byte 2"),
    ]
    assert split.where(1) == f"{file}:3"


def test_an_empty_file_has_no_sentence(file: Path):
    file.write_text("\n\n-DOCSTART- O\n", encoding="utf-8")
    assert read_conll(file, {}).rows == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_of_numbers_is_no_column_of_words(file: Path, first: int, caplog: pytest.LogCaptureFixture):
    words, tags = ["Ada", "lives", "in", "Rome", "."], ["B-PER", "O", "O", "B-LOC", "O"]
    lines = [f"{first + n}\t{word}\tO\t{tag}" for n, (word, tag) in enumerate(zip(words, tags, strict=True))]
    comment = "#\thttp://de.wikipedia.org/wiki/Ada\t[2009-10-17]\n"
    file.write_text(f"{comment}{chr(10).join(lines)}\n\n{comment}{lines[0]}\n", encoding="utf-8")
    assert read_conll(file, {}).rows == [
        {"tokens": words, "ner_tags": tags},
        {"tokens": ["Ada"], "ner_tags": ["B-PER"]},
    ]
    assert "the first of its 4 columns numbers the words of each sentence: words are read from the second" in caplog.text


def test_words_of_several_numbers_in_conll_u(file: Path):
    file.write_text("# text = vámonos\n1-2\tv\tO\n1\tvamos\tO\n2\tnos\tB-PER\n2.1\tx\tO\n", encoding="utf-8")
    assert read_conll(file, {}).rows == [{"tokens": ["vamos", "nos"], "ner_tags": ["O", "B-PER"]}]


def test_comments_are_no_words_and_words_no_comments(file: Path):
    file.write_text("# id 7\n#nlproc B-MISC\n# O\n# text = Vitamin B\n\n# a b c\n", encoding="utf-8")
    assert read_conll(file, {}).rows == [{"tokens": ["#nlproc", "#"], "ner_tags": ["B-MISC", "O"]}]


def test_numbers_that_are_words_stay_words(file: Path, caplog: pytest.LogCaptureFixture):
    file.write_text("1 CD O\n2 CD O\n\nin IN O\n1 CD O\n3 CD O\n", encoding="utf-8")
    assert [row["tokens"] for row in read_conll(file, {}).rows] == [["1", "2"], ["in", "1", "3"]]
    assert not caplog.records
