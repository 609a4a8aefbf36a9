"""Records from a folder of the user's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prune_cli.data.formats import read
from prune_cli.data.records import checked
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

LABELS = "labels.json"  # beside the files: a list of label names, in label order
HASHED_AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True)
class Local:
    """A folder with one file a split: {train,validation,...}.{jsonl,parquet,csv}, or what else the task reads (`Task.formats`).

    A file labels.json beside them names the labels where the records do not: a list, in label order.

    Attributes:
        path: The folder.
    """

    path: str

    def problems(self) -> Iterator[str]:
        """What is wrong with the values: only together with a task can they be judged."""
        return iter(())

    def missing(self, task: Task) -> list[str]:
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
        files = {split: self._file(task, split) for split in _splits(task)}
        splits = {split: read(task.formats[file.suffix], file, task.columns) for split, file in files.items()}
        return checked(task, splits, labels)

    @property
    def _folder(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def _labels(self) -> Path:
        return self._folder / LABELS

    def _files(self, task: Task, split: str) -> list[Path]:
        return [file for suffix in task.formats if (file := self._folder / f"{split}{suffix}").is_file()]

    def _file(self, task: Task, split: str) -> Path:
        return self._files(task, split)[0]


def _others(task: Task) -> str:
    """The formats beside the first, for messages."""
    return f"(or {', '.join([*task.formats][1:])})"


def _splits(task: Task) -> tuple[str, ...]:
    return "train", *task.evaluation_splits


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
