"""Records that a prediction is asked for: a file of any format that the task reads, a text a line, or standard input."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.data.conll import is_tagged
from prune_cli.data.formats import parsed, read
from prune_cli.data.records import Split, Unreadable, asked, problem_lines
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from prune_cli.tasks.base import Task

STDIN = Path("-")
CONTEXT = "context"  # the input column that `prune predict --context` fills
PLAIN = ".txt"  # a text a line, whatever it begins with
Placed = tuple[str, Mapping[str, Any]]
"""Where a record stands, for messages, and the raw record."""


def placed_rows(task: Task, file: Path, given: Mapping[str, Any] | None = None) -> list[Placed]:
    """Read the records of a file by its ending, or those of standard input, in their order.

    Args:
        task: Knows the formats, and the columns that a prediction needs.
        file: One that ends as `Task.formats` says; one of `.txt` with a text a line, for a task with one column; without an
            ending, or "-" for standard input, a JSON object or a text a line.
        given: Columns of every record that has none of its own.

    Raises:
        UserError: If it cannot be read, or a line is no record; it names the first few.
    """
    given = given or {}
    columns = [name for name in task.inputs if name not in given]
    rows: list[Placed] = []
    wrong: list[tuple[str, str]] = []
    split = _split(task, file)
    for number, row in enumerate(split.rows):
        if isinstance(row, Mapping):
            rows.append((split.where(number), {**given, **row}))
        elif isinstance(row, str) and len(columns) == 1:
            rows.append((split.where(number), {**given, columns[0]: row}))
        else:
            wrong.append((split.where(number), _reason(task, row, columns)))
    if not split.rows:
        raise UserError(f"{split.origin} has no records")
    if wrong:
        raise UserError(*problem_lines(wrong, split.origin))
    return rows


def asked_rows(task: Task, rows: Iterable[Placed]) -> list[Mapping[str, Any]]:
    """Records as a prediction needs them: without answers.

    Raises:
        UserError: If some cannot be used; it names the first few.
    """
    records: list[Mapping[str, Any]] = []
    wrong: list[tuple[str, str]] = []
    for where, row in rows:
        record = asked(task, row)
        if isinstance(record, Unreadable):
            wrong.append((where, record.reason))
        else:
            records.append(record)
    if wrong:
        raise UserError(*problem_lines(wrong, "the records"))
    return records


def _split(task: Task, file: Path) -> Split:
    path, ending = file.expanduser(), file.suffix.lower()
    if file == STDIN:
        return _lines("standard input", sys.stdin.buffer.read(), plain=False)
    columns = {name: kind for name, kind in task.columns.items() if name in task.inputs}
    if ending in task.formats and not (ending == PLAIN and not _tagged(path)):
        return read(task.formats[ending], path, columns)
    if ending in ("", PLAIN):
        return read(lambda path, _: _lines(str(file), path.read_bytes(), plain=ending == PLAIN), path, columns)
    endings = ", ".join(dict.fromkeys([*task.formats, PLAIN]))
    raise UserError(f"{file} is no file of records for task {task.name}: give one that ends in {endings}")


def _tagged(path: Path) -> bool:
    return not path.is_file() or is_tagged(path)  # what is not there, its reader tells


def _lines(name: str, content: bytes, *, plain: bool) -> Split:
    """A record a line. Only a line feed parts lines: other marks, such as U+2028, belong to texts."""
    lines = [line.rstrip(b"\r") for line in content.removeprefix(BOM_UTF8).split(b"\n")]
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    rows = [_text(lines[number], plain=plain) for number in numbers]
    return Split(rows, lambda number: f"{name}:{numbers[number] + 1}", name)


def _text(line: bytes, *, plain: bool) -> Any:
    if not plain and line.lstrip().startswith(b"{"):
        return parsed(line)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8, byte {error.start + 1} of the line")


def _reason(task: Task, row: Any, columns: Sequence[str]) -> str:
    """Why a row is no record."""
    if isinstance(row, Unreadable):
        return row.reason
    if not isinstance(row, str):
        return f"not an object with {', '.join(columns)}"
    context = ", or one text a line and --context" if CONTEXT in columns and len(columns) == 2 else ""
    return f"task {task.name} needs {', '.join(columns)}: give a JSON object with them{context}"
