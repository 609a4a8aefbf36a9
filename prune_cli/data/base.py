"""The protocol that every source of records follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task


class Source(Protocol):
    """Somewhere that a task's records can be read from.

    Implementations are frozen dataclasses whose fields are the source's YAML.
    """

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        ...

    def missing(self, task: Task) -> list[str]:
        """Why it has no records for the task, cheaply: before any record is read. Its values have no problems."""
        ...

    def identity(self, task: Task) -> str:
        """A string that is equal exactly when the records are: no path of this machine is part of it."""
        ...

    def load(self, task: Task) -> tuple[Task, dict[str, Dataset]]:
        """Read and check `train` and the task's evaluation splits.

        Returns:
            The task, which now knows its labels, and the records by split.

        Raises:
            UserError: If a file or record is unusable; the message names file and record.
        """
        ...
