"""The protocol that every source of records follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task


def splits_of(task: Task, *, training: bool) -> tuple[str, ...]:
    """The splits that are read: `train` first, where it is needed, then those that are evaluated."""
    return tuple(dict.fromkeys([*(["train"] if training else []), *task.evaluation_splits]))


class Source(Protocol):
    """Somewhere that a task's records can be read from.

    Implementations are frozen dataclasses whose fields are the source's YAML.
    """

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        ...

    def missing(self, task: Task, *, training: bool = True) -> list[str]:
        """Why it has no records for the task, cheaply: before any record is read. Its values have no problems.

        Args:
            training: Whether records to train on are needed as well, and not those to evaluate alone.
        """
        ...

    def identity(self, task: Task) -> str:
        """A string that is equal exactly when the records are: no path of this machine is part of it."""
        ...

    def load(self, task: Task, *, training: bool = True) -> tuple[Task, dict[str, Dataset]]:
        """Read and check `train`, where it is needed, and the task's evaluation splits.

        Args:
            task: The task; it knows its labels where there is no training.
            training: Whether records to train on are needed as well.

        Returns:
            The task, which now knows its labels, and the records by split.

        Raises:
            UserError: If a file or record is unusable; the message names file and record.
        """
        ...
