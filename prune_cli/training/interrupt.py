"""Ctrl-C and termination as a request to stop at the next clean moment."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import final

log = logging.getLogger(__name__)


@final
class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        """Nobody has."""
        self.requested = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first SIGINT or SIGTERM as a request, the second as an order."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        log.warning("Stopping: a checkpoint is written at the next selection. Once more to stop at once.")
