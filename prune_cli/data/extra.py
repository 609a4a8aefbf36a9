"""Records without answers, to learn from what a teacher says of them (`prune_cli.run.labelling`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prune_cli.files import checksum

if TYPE_CHECKING:
    from prune_cli.tasks.base import Task

AUGMENT = "augment"
"""In place of a file: the training records, with other words in place of some."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What every source of records can have beside its own: records that a teacher labels.

    Attributes:
        extra: A file of records without answers, in a format of the task's or, where it reads one text, of .txt with a text a
            line; or "augment", the training records with other words in place of some (Jiao et al. 2020, arXiv:1909.10351,
            section 3.2). The first teacher says what is right; null for none.
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
        """Why a task cannot learn from the extra records, before any is read."""
        if self.extra == AUGMENT and not task.replaceable:
            yield f"data.extra={AUGMENT}: task {task.name} has no texts whose words can be replaced, give a file of records"
        elif self.extra not in (None, AUGMENT) and not Path(str(self.extra)).expanduser().is_file():
            yield f"data.extra={self.extra}: there is no such file, give a file of records or data.extra={AUGMENT}"

    def extra_identity(self) -> str | None:
        """A string that is equal exactly when the extra records are made alike; None without any."""
        if self.extra is None:
            return None
        if self.extra != AUGMENT:
            return f"sha256:{checksum(Path(self.extra).expanduser())['sha256']}"
        from prune_cli.models import Location, fingerprint

        by = "" if self.masked_model is None else fingerprint(Location(name=self.masked_model))
        return f"{AUGMENT}:{self.copies}/{self.replaced:g}/{by}"
