"""Files of records. What cannot be read stands as `Unreadable` in its place."""

from __future__ import annotations

import csv
import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prune_cli.data.records import Split, Unreadable
from prune_cli.errors import UserError

Reader = Callable[[Path, Mapping[str, type]], Split]
"""Reads a file of records, given the columns that the task needs and their types, for files that know no types."""


_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read(reader: Reader, file: Path, columns: Mapping[str, type]) -> Split:
    """Read a file.

    Raises:
        UserError: If it cannot be read at all.
    """
    try:
        return reader(file, columns)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error


def read_jsonl(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a file of a JSON object a line."""
    lines, rows = [], []
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                lines.append(number)
                rows.append(parsed(line.rstrip()))
    return Split(rows, lambda number: f"{file}:{lines[number]}", str(file))


def _numbered(file: Path, rows: Sequence[Any]) -> Split:
    return Split(rows, lambda number: f"{file}: record {number + 1}", str(file))


def parsed(line: bytes | str) -> Any:
    """What a line of JSON says, or `Unreadable`."""
    try:
        text = line.removeprefix(BOM_UTF8).decode() if isinstance(line, bytes) else line  # json would guess UTF-16
        return _whole(json.loads(text, object_pairs_hook=unique), text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        return Unreadable(f"broken JSON, {error.msg} at {line}column {error.colno}")
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8, byte {error.start + 1} of the line")
    except UnicodeEncodeError:
        return Unreadable("half a character, such as \\ud83d without the other half behind it")
    except RecursionError:
        return Unreadable("broken JSON, brackets within brackets without end")
    except _Repeated as error:
        return Unreadable(str(error))
    except ValueError:
        return Unreadable("a number of thousands of digits")


def _whole(row: Any, line: str) -> Any:
    """What a line says, unless it holds half a character, which JSON can spell and nothing can write.

    Raises:
        UnicodeEncodeError: If it does.
    """
    if "\\ud" in line.lower():
        json.dumps(row, ensure_ascii=False).encode()
    return row


class _Repeated(ValueError):
    """A name that should be there once is there twice."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; the parser itself would take the last of two values of one name without a word.

    Raises:
        ValueError: If a name is there twice.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        raise _Repeated(f"{_repeated([name for name, _ in pairs])} more than once in one object")
    return row


def _repeated(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted({name for name in names if names.count(name) > 1}))


def read_csv(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a CSV file, the first line of which that is not blank names the columns.

    The separator is a comma or, where the first line has none, a semicolon or a tab; or what a line `sep=` before it says, as
    Excel writes one. Where blanks follow the separators of the first line, those before a cell are no part of it.
    """
    text = _decoded(file)
    begin = re.match(r"(?:\s*\n)?(?:sep=(.)\r?\n)?", text)
    assert begin is not None  # all of it may be missing
    text = text[begin.end() :]
    header = text.partition("\n")[0]
    separator = begin[1] or next((mark for mark in ",;\t" if mark in header), ",")
    before = begin[0].count("\n")
    return _table(file, text, columns, before, delimiter=separator, skipinitialspace=f"{separator} " in header)


def read_tsv(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a file whose cells are parted by tabs, the first line of which names the columns.

    Where its quotes are not those of CSV, as in the files of GLUE, they belong to the texts.
    """
    text = _decoded(file)
    try:
        rows = [*csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)]
        quoted = len({len(row) for row in rows if row}) == 1
    except csv.Error:
        quoted = False
    return _table(file, text, columns, delimiter="\t", quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)


def _decoded(file: Path) -> str:
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}:{line}: not UTF-8 ({error.reason}): save the file in UTF-8.") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{file}:{line}: a NUL, which no text has: is it UTF-16? Save the file in UTF-8.")
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a long text is no error, as in the other formats
    return text


def _table(file: Path, text: str, columns: Mapping[str, type], before: int = 0, **form: Any) -> Split:
    """The rows of a text in cells, of which so many lines were read before."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, **form)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        _refuse_repeated(file, names)
        reader.fieldnames = [_as_wanted(name, names, columns) for name in names]
        lines, rows = [], []
        for row in reader:
            lines.append(before + reader.line_num - sum(cell.count("\n") for cell in row.values() if isinstance(cell, str)))
            rows.append(_typed(row, columns))
    except csv.Error as error:
        raise UserError(f"{file}: broken CSV after line {reader.line_num + before}: {error}.") from error
    header = f"its first line names the columns, parted by {_SEPARATORS.get(form['delimiter'], form['delimiter'])}"
    return Split(rows, lambda number: f"{file}:{lines[number]}", str(file), header)


def _as_wanted(name: str, names: Sequence[str], columns: Iterable[str]) -> str:
    """The column that is needed where a file has it in other letters, Text for text, and no other like it."""
    alike = [wanted for wanted in columns if wanted.lower() == name.lower() and wanted not in names]
    rivals = [other for other in names if other.lower() == name.lower()]
    return alike[0] if len(alike) == len(rivals) == 1 else name


def _typed(row: Mapping[str | None, Any], columns: Mapping[str, type]) -> Any:
    """Turn the cells of numeric columns into numbers where they are some; an empty cell there is no value."""
    if None in row:
        return Unreadable(f"{len(row[None])} cells more than the header has columns")
    typed = dict(row)
    for column, wanted in columns.items():
        cell = row.get(column)
        if wanted in (int, float) and cell is not None:
            try:
                typed[column] = wanted(cell) if cell.strip() else None
            except ValueError:
                continue  # stays text, which the check of types tells with the record's number
    return typed


def read_parquet(file: Path, columns: Mapping[str, type]) -> Split:
    """Read a parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file).read()
        _refuse_repeated(file, table.column_names)
        return replace(_numbered(file, table.to_pylist()), classes=_classes(table.schema.metadata))
    except pyarrow.ArrowException as error:
        raise UserError(f"{file}: not a readable parquet file: {error}.") from error


def _classes(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Sequence[str]]:
    """The names of classes by column, as the library datasets writes them into the schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {column: kind.get("feature", kind) for column, kind in features.items()}  # of a list, its items'
        return {column: kind["names"] for column, kind in kinds.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):  # of another library, or none
        return {}


def _refuse_repeated(file: Path, columns: Sequence[str]) -> None:
    if repeated := _repeated(columns):
        raise UserError(f"{file}: more than one column {repeated}: which of them is meant? Keep one.")


TABLES: Mapping[str, Reader] = MappingProxyType(
    {".jsonl": read_jsonl, ".parquet": read_parquet, ".csv": read_csv, ".tsv": read_tsv}
)
"""Formats of records of any kind."""
