"""The folder of a run: where each file lies, and when the run counts as finished."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from prune_cli.errors import UserError


@final
class RunFolder:
    """Names of the files of one run.

    `result.json` is written last: a run has finished if and only if it is there.
    """

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made yet.

        Args:
            path: The folder itself.
        """
        self.path = path
        self.config = path / "config.yaml"
        self.history = path / "history.jsonl"
        self.result = path / "result.json"
        self.log = path / "run.log"
        self.model = path / "model"
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the run ended and everything was written."""
        return self.result.is_file()

    def read_result(self) -> dict[str, Any]:
        """The content of result.json.

        Raises:
            UserError: If there is none, or it is broken.
        """
        if not self.finished:
            raise UserError(f"{self.path} has no result.json: the run has not finished; run the same command again to go on")
        try:
            return json.loads(self.result.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.result} is broken ({error}); redo the run with overwrite=true") from error

    def begin(self, config_yaml: str, *, overwrite: bool) -> None:
        """Make the folder, or clear a finished run that is to be redone.

        Args:
            config_yaml: The resolved configuration, as text.
            overwrite: Throw away what an earlier run left, finished or not.
        """
        if overwrite and self.path.exists():
            self.result.unlink(missing_ok=True)  # first: a half-removed run must not look finished
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, config_yaml)

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """Copy what the package logs into run.log."""
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("prune_cli")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            handler.close()

    @contextlib.contextmanager
    def replacing(self, folder: Path) -> Iterator[Path]:
        """Fill a folder beside the one named, then put it in its place.

        Args:
            folder: One of this run's.
        """
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: the run has finished."""
        write_text(self.result, json.dumps(result, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        text: Its new content, written as UTF-8.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
