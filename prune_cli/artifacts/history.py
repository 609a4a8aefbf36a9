"""The local history of a run: one JSON object a line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.plain import from_json


@final
class History:
    """Records of a run, in the order they were made; every record has a `step`.

    They are kept in memory, and `history.jsonl` is their copy for people and programs to read: nothing that a run says at
    its end rests on a file that may have been cut or edited in the meantime. What a resumed run begins with comes from its
    checkpoint.

    Attributes:
        records: All records so far, as JSON gives them back.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """Name the file; `begin` makes it.

        Args:
            path: File of JSON lines, in an existing folder.
            writes: Whether this process does so, and not another one of the same run.
        """
        self._writes = writes
        self.path = path
        self.records: list[dict[str, Any]] = []

    def begin(self, source: Path | None) -> None:
        """Take the records that a checkpoint holds, or none, and write the file anew.

        Args:
            source: The checkpoint's copy of the history; None for a run that begins.

        Raises:
            UserError: If the copy is broken.
        """
        self.records = [] if source is None else self.read(source)
        if self._writes:
            self.save(self.path)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record as one line; an evaluation, with all before it, is on the disk before this returns.

        A number that JSON cannot hold (a loss that is not finite) becomes null.
        """
        line = json.dumps(_finite(record), allow_nan=False)
        self.records.append(json.loads(line))
        if not self._writes:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            if any(key.startswith("eval_") for key in record):
                file.flush()
                os.fsync(file.fileno())

    def save(self, path: Path) -> None:
        """Write all records to a file, whole or not at all."""
        write_text(path, "".join(json.dumps(record) + "\n" for record in self.records))

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read all records; a last line without its line break was torn by a kill and is left out.

        Raises:
            UserError: If a complete line is not a JSON object with a `step`; the message names file and line.
        """
        lines = path.read_bytes().split(b"\n")[:-1]
        return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse(line: bytes, place: str) -> dict[str, Any]:
    remedy = "Delete that line to go on without the record."
    try:
        record = from_json(line)
    except ValueError as error:
        raise UserError(f"{place} is not JSON ({error}). {remedy}") from error
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise UserError(f"{place} is not a record with a whole number as its `step`. {remedy}")
    return record


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
