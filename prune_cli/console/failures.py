"""How a failure is told: one message that a user can act on, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from prune_cli.console.handing import let_first_tell
from prune_cli.console.printer import printer
from prune_cli.errors import Diverged, Failed, Lost, UserError
from prune_cli.plain import shortened
from prune_cli.redaction import redact

USER = 2
"""Exit code where the user can mend it."""
PROGRAM = 1
"""Exit code of anything unforeseen."""
DIVERGED = 3
"""Exit code of a training that diverged."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What a disk says that is full, read-only, or somebody else's."""


_ELSEWHERE = "make room, or write elsewhere (output_dir=... of a run, --output of other commands)"
_FULL_DISK = ("No space left on device", "inline_container.cc", "PytorchStreamWriter failed")
"""What safetensors and torch.save say of a full disk; they hide what the system said."""


@dataclass(frozen=True)
class Failure:
    """What is told of an exception."""

    problems: tuple[str, ...]
    code: int


class Carried(BaseException):
    """Carries a failure through Hydra.

    Hydra catches every Exception of a job or a sweeper, prints it in its own way and exits with code 1. What is no Exception
    passes, as KeyboardInterrupt does, so that the failure reaches `main` with its traceback and gets our message and code.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@contextlib.contextmanager
def carrying() -> Iterator[None]:
    """Carry what is raised within through Hydra.

    Raises:
        Carried: If something is.
    """
    try:
        yield
    except Exception as error:
        raise Carried(error) from error


def traceback_wanted() -> bool:
    """Whether HYDRA_FULL_ERROR=1 asks for tracebacks, as Hydra has it."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def failure_of(error: BaseException) -> Failure:
    """Put an exception into words.

    Notes that were added to an unforeseen one are told too; a run says there where its log is. Secrets are hidden.
    """
    failure = _failure_of(error)
    return Failure(tuple(redact(failure.problems)), failure.code)


def _failure_of(error: BaseException) -> Failure:
    if isinstance(error, UserError):
        return Failure(error.problems, DIVERGED if isinstance(error, Diverged) else USER)
    if isinstance(error, Failed):
        return Failure(error.problems, error.exit_code)
    if isinstance(error, Lost):
        return Failure((str(error),), PROGRAM)
    for cause in _chain(error):
        message = None
        if isinstance(cause, OSError) and cause.errno == errno.ENAMETOOLONG:
            return Failure((f"{cause.strerror} ({shortened(str(cause.filename))}): give shorter names",), USER)
        if isinstance(cause, OSError) and cause.errno in _DISK:
            message = f"{cause.strerror} ({cause.filename})" if cause.filename else cause.strerror
        elif any(words in str(cause) for words in _FULL_DISK):
            message = f"A file could not be written, most likely for want of space ({cause})"
        if message:
            return Failure((f"{message}: {_ELSEWHERE}",), USER)
    last_line = (str(error).strip().splitlines() or [""])[-1]
    notes = getattr(error, "__notes__", [])
    unforeseen = f"{type(error).__name__}: {last_line}" if last_line else type(error).__name__
    return Failure(("\n".join([unforeseen, *notes, "HYDRA_FULL_ERROR=1 shows where it happened."]),), PROGRAM)


def show(failure: Failure, console: Console) -> None:
    """Print a failure."""
    several = len(failure.problems) > 1
    console.print(Text(f"{len(failure.problems)} things are wrong:" if several else "Error:", style="bold red"))
    for problem in failure.problems:
        console.print(Text(f"- {problem}" if several else problem), soft_wrap=True)


def show_of_rank(failure: Failure, rank: int) -> None:
    """Print a failure of one of a run's processes; of all but the first with its number."""
    if rank > 0:
        let_first_tell()
        failure = Failure(tuple(f"process {rank}: {problem}" for problem in failure.problems), failure.code)
    show(failure, printer(stderr=True))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
