"""Loads every task's records from the Hugging Face hub, where there is a network: `make check-hub`, or some tasks by ARGS.

usage: python -m tests.check_hub [TASK ...]

For each task the pinned repository, configuration and revision are asked for, the splits are downloaded, every record is
checked as a run would, and a few are encoded. The exit code is 1 if a task fails, 2 if there is no hub to ask.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from huggingface_hub import HfApi, constants
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prune_cli.config.build import build
from prune_cli.data.hub import Hub
from prune_cli.errors import UserError
from prune_cli.models import trained_tokenizer
from prune_cli.network import probe
from prune_cli.paths import CONF
from prune_cli.tasks.base import Task

ENCODED = 8  # records of each split


def checked(task: Task) -> str:
    """Load and encode a task's records.

    Returns:
        The commit that the revision is now, and the number of records by split.

    Raises:
        UserError: If a run would not begin.
    """
    if problems := Hub().missing(task):
        raise UserError(*problems)
    commit = HfApi().dataset_info(task.hub_path, revision=task.hub_revision).sha
    fitted, splits = Hub().load(task)
    for records in splits.values():
        some = records.select(range(min(ENCODED, len(records))))
        (kind, *_) = fitted.head.auto_classes
        tokenizer = trained_tokenizer(fitted.texts(some), 2000, 512, kind)
        assert len(fitted.encode(some, tokenizer, training=True)) >= len(some)
    return f"{commit}: " + ", ".join(f"{len(records):,} {split}" for split, records in splits.items())


def main() -> int:
    """Print a line a task."""
    if (failure := probe(constants.ENDPOINT)) is not None:
        Console(stderr=True).print(f"no task could be tried: {failure}", markup=False)
        return 2
    failed = False
    table = Table("task", "data set", "what came of it")
    for file in sorted((CONF / "task").glob("*.yaml")):
        fields: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        task: Task = build(fields, "task")
        if not task.hub_path or (sys.argv[1:] and task.name not in sys.argv[1:]):
            continue
        where = f"{task.hub_path} {task.hub_config or ''} @ {task.hub_revision}"
        try:
            table.add_row(task.name, where, checked(task))
        except Exception as error:  # noqa: BLE001 one that fails must not hide the others
            failed = True
            table.add_row(task.name, where, Text(f"{type(error).__name__}: {error}", style="bold red"))
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
