"""Signals as a request to stop at the next clean moment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import final

from prune_cli.errors import Stopped

log = logging.getLogger(__name__)

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Ctrl-C; `kill` and most batch systems; a terminal that is closed; SLURM's `--signal=USR1@60`."""
_REQUEUE = "SIGUSR2"
"""What submitit sends before a time limit or at a preemption, and handles by putting the job back into the queue."""


@final
class StopRequest:
    """Whether a signal asked the run to stop.

    Before training the first signal stops at once, as nothing can be lost. While `put_off` holds, the first is a request,
    which training answers with a checkpoint and an ending run by ending; a second one, unless it is a hang-up, stops at once.

    SIGUSR2 asks too where somebody handles it: the run stops first, then the signal is theirs.
    """

    def __init__(self, *, shared: bool = False) -> None:
        """Wait for signals.

        Args:
            shared: Whether several processes stop together, each of which is asked once all have agreed.
        """
        self._signal: int | None = None
        self._shared, self._agreed = shared, False
        self._putting_off = False
        self._terminals: list[int] = []

    @property
    def requested(self) -> bool:
        """Whether one has come, and all processes know."""
        return self._agreed if self._shared else self._signal is not None

    @property
    def signal(self) -> int:
        """The number of the one that has come to this process; 0 for none."""
        return self._signal or 0

    def agree(self, signals: Sequence[int]) -> None:
        """Stop as this process, or another one, was asked to.

        Args:
            signals: Of each process, as `signal` tells it.
        """
        asked = [number for number in signals if number]
        self._agreed = bool(asked)
        if asked and self._signal is None:
            self._signal = asked[0]

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for the signals; those that are ignored, as SIGHUP is under nohup, stay so.

        Raises:
            BaseException: At the end, what another handler of SIGUSR2 raises, if that is what stopped the run.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows lacks two
        before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
        requeue = getattr(signal, _REQUEUE, None)
        if requeue is not None and callable(handler := signal.getsignal(requeue)):
            before[requeue] = handler
        self._terminals = _terminals()
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._signal is not None and self._signal == requeue:
                signal.raise_signal(self._signal)

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Let the first signal wait, until the caller asks or this ends.

        Raises:
            Stopped: At the end, if one has come.
        """
        self._putting_off = True
        try:
            yield
        finally:
            self._putting_off = False
        self.obey()

    def obey(self) -> None:
        """Stop if a signal has asked for it.

        Raises:
            Stopped: If so.
        """
        if self._signal is not None:
            raise Stopped(self._signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        hang_up = number == getattr(signal, "SIGHUP", None)
        if hang_up:
            _leave(self._terminals)
        if self._putting_off and self._signal is not None and hang_up:
            return  # the shell and the kernel each send one, and systemd one behind SIGTERM: nobody insists
        first, self._signal = self._signal is None, number
        if not (first and self._putting_off):
            raise Stopped(number)
        log.warning("Stopping: a checkpoint is written at the next selection. Once more to stop at once.")


def _terminals() -> list[int]:
    """Descriptors of what is written to a terminal; one that has been closed would not say so any more."""
    signals: list[int] = []
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed and stream.isatty():
            signals.append(stream.fileno())
    return signals


def _leave(terminals: list[int]) -> None:
    """Write nowhere from now on instead of to a terminal that has been closed, which would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
