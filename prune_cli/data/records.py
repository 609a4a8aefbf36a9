"""What all sources share: records are checked here, once, before anything else is loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.plain import shortened

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

log = logging.getLogger(__name__)

ID = "id"
"""The column by which official scripts tell records; it goes along with those that have it."""
SHOWN = 5  # problems of a split that are told one by one
_NO_COLUMN = "no column"

_TOO_LARGE = 2**63  # Arrow's whole numbers end there

TYPE_NAMES: Mapping[type, str] = {str: "text", int: "an integer", float: "a number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Unreadable:
    """Stands where a record should be."""

    reason: str


@dataclass(frozen=True)
class Split:
    """The raw records of a split.

    Attributes:
        rows: A mapping from column to value each, or `Unreadable`.
        where: Tells where the record of a number (from 0) stands, "FILE:LINE" say.
        header: Where its columns are named, for files whose first line does that.
        classes: Names of classes by column, in the order of their numbers, where the file itself tells them.
    """

    rows: Sequence[Any]
    where: Callable[[int], str]
    origin: str
    header: str = ""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def checked(
    task: Task,
    splits: Mapping[str, Split],
    labels: Sequence[str] | None = None,
    learned: Sequence[Any] | None = None,
) -> tuple[Task, dict[str, Dataset]]:
    """Turn raw records into data sets that hold the task's columns and, where records have one, their `id`.

    Args:
        task: Says which columns there must be and checks what is in them.
        splits: Raw records by name of the split; `train`, where it is there, settles the labels.
        labels: Label names that came with the records, in label order: they say what the numbers of the records mean.
        learned: Raw records that settle the labels, where they are others than those of `train`.

    Returns:
        The task, which now knows its labels, and the data sets by name of the split.

    Raises:
        UserError: If a record is unusable; it names the first few of every split and counts the rest.
    """
    if labels is not None:
        splits = {name: replace(split, rows=[_named(task, row, labels) for row in split.rows]) for name, split in splits.items()}
    training = splits.get("train", Split([], str, ""))
    rows = [row for row in (training.rows if learned is None else learned) if isinstance(row, Mapping)]
    if rows or "train" not in splits:
        task = task.fitted(rows, labels)
    settled = "train" not in splits or (rows and task.labels is not None)
    datasets: dict[str, Dataset] = {}
    wrong: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for name, split in splits.items():
        if settled or split.origin == training.origin:  # otherwise what is wrong there alone can be told
            datasets[name], of_split = _build(task, split)
            columns = "; ".join(filter(None, (split.header, task.names_columns)))
            wrong.setdefault((split.origin, columns), {}).update(dict.fromkeys(of_split))  # of parts of one file, together
    if problems := [
        problem for (origin, columns), of_split in wrong.items() for problem in problem_lines(of_split, origin, columns)
    ]:
        raise UserError(*problems)
    for note in task.notes(rows):
        log.warning("%s: %s.", training.origin, note)
    return task, datasets


def source_of(records: Dataset) -> str:
    """What `checked` records were read from, to name in messages."""
    return records.info.description or "the records"


def asked(task: Task, row: Mapping[str, Any]) -> Mapping[str, Any] | Unreadable:
    """A raw record as a prediction needs it: without answers; or why it cannot be used."""
    columns = {name: task.columns[name] for name in task.inputs}
    row = {name: value for name, value in row.items() if name in columns or name not in task.columns}  # no answers
    try:
        adapted = task.adapt(row)
        reason = _row_problem(adapted, row, columns)
    except ValueError as error:
        adapted, reason = row, str(error)
    reason = reason or next((f"`{name}` is empty" for name in columns if not adapted[name]), None)
    if reason:
        return Unreadable(reason)
    return {name: value for name, value in adapted.items() if name in columns or name not in task.columns}


def problem_lines(reasons: Iterable[tuple[str, str]], origin: str, columns: str = "") -> list[str]:
    """What is wrong with some records: each reason once, where it is met first; the first few reasons, and a count.

    Args:
        reasons: Where a record stands, and what is wrong with it.
        columns: Where their names come from, for whoever lacks one.
    """
    places: dict[str, list[str]] = {}
    for where, reason in reasons:
        places.setdefault(reason, []).append(where)
    problems = []
    for reason, same_places in [*places.items()][:SHOWN]:
        count = len(same_places) - 1
        more = f" ({count:,} more record{'s' * (count > 1)} likewise)" if count else ""
        seen = f" ({columns})" if columns and reason.startswith(_NO_COLUMN) else ""
        problems.append(f"{same_places[0]}: {reason}{seen}{more}.")
    if left := sum(len(same_places) for same_places in [*places.values()][SHOWN:]):
        problems.append(f"{origin}: {left:,} more records are unusable.")
    return problems


def _build(task: Task, split: Split) -> tuple[Dataset, list[tuple[str, str]]]:
    """The data set of a split, and of the records that cannot be used where they stand and why."""
    from datasets import Dataset

    adapted = [_adapted(task, row) for row in split.rows]
    for number, first in _repeated(task.key, split.rows):
        adapted[number] = Unreadable(f"`{task.key}` is that of {split.where(first)}: two records are one, or need two")
    reasons = {number: row.reason for number, row in enumerate(adapted) if isinstance(row, Unreadable)}
    numbers = [number for number in range(len(adapted)) if number not in reasons]
    sound = [row for row in adapted if not isinstance(row, Unreadable)]
    columns = {column: [row[column] for row in sound] for column in task.columns}
    if any(ID in row for row in sound):
        columns[ID] = [str(row.get(ID, "")) for row in sound]
    dataset = Dataset.from_dict(columns)
    dataset.info.description = split.origin
    if sound:
        reasons |= {numbers[position]: reason for position, reason in task.check(dataset)}
    problems = [(split.where(number), reasons[number]) for number in sorted(reasons)]
    return dataset, problems if split.rows else [(split.origin, "no records")]


def _repeated(key: str | None, rows: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Numbers of rows whose key an earlier row has, and of that row."""
    first: dict[Any, int] = {}
    for number, row in enumerate(rows):
        value = row.get(key) if key is not None and isinstance(row, Mapping) else None
        if isinstance(value, str | int) and first.setdefault(value, number) != number:
            yield number, first[value]


