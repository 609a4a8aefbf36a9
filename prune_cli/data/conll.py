"""Tagged words in columns: the files of the CoNLL shared tasks on named entities (Tjong Kim Sang and De Meulder 2003)."""

from __future__ import annotations

import logging
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from prune_cli.data.records import Split, Unreadable

log = logging.getLogger(__name__)

DOCUMENT = b"-DOCSTART-"  # the word of a line that only says where a document begins
COMMENT = b"#"
_TAG = re.compile(r"O|[BIESLU](-.+)?")
_NUMBER = re.compile(r"\d+")

Line = tuple[int, bytes]
"""A line with its number in the file, from 1."""


def read_conll(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a file with a word a line: the word in the first column, its tag in the last, a blank line behind each sentence.

    Columns are parted by tabs where a line has some, else by blanks. Where the first column numbers the words of each sentence,
    as in GermEval and CoNLL-U, the word is in the second, and the log says so. Lines of -DOCSTART- and comments are left out: a
    line that begins with "#", and has another number of columns than most or no tag in the last one.

    Returns:
        Rows with `tokens` and `ner_tags`, the names of the tags; a sentence is told by the line of its first word.
    """
    sentences = _sentences(file)
    layout = _layout(sentences)
    words = [[line for line in sentence if not layout.is_comment(line[1])] for sentence in sentences]
    words = [sentence for sentence in words if sentence]
    if layout.word:
        log.warning(
            "%s: the first of its %d columns numbers the words of each sentence: words are read from the second, tags from the"
            " last.",
            file,
            layout.columns,
        )
    return Split(
        [_parsed(sentence, layout.word) for sentence in words],
        lambda number: f"{file}:{words[number][0][0]}",
        str(file),
    )


def is_tagged(file: Path) -> bool:
    """Whether a file has tagged words in columns, and not plain texts: every line that is no comment ends in a tag.

    Raises:
        OSError: If it cannot be read.
    """
    lines = [line for sentence in _sentences(file) for _, line in sentence if not line.startswith(COMMENT)]
    return bool(lines) and all(len(cells := _cells(line)) > 1 and _TAG.fullmatch(cells[-1]) for line in lines)


@dataclass(frozen=True)
class _Layout:
    """How the lines of a file are read.

    Attributes:
        columns: How many most lines have.
        word: The column of the word, from 0.
    """

    columns: int
    word: int

    def is_comment(self, line: bytes) -> bool:
        """Whether a line is one; a word may begin with the same mark, as in "#nlproc O"."""
        if not line.startswith(COMMENT):
            return False
        cells = _cells(line)
        return self.word > 0 or len(cells) != self.columns or not _TAG.fullmatch(cells[-1])


def _layout(sentences: Sequence[Sequence[Line]]) -> _Layout:
    lines = [[(line, _cells(line)) for _, line in sentence] for sentence in sentences]
    rows = [
        [cells for line, cells in sentence if not line.startswith(COMMENT) or _TAG.fullmatch(cells[-1])] for sentence in lines
    ]
    widths = Counter(len(cells) for sentence in rows for cells in sentence)
    columns = widths.most_common(1)[0][0] if widths else 0
    # Words that are numbers may count by chance in one sentence, but not in all, two words each
    numbered = [[cells[0] for cells in sentence if _NUMBER.fullmatch(cells[0])] for sentence in rows if sentence]
    counts = columns > 2 and any(len(found) > 1 for found in numbered) and all(map(_counts, numbered))
    return _Layout(columns, int(counts))


def _counts(numbers: Sequence[str]) -> bool:
    """Whether numbers count up from 0 or 1, one by one.

    >>> _counts(["1", "2", "3"]), _counts(["0", "1"]), _counts(["7", "8"]), _counts([])
    (True, True, False, False)
    """
    values = [int(number) for number in numbers]
    return bool(values) and values[0] in (0, 1) and values == [*range(values[0], values[0] + len(values))]


def _sentences(file: Path) -> list[list[Line]]:
    """The lines of each sentence that are not blank."""
    sentences: list[list[Line]] = []
    with file.open("rb") as stream:
        sentence: list[Line] = []
        for number, line in enumerate(chain(stream, [b""]), start=1):  # the last sentence may lack its blank line
            text = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
            if text and not text.startswith(DOCUMENT):
                sentence.append((number, text))
            elif sentence:
                sentences.append(sentence)
                sentence = []
    return sentences


def _cells(line: bytes) -> list[str]:
    text = line.decode(errors="replace")
    return text.split("\t") if "\t" in text else text.split(" ")


def _parsed(lines: Sequence[Line], word: int) -> dict[str, list[str]] | Unreadable:
    tokens, tags = [], []
    for number, line in lines:
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return Unreadable(f"line {number} is not UTF-8, byte {error.start + 1}")
        columns = _cells(line)
        if len(columns) < 2:
            return Unreadable(f"line {number} has one column only, {columns[0]!r}: the tag of the word is missing")
        if word and not _NUMBER.fullmatch(columns[0]):
            continue  # "3-4" and "3.1" of CoNLL-U: parts of words, and words that nobody wrote
        tokens.append(columns[word].strip(" "))  # a word may be a blank of another kind
        tags.append(columns[-1].strip(" "))
    return {"tokens": tokens, "ner_tags": tags}
