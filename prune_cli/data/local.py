"""Records from a folder of the user's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from prune_cli.data.base import splits_of
from prune_cli.data.extra import Extra
from prune_cli.data.formats import parsed, read
from prune_cli.data.records import Split, Unreadable, checked
from prune_cli.errors import UserError
from prune_cli.plain import shortened

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

LABELS = "labels.json"  # beside the files: a list of label names, in label order
HASHED_AT_ONCE = 1 << 20  # bytes
_SEED = 42  # of what is held out: the same for all runs, whatever theirs


@dataclass(frozen=True)
class Local(Extra):
    """A folder with one file a split: {train,validation,...}.{jsonl,parquet,csv,tsv}, or else what the task reads (`formats`).

    A file labels.json beside them says what the numbers of classes in them mean: a list of names, in label order. Or one file
    alone, a part of whose records is held out for evaluation.

    Attributes:
        path: The folder, or the file.
        holdout: Fraction of the records of one file that is held out, drawn at random with a fixed seed, above 0; 1 takes all, to
            evaluate alone. A folder has files for that.
    """

    path: str
    holdout: float = 0.1

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; files are looked at together with a task."""
        yield from super().problems()
        if not 0 < self.holdout <= 1:
            yield f"holdout is {self.holdout:g}: give the fraction of the records to evaluate on, above 0"

    def missing(self, task: Task, *, training: bool = True) -> list[str]:
        """Say which files are missing or are there twice."""
        try:
            return self._missing_of_file(task, training) if self._path.is_file() else self._missing(task, training)
        except OSError as error:
            return [f"data.path={shortened(self.path)} cannot be read ({error.strerror}): give another folder."]

    def _missing(self, task: Task, training: bool) -> list[str]:
        folder = self._path
        if not folder.is_dir():
            return [
                f"data.path={self.path} does not exist. Give a folder with train.jsonl {_others(task)} and the like, or a file."
            ]
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        problems = []
        for split in splits_of(task, training=training):
            files = self._files(task, split)
            folders = [name for suffix in task.formats if (folder / (name := f"{split}{suffix}")).is_dir()]
            if not files and folders:
                problems.append(f"data.path={self.path}: {folders[0]} is a folder, and is to be a file of records.")
            elif not files:
                use = "trained on" if split == "train" else "evaluated on"
                problems.append(
                    f"data.path={self.path} has no {split}.jsonl {_others(task)}, which the task {task.name} is "
                    f"{use}. Add it; there are: {there}."
                )
            if len(files) > 1:
                names = " and ".join(file.name for file in files)
                problems.append(f"data.path={self.path} has {names}: which of them is meant? Keep one.")
        return problems

    def _missing_of_file(self, task: Task, training: bool) -> list[str]:
        problems = []
        if self._path.suffix.lower() not in task.formats:
            problems.append(f"data.path={self.path} is no file of records: give one that ends in {', '.join(task.formats)}.")
        if training and len(task.evaluation_splits) > 1:
            problems.append(
                f"data.path={self.path} is one file, and the task {task.name} is evaluated on"
                f" {' and '.join(task.evaluation_splits)}: give a folder with a file for each."
            )
        if training and self.holdout == 1:
            problems.append("data.holdout is 1, which leaves nothing to train on: give a fraction below 1.")
        return problems

    def identity(self, task: Task) -> str:
        """SHA-256 over the names of the splits and the bytes of their files, and over labels.json where it is there."""
        if self._path.is_file():
            files, held = {"file": self._path}, f"/{self.holdout:g}"
        else:
            files, held = {split: self._files(task, split)[0] for split in splits_of(task, training=True)}, ""
        if self._labels.is_file():
            files[LABELS] = self._labels
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{name}:{file.stat().st_size}:".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(HASHED_AT_ONCE):
                    digest.update(chunk)
        return f"sha256:{digest.hexdigest()}{held}"

    def load(self, task: Task, *, training: bool = True) -> tuple[Task, dict[str, Dataset]]:
        """Read and check the files of the splits, or the parts of the one file.

        Raises:
            UserError: If a record is unusable; the message names its file and line (JSONL, CoNLL) or number.
        """
        labels = _read_labels(self._labels) if self._labels.is_file() else None
        if not self._path.is_file():
            files = {split: self._files(task, split)[0] for split in splits_of(task, training=training)}
            splits = {split: self._read(task, file) for split, file in files.items()}
            return checked(task, splits, labels or _named_in(next(iter(splits.values())), task))
        whole, evaluated = self._read(task, self._path), task.evaluation_splits[0]
        labels = labels or _named_in(whole, task)
        held_out, rest = _parted(whole, self.holdout, task if training else None)
        evaluated = evaluated if training else self._path.name
        parts = {"train": rest, evaluated: held_out} if training else {evaluated: held_out}
        # A rare class may be among the held out records alone
        learned = whole.rows if training else ()
        return checked(replace(task, evaluation_splits=(evaluated,)), parts, labels, learned)

    def _read(self, task: Task, file: Path) -> Split:
        return read(task.formats[file.suffix.lower()], file, task.columns)

    @property
    def _path(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def _labels(self) -> Path:
        return (self._path.parent if self._path.is_file() else self._path) / LABELS

    def _files(self, task: Task, split: str) -> list[Path]:
        there = [file for file in sorted(self._path.iterdir()) if file.stem == split and file.is_file()]
        return [file for suffix in task.formats for file in there if file.suffix.lower() == suffix]


def _named_in(split: Split, task: Task) -> Sequence[str] | None:
    """Names of classes that a file tells itself; of several columns with such, that of the task."""
    classes = split.classes
    return next((classes[column] for column in classes if column in task.columns or len(classes) == 1), None)


def _parted(whole: Split, share: float, learns: Task | None) -> tuple[Split, Split]:
    """A part of the records, drawn at random, and the others, both in their order.

    Where somebody learns from the others, a record that is the only one of its class stays with them.
    """
    count = len(whole.rows)
    drawn = set(Random(_SEED).sample(range(count), min(count, max(1, round(share * count)))))
    if learns is not None:
        classes = [learns.class_of(row) if isinstance(row, Mapping) else None for row in whole.rows]
        counted = Counter(classes)
        kept = {number for number in drawn if classes[number] is not None and counted[classes[number]] == 1}
        drawn = drawn - kept or drawn
    return _only(whole, sorted(drawn)), _only(whole, [number for number in range(count) if number not in drawn])


def _only(whole: Split, numbers: Sequence[int]) -> Split:
    """Some of the records, each told by where it stands in the file."""
    rows = [whole.rows[number] for number in numbers]
    return replace(whole, rows=rows, where=lambda number: whole.where(numbers[number]))


def _others(task: Task) -> str:
    """The formats beside the first, for messages."""
    return f"(or {', '.join([*task.formats][1:])})"


def _read_labels(file: Path) -> list[str]:
    try:
        labels = parsed(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error
    if isinstance(labels, Unreadable):
        raise UserError(f"{file}: {labels.reason}.")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise UserError(f'{file}: not a list of label names, ["O", "B-PER", "I-PER"] say.')
    return labels
