"""The folder of a run: where each file lies, and when the run counts as finished."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout
from rich.console import Console
from rich.logging import RichHandler

from prune_cli.artifacts.result import FORMAT, Promise, Result
from prune_cli.errors import Held, UserError
from prune_cli.files import checksum, is_held, sync, write_text
from prune_cli.plain import from_json, shortened
from prune_cli.redaction import redact

_LOCK = ".lock"
_PATIENCE = 0.5  # seconds: a look at the lock, as `busy` takes, is over by then
_AGAIN = "the same `prune run` command makes it again"


@final
class RunFolder:
    """Names of the files of one run.

    `result.json` is written last, and names the size and the checksum of every file that it promises: a run has finished
    if and only if it is there and these files are.
    """

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.path = path
        self.config = path / "config.yaml"
        self.history = path / "history.jsonl"
        self.result = path / "result.json"
        self.log = path / "run.log"
        self.status = path / "status.json"
        self.predictions = path / "predictions.jsonl"
        self.samples = path / "samples.md"
        self.model = path / "model"
        self.card = self.model / "README.md"
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"

    def check(self) -> None:
        """Refuse a folder in which something else stands where the run is to write.

        Raises:
            UserError: If there is such a thing; it tells all.
        """
        folders = (self.path, self.model, self.figures, self.checkpoints)
        files = (self.config, self.history, self.result, self.log, self.status, self.predictions, self.samples)
        lock = self.path / _LOCK
        steps = [path for path in self.checkpoints.glob("*") if self.checkpoints.is_dir() and path.is_file()]
        problems = [
            *(f"{path} is a folder, where the run writes a file" for path in [lock] if path.is_dir()),
            *(f"{path} is a file, where the run makes a folder" for path in [*folders, *steps] if path.is_file()),
            *(f"{path} is a folder, where the run writes a file" for path in files if path.is_dir()),
        ]
        if problems:
            raise UserError(*(f"{problem}: move it away, and run the same command again" for problem in problems))

    def unfinished_reason(self) -> str | None:
        """Say why the run does not count as finished, at the cost of a look at sizes; None where it does."""
        try:
            result = self.read_result()
        except UserError as error:
            return str(error)
        return next(iter(self.broken_promises(result)), None)

    def read_result(self) -> Result:
        """What result.json holds.

        Raises:
            UserError: If there is none, or it is broken.
        """
        if not self.result.is_file():
            raise UserError(f"{self.path} has no result.json: the run has not finished; run the same command again to go on")
        try:
            values = from_json(self.result.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.result} is broken ({error}): {_AGAIN}") from error
        if not isinstance(values, dict) or "format" not in values:
            raise UserError(f"{self.result} is broken (it is not what a run writes): {_AGAIN}")
        if values["format"] != FORMAT:
            raise UserError(
                f"{self.result} was written by another version of prune (format {shortened(str(values['format']))}): {_AGAIN}"
            )
        try:
            return Result.of(values)
        except ValueError as error:
            raise UserError(f"{self.result} is broken ({error}): {_AGAIN}") from error

    def read_result_of(self, run_id: str) -> Result:
        """What result.json holds, where it is that of a run.

        Raises:
            UserError: If it is another run's, as of a folder that was copied or renamed; or see `read_result`.
        """
        result = self.read_result()
        if result.id != run_id:
            raise UserError(
                f"{self.path} holds the result of another run ({result.id}, and this one is {run_id}): was it copied or renamed?"
                " Move it away, or give overwrite=true to replace it"
            )
        return result

    def broken_promises(self, result: Result, *, thorough: bool = False) -> Iterator[str]:
        """Say which files are not what result.json promises.

        Args:
            thorough: Compare checksums too, and not sizes alone.
        """
        if self.history.name not in result.promised:
            yield f"{self.result} does not promise what a run leaves, it is broken or of an earlier version of prune: {_AGAIN}"
            return
        for name, expected in result.promised.items():
            path = self.path / name
            if not path.is_file():
                yield f"{path} is gone, which {self.result.name} promises: {_AGAIN}"
            elif (size := path.stat().st_size) != expected.bytes:
                yield f"{path} has {size:,} bytes, and {self.result.name} promises {expected.bytes:,}: {_AGAIN}"
            elif thorough and Promise(**checksum(path)) != expected:
                yield f"{path} has other content than {self.result.name} promises: {_AGAIN}"

    def promises(self) -> dict[str, Promise]:
        """What result.json promises: the model with its tokenizer, the history, the predictions."""
        files = [path for path in sorted(self.model.iterdir()) if path != self.card]  # which people edit
        return {
            path.relative_to(self.path).as_posix(): Promise(**checksum(path)) for path in (*files, self.history, self.predictions)
        }

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder; the lock of a process that has died holds nobody.

        Raises:
            Held: If another process is at this very run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / _LOCK, timeout=_PATIENCE, poll_interval=0.05)
        try:
            lock.acquire()
        except Timeout:
            raise Held(f"another process is working on {self.path}: wait for it, or change the run") from None
        try:
            yield
        finally:
            lock.release()

    def busy(self) -> bool:
        """Whether a process is at this run now."""
        return is_held(self.path / _LOCK)

    def note(self, **what: Any) -> None:
        """Write down for `prune status` what the history does not say.

        Args:
            what: `steps` in all and `primary_metric`, or the `problems` of a run that failed.
        """
        write_text(self.status, json.dumps({**self.noted(), **what}))

    def noted(self) -> dict[str, Any]:
        """What was noted, of a run that has begun since; empty where nothing was."""
        try:
            noted = from_json(self.status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def begin(self, config_yaml: str, *, anew: bool) -> None:
        """Write down the configuration. What an unfinished run left stays, for this one to go on from.

        Args:
            anew: Throw away all that is there.
        """
        self.result.unlink(missing_ok=True)  # first: a half-removed run must not look finished
        self.status.unlink(missing_ok=True)
        sync(self.path)
        if anew:
            self.clear_checkpoints()  # next: what is to be redone must not be gone on from
            for path in self.path.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != _LOCK:
                    path.unlink()
        write_text(self.config, config_yaml)
        sync(self.path.parent)

    @contextlib.contextmanager
    def logged(self, console: Console, rank: int = 0) -> Iterator[None]:
        """Write what the package logs into run.log and onto the screen; tracebacks into run.log alone.

        Args:
            rank: Of the process. All but the first are silent, and write of their failure alone, into a log of their own.
        """
        path = self.log if rank == 0 else self.log.with_stem(f"{self.log.stem}-{rank}")
        in_file = _Log(path, encoding="utf-8", delay=rank > 0)
        in_file.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
        on_screen = _screen_handler(console) if rank == 0 else logging.NullHandler()
        if rank > 0:
            in_file.setLevel(logging.ERROR)
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
            if rank == 0:
                self._note_failure(error.problems)
            with contextlib.suppress(OSError):  # a full disk, most likely, which is what is about to be told
                in_file.handle(logger.makeRecord(logger.name, logging.ERROR, __file__, 0, str(error), (), None))
            raise
        except Exception as error:
            with contextlib.suppress(OSError):  # as above
                logger.exception("the run failed")
            if rank == 0:
                self._note_failure([f"{type(error).__name__}: {error}"])
            error.add_note(f"The traceback is in {path}.")
            raise
        finally:
            for handler in (in_file, on_screen):
                logger.removeHandler(handler)
            with contextlib.suppress(OSError):
                in_file.close()
            logger.setLevel(level)
            logger.propagate = propagate

    def _note_failure(self, problems: Sequence[str]) -> None:
        with contextlib.suppress(OSError):
            self.note(problems=redact([*problems]))

    def finish(self, result: Result) -> None:
        """Write result.json: the run has finished."""
        write_text(self.result, result.text())

    def remove(self) -> None:
        """Remove the whole folder; a log that is open goes with it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def clear_checkpoints(self) -> None:
        """Remove the checkpoints; once result.json is on the disk, nothing goes on from them."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


class _Formatter(logging.Formatter):
    """Lines without secrets, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """What is written."""
        return redact(super().format(record))


class _Log(logging.FileHandler):
    """A log whose disk being full is the run's failure, told once, and not a traceback of the logger's."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Let the error through; called while it is handled."""
        raise


def _screen_handler(console: Console) -> logging.Handler:
    """What shows the log on a terminal, in colour; elsewhere a line each, which nothing wraps."""
    if console.is_terminal or console.quiet:
        shown = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%X")
        shown.setFormatter(_Formatter())
        return shown
    handler = logging.StreamHandler(console.file)
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%X"))
    return handler
