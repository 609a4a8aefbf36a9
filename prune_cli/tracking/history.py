"""The local history of a run: one JSON object a line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from prune_cli.errors import UserError


@final
class History:
    """Records of a run in `history.jsonl`, in the order they were made; every record has a `step`."""

    def __init__(self, path: Path) -> None:
        """Name the file; the first record makes it.

        Args:
            path: File of JSON lines, in an existing folder.
        """
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record as one line, handed to the operating system before this returns.

        A number that JSON cannot hold (a loss that is not finite) becomes null.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(record), allow_nan=False) + "\n")

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read all records; a last line without its line break was torn by a kill and is left out.

        Raises:
            UserError: If a complete line is not a JSON object with a `step`; the message names file and line.
        """
        lines = path.read_bytes().split(b"\n")[:-1]
        return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]

    def truncate(self, step: int) -> None:
        """Drop the records of later steps, and a torn last line, in one stroke; call it before a run goes on.

        Args:
            step: Last step to keep, that of the checkpoint; -1 to keep nothing.

        Raises:
            UserError: If the history is broken, as in `read`.
        """
        if not self.path.exists():
            return
        kept = [record for record in self.read(self.path) if record["step"] <= step]
        temporary = self.path.with_name(self.path.name + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _parse(line: bytes, place: str) -> dict[str, Any]:
    remedy = "Delete that line to go on without the record."
    try:
        record = json.loads(line)
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
