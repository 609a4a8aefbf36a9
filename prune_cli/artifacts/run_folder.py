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

from filelock import FileLock, Timeout
from rich.console import Console
from rich.logging import RichHandler

from prune_cli.errors import UserError

_LOCK = ".lock"


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
        self.predictions = path / "predictions.jsonl"
        self.samples = path / "samples.md"
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
            raise UserError(
                f"{self.path} has no result.json: the run has not finished; run the same command again to go on"
            )
        try:
            return json.loads(self.result.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.result} is broken ({error}); redo the run with overwrite=true") from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder; the lock of a process that has died holds nobody.

        Raises:
            UserError: If another process is at this very run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / _LOCK, blocking=False):
                yield
        except Timeout:
            raise UserError(f"another process is working on {self.path}: wait for it, or change the run") from None

    def begin(self, config_yaml: str, *, overwrite: bool) -> None:
        """Write down the configuration; throw away an earlier run that is to be redone.

        Args:
            config_yaml: The resolved configuration, as text.
            overwrite: Throw away what an earlier run left, finished or not.
        """
        if overwrite:
            self.result.unlink(missing_ok=True)  # first: a half-removed run must not look finished
            for path in self.path.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != _LOCK:
                    path.unlink()
        write_text(self.config, config_yaml)

    @contextlib.contextmanager
    def logged(self, console: Console) -> Iterator[None]:
        """Write what the package logs into run.log and onto the screen; tracebacks into run.log alone.

        Args:
            console: The screen.
        """
        in_file = logging.FileHandler(self.log, encoding="utf-8")
        in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        on_screen = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%X")
        on_screen.addFilter(lambda record: record.exc_info is None)
        logger = logging.getLogger("prune_cli")
        level, propagate = logger.level, logger.propagate
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in (in_file, on_screen):
            logger.addHandler(handler)
        try:
            yield
        except UserError as error:
            in_file.handle(logger.makeRecord(logger.name, logging.ERROR, __file__, 0, str(error), (), None))
            raise
        except Exception as error:
            logger.exception("the run failed")
            error.add_note(f"The traceback is in {self.log}.")
            raise
        finally:
            for handler in (in_file, on_screen):
                logger.removeHandler(handler)
            in_file.close()
            logger.setLevel(level)
            logger.propagate = propagate

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
        temporary.replace(folder)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: the run has finished."""
        write_text(self.result, json.dumps(result, indent=2) + "\n")

    def clear_checkpoints(self) -> None:
        """Remove the checkpoints; once the run has finished, nothing goes on from them."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


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
    temporary.replace(path)