def _named(task: Task, row: Any, labels: Sequence[str]) -> Any:
    """A row with the names of its labels in place of their numbers."""
    try:
        return task.named(row, labels) if isinstance(row, Mapping) else row
    except ValueError as error:
        return Unreadable(str(error))


def _adapted(task: Task, row: Any) -> Mapping[str, Any] | Unreadable:
    """The record in the task's columns and, where it has one, with its id; or why it cannot be used."""
    if isinstance(row, Unreadable):
        return row
    if not isinstance(row, Mapping):
        return Unreadable(f"not an object with named columns but {_type_name(row)}")
    try:
        adapted = task.adapt(row)
    except ValueError as error:
        return Unreadable(str(error))
    if reason := _row_problem(adapted, row, task.columns):
        return Unreadable(reason)
    return {**adapted, ID: row[ID]} if isinstance(row.get(ID), str | int) else adapted


def _row_problem(row: Mapping[str, Any], raw: Mapping[str, Any], columns: Mapping[str, type]) -> str | None:
    if missing := [column for column in columns if column not in row]:
        there = ", ".join(f"`{column}`" for column in raw) or "none"
        return f"{_NO_COLUMN} {', '.join(f'`{column}`' for column in missing)}; there are {there}"
    for column, wanted in columns.items():
        value = row[column]
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            return f"`{column}` is too large a number"
        if value is not None and not _is_a(value, wanted):  # an empty value is the task's to judge
            return f"`{column}` is {_type_name(value)} ({shortened(repr(value))}), not {TYPE_NAMES[wanted]}"
    return None


def _is_a(value: Any, wanted: type) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


def _type_name(value: Any) -> str:
    return TYPE_NAMES.get(type(value), type(value).__name__)
