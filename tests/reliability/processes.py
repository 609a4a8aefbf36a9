"""Work in processes that a signal interrupts: at a time, or at a change that they make to a file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from tests.reliability.power import CHANGES

LONGEST = 300  # seconds, for what should end by itself


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: Its exit code; of one that a signal ended, minus the signal's number.
        seconds: Since its work began.
        changes: How often it changed a file; 0 if it was killed.
        told: What it wrote on the screen.
    """

    code: int
    seconds: float
    changes: int
    told: str


@dataclass
class Tally:
    """What became of interrupted work.

    Attributes:
        counts: What happened how often.
        differences: What ended otherwise than without an interruption, a line each.
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def _start(work: Callable[[], Any], begun: Event, number: int, change: int | None, changes: Path, told: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if opened or event in CHANGES:
            seen += 1
            if seen == change:
                os.kill(os.getpid(), number)

    sys.addaudithook(watch)
    begun.set()
    try:
        work()
    finally:  # a command leaves by SystemExit
        changes.write_text(str(seen))


class Launcher:
    """Starts work in processes that are forked from one in which everything is imported."""

    def __init__(self, folder: Path, imported: str) -> None:
        """Make it.

        Args:
            folder: A folder for its own notes.
            imported: The module that holds the work.
        """
        self.changes, self.told = folder / "changes", folder / "told"
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([imported])

    def launch(
        self,
        work: Callable[[], Any],
        *,
        number: int = signal.SIGKILL,
        seconds: float | None = None,
        change: int | None = None,
    ) -> Ended:
        """Do some work, perhaps until a signal.

        Args:
            work: A function that can be pickled.
            number: The signal.
            seconds: When it comes, after the work began; None for never.
            change: The change of a file, counted from 1, at which it comes; None for never.
        """
        begun = self.context.Event()
        self.changes.unlink(missing_ok=True)
        process = self.context.Process(target=_start, args=(work, begun, number, change, self.changes, self.told))
        process.start()
        assert process.pid is not None
        begun.wait(120)
        began = time.monotonic()
        process.join(seconds)
        if process.is_alive():
            os.kill(process.pid, number)
        process.join(LONGEST)
        if process.is_alive():
            process.kill()
            process.join()
        assert process.exitcode is not None
        count = int(self.changes.read_text()) if self.changes.exists() else 0
        return Ended(process.exitcode, time.monotonic() - began, count, self.told.read_text(errors="replace"))
