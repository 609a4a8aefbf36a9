"""Ctrl-C in commands, whatever the libraries that it meets make of it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from prune_cli.console.failures import INTERRUPTED
from prune_cli.console.handing import handed_over
from prune_cli.console.printer import printer
from prune_cli.errors import Stopped
from prune_cli.launched import rank

_came: list[int] = []
"""The signals that came in this command."""


def _note(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    signal.default_int_handler(number, frame)


@contextlib.contextmanager
def noting_interrupts() -> Iterator[None]:
    """Note each Ctrl-C, which raises KeyboardInterrupt as ever."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # somebody ignores it, or handles it already
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _came.clear()


def interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind what ended a command: DuckDB makes a RuntimeError of it, PyTorch's exporter a TypeError."""
    return isinstance(error, KeyboardInterrupt) or bool(_came)


def tell(stop: BaseException) -> None:
    """Print that a command was stopped, and what there is to go on from, which the run has noted."""
    note = getattr(stop, "__notes__", ["The same command begins again."])[-1]
    if not handed_over([note], exit_code(stop), "stopped") and rank() == 0:
        printer(stderr=True).print(f"Stopped. {note}", soft_wrap=True)


def exit_code(stop: BaseException) -> int:
    """The exit code of what was stopped, as shells have it."""
    return stop.exit_code if isinstance(stop, Stopped) else INTERRUPTED


@contextlib.contextmanager
def steps(first: str) -> Iterator[Callable[[str], None]]:
    """Show what a command is at, and stop it between two steps if a library swallowed a Ctrl-C.

    Yields:
        A function to be told each further step.
    """
    with printer(stderr=True).status(first) as status:

        def step(doing: str) -> None:
            if _came:
                raise KeyboardInterrupt
            status.update(doing)

        yield step
