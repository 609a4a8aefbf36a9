"""Records from a folder of the user's."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.data.conll import read_conll
from prune_cli.data.records import Split, Unreadable, checked
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

FORMATS = ("jsonl", "parquet", "csv")
TOKEN_FORMATS = ("jsonl", "parquet", "conll", "txt")  # of tagged words: a list does not fit into a cell of CSV
LABELS = "labels.json"  # beside the files: a list of label names, in label order
HASHED_AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True)
class Local:
    """A folder with one file a split: {train,validation,...}.{jsonl,parquet,csv}, or for tagged words .{jsonl,parquet,conll,txt}.

    A file labels.json beside them names the labels where the records do not: a list, in label order.

    Attributes:
        path: The folder.
    """

    path: str

    def problems(self, task: Task) -> list[str]:
        """Say which files are missing or are there twice."""
        folder = self._folder
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            return [f"data.path={self.path} {what}. Give a folder with train.jsonl {_others(task)} and the like."]
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        problems = []
        for split in _splits(task):
            files = self._files(task, split)
            if not files:
                use = "trained on" if split == "train" else "evaluated on"
                problems.append(
                    f"data.path={self.path} has no {split}.jsonl {_others(task)}, which the task {task.name} is "
                    f"{use}. Add it; there are: {there}."
                )
            if len(files) > 1:
                names = " and ".join(file.name for file in files)
                problems.append(f"data.path={self.path} has {names}: which of them is meant? Keep one.")
        return problems

    def identity(self, task: Task) -> str:
        """SHA-256 over the names of the splits and the bytes of their files, and over labels.json where it is there."""
        files = {split: self._file(task, split) for split in _splits(task)}
        if self._labels.is_file():
            files[LABELS] = self._labels
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{name}:{file.stat().st_size}:".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(HASHED_AT_ONCE):
                    digest.update(chunk)
        return f"sha256:{digest.hexdigest()}"

    def load(self, task: Task) -> tuple[Task, dict[str, Dataset]]:
        """Read and check the files of `train` and of the task's evaluation splits.

        Raises:
            UserError: If a record is unusable; the message names its file and line (JSONL, CoNLL) or number.
        """
        labels = _read_labels(self._labels) if self._labels.is_file() else None
        splits = {split: _read(self._file(task, split), task.columns) for split in _splits(task)}
        return checked(task, splits, labels)

    @property
    def _folder(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def _labels(self) -> Path:
        return self._folder / LABELS

    def _files(self, task: Task, split: str) -> list[Path]:
        return [file for suffix in _formats(task) if (file := self._folder / f"{split}.{suffix}").is_file()]

    def _file(self, task: Task, split: str) -> Path:
        return self._files(task, split)[0]


def _formats(task: Task) -> tuple[str, ...]:
    return TOKEN_FORMATS if task.head == "tokens" else FORMATS


def _others(task: Task) -> str:
    """The formats beside the first, for messages."""
    return f"(or {', '.join(f'.{suffix}' for suffix in _formats(task)[1:])})"


def _splits(task: Task) -> tuple[str, ...]:
    return "train", *task.evaluation_splits


def _read(file: Path, columns: Mapping[str, type]) -> Split:
    try:
        match file.suffix:
            case ".jsonl":
                return _read_jsonl(file)
            case ".conll" | ".txt":
                return read_conll(file)
            case ".csv":
                return _numbered(file, _read_csv(file, columns))
            case _:
                return _numbered(file, _read_parquet(file))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error


def _read_labels(file: Path) -> list[str]:
    try:
        labels = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # broken JSON, or not UTF-8
        raise UserError(f"{file}: broken JSON, {error}.") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise UserError(f'{file}: not a list of label names, ["O", "B-PER", "I-PER"] say.')
    return labels


def _numbered(file: Path, rows: Sequence[Any]) -> Split:
    return Split(rows, lambda number: f"{file}: record {number + 1}", str(file))


def _read_jsonl(file: Path) -> Split:
    lines, rows = [], []
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                lines.append(number)
                rows.append(_parsed(line.rstrip()))
    return Split(rows, lambda number: f"{file}:{lines[number]}", str(file))


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        return Unreadable(f"broken JSON, {error.msg} at column {error.colno}")
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8, byte {error.start + 1} of the line")
    except _Repeated as error:
        return Unreadable(str(error))


class _Repeated(ValueError):
    """A name that should be there once is there twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; the parser itself would take the last of two values of one name without a word."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Repeated(f"{_repeated([name for name, _ in pairs])} more than once in one object")
    return made


def _repeated(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted({name for name in names if names.count(name) > 1}))


def _read_csv(file: Path, columns: Mapping[str, type]) -> Sequence[Any]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            _refuse_repeated(file, reader.fieldnames or [])
            return [_typed(row, columns) for row in reader]
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{file}: broken CSV after line {reader.line_num}: {error}.") from error


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


def _read_parquet(file: Path) -> Sequence[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file).read()
        _refuse_repeated(file, table.column_names)
        return table.to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{file}: not a readable parquet file: {error}.") from error


def _refuse_repeated(file: Path, columns: Sequence[str]) -> None:
    if repeated := _repeated(columns):
        raise UserError(f"{file}: more than one column {repeated}: which of them is meant? Keep one.")
