"""Tagged words in columns: the files of the CoNLL shared tasks on named entities (Tjong Kim Sang and De Meulder 2003)."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from prune_cli.data.records import Split, Unreadable

DOCUMENT = b"-DOCSTART-"  # the word of a line that only says where a document begins


def read_conll(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a file with a word a line: the word in the first column, its tag in the last, a blank line behind each sentence.

    Columns are parted by tabs where a line has some, else by blanks. Lines of -DOCSTART- are left out.

    Returns:
        Rows with `tokens` and `ner_tags`, the names of the tags; a sentence is told by the line of its first word.
    """
    starts, rows = [], []
    with file.open("rb") as stream:
        sentence: list[tuple[int, bytes]] = []  # lines with their numbers
        for number, line in enumerate(chain(stream, [b""]), start=1):  # the last sentence may lack its blank line
            text = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
            if text and not text.startswith(DOCUMENT):
                sentence.append((number, text))
            elif sentence:
                starts.append(sentence[0][0])
                rows.append(_parsed(sentence))
                sentence = []
    return Split(rows, lambda number: f"{file}:{starts[number]}", str(file))


def _parsed(lines: Sequence[tuple[int, bytes]]) -> dict[str, list[str]] | Unreadable:
    tokens, tags = [], []
    for number, line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return Unreadable(f"line {number} is not UTF-8, byte {error.start + 1}")
        columns = text.split("\t") if "\t" in text else text.split(" ")
        if len(columns) < 2:
            return Unreadable(f"line {number} has one column only, {text!r}: the tag of the word is missing")
        tokens.append(columns[0].strip(" "))  # a word may be a blank of another kind
        tags.append(columns[-1].strip(" "))
    return {"tokens": tokens, "ner_tags": tags}
