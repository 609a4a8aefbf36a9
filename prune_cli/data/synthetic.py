"""Records made on the spot from a small invented world: no file, no network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from prune_cli.data.base import splits_of
from prune_cli.data.extra import Extra
from prune_cli.data.records import Split, checked
from prune_cli.world.facts import draw_world

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Row, Task


MOST = 1_000_000
"""Records of a split: more than that are a slip of the finger, and the world runs out of things to ask."""


@dataclass(frozen=True)
class Synthetic(Extra):
    """Records in the shape of a task, whichever of the families it is of.

    Every split is about a world of its own, so that nothing learned by heart from one helps with another.

    Attributes:
        seed: Another seed, other records; >= 0.
        train: Number of training records, > 0.
        validation: Number of records of every evaluation split, > 0.
    """

    seed: int = 0
    train: int = 2000
    validation: int = 400

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        yield from super().problems()
        for name, value in (("train", self.train), ("validation", self.validation)):
            if not 1 <= value <= MOST:
                yield f"{name} is {value}: give a number of records from 1 to {MOST:,}"
        if self.seed < 0:
            yield f"seed is {self.seed}: give a whole number from 0 on"

    def missing(self, task: Task, *, training: bool = True) -> list[str]:
        """Say whether nothing can be made for such a task."""
        if task.inventor(draw_world("any"), Random(0)) is not None:
            return []
        return [
            f"data=synthetic makes no records for the task {task.name}: it knows texts with up to 20 classes or a score,"
            " questions, entities and data-to-text. Use data=local data.path=DIR or data=hub."
        ]

    def identity(self, task: Task) -> str:
        """SHA-256 over the records."""
        return "sha256:" + hashlib.sha256(json.dumps(self._rows(task)).encode()).hexdigest()

    def load(self, task: Task, *, training: bool = True) -> tuple[Task, dict[str, Dataset]]:
        """Make the records of the splits; nothing is asked in two records."""
        return checked(
            task,
            {
                split: Split(rows, lambda number: f"synthetic record {number + 1}", f"synthetic {split}")
                for split, rows in self._rows(task).items()
                if split in splits_of(task, training=training)
            },
        )

    def _rows(self, task: Task) -> dict[str, list[Row]]:
        seen: set[Any] = set()
        splits = {}
        for split in ("train", *task.evaluation_splits):
            invent = task.inventor(draw_world(f"{self.seed} {split} world"), Random(f"{self.seed} {split} records"))
            assert invent is not None, "problems() refuses a task of another shape"
            rows: list[Row] = []
            wanted = self.train if split == "train" else self.validation
            while len(rows) < wanted:
                asks, new_rows = invent()
                if asks not in seen:
                    seen.add(asks)
                    rows += new_rows
            splits[split] = rows[:wanted]
        return splits
