"""Records without answers, to learn from what a teacher says of them (`prune_cli.labelling`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.data.formats import read, read_jsonl
from prune_cli.data.records import SHOWN, Unreadable, asked
from prune_cli.errors import UserError
from prune_cli.files import checksum

if TYPE_CHECKING:
    from prune_cli.tasks.base import Task

AUGMENT = "augment"
"""In place of a file: the training records, with other words in place of some."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What every source of records can have beside its own: records that a teacher labels.

    Attributes:
        extra: A JSON Lines file of records without answers, each an object or, where the task reads one text, a text; or
            "augment", the training records with other words in place of some (Jiao et al. 2020, arXiv:1909.10351, section 3.2).
            The first teacher says what is right; null for none.
        copies: Of "augment": records made of each, > 0.
        replaced: Of "augment": share of the words that a masked language model replaces, above 0 and below 1.
        masked_model: Of "augment": folder or hub id of that model; null for the one that is pruned.
    """

    extra: str | None = None
    copies: int = 4
    replaced: float = 0.15
    masked_model: str | None = None

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if self.copies < 1:
            yield f"copies is {self.copies}: give a whole number from 1 on"
        if not 0 < self.replaced < 1:
            yield f"replaced is {self.replaced:g}: give the share of the words to replace, above 0 and below 1"

    def extra_problems(self, task: Task) -> Iterator[str]:
        """Why a task cannot learn from the extra records, before any is read.

        Args:
            task: The task.
        """
        if self.extra == AUGMENT and not task.replaceable:
            yield f"data.extra={AUGMENT}: task {task.name} has no texts whose words can be replaced, give a JSON Lines file"
        elif self.extra not in (None, AUGMENT) and not Path(str(self.extra)).expanduser().is_file():
            yield f"data.extra={self.extra}: there is no such file, give one of JSON Lines or data.extra={AUGMENT}"

    def extra_identity(self) -> str | None:
        """A string that is equal exactly when the extra records are made alike; None without any."""
        if self.extra is None:
            return None
        if self.extra != AUGMENT:
            return f"sha256:{checksum(Path(self.extra).expanduser())['sha256']}"
        from prune_cli.models import Location, fingerprint

        by = "" if self.masked_model is None else fingerprint(Location(name=self.masked_model))
        return f"{AUGMENT}:{self.copies}/{self.replaced:g}/{by}"


def unanswered(file: Path, task: Task) -> list[Mapping[str, Any]]:
    """Read records without answers.

    Args:
        file: JSON Lines.
        task: Says which columns there must be.

    Raises:
        UserError: If one cannot be used; it names the first few.
    """
    split = read(read_jsonl, file, task.columns)
    found: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for number, row in enumerate(split.rows):
        named = {task.inputs[0]: row} if isinstance(row, str) and len(task.inputs) == 1 else row
        if isinstance(named, Mapping):
            try:
                found.append(asked(task, named, split.where(number)))
            except UserError as error:
                problems += error.problems
        else:
            reason = named.reason if isinstance(named, Unreadable) else f"not an object with {', '.join(task.inputs)}"
            problems.append(f"{split.where(number)}: {reason}.")
    if not split.rows:
        problems.append(f"{file}: no records.")
    if problems:
        more = [f"{file}: {len(problems) - SHOWN} more records are unusable."] if len(problems) > SHOWN else []
        raise UserError(*problems[:SHOWN], *more)
    return found
