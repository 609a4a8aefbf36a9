"""Trackers at arm's length: whatever their libraries do, the run goes on."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any, final

from prune_cli.redaction import redact
from prune_cli.tracking.base import RunSummary, TrackedRun, Tracker

logger = logging.getLogger(__name__)

_GRACE = 2.0
"""Seconds for the worker thread to end once its library has been made to give up."""


@final
class _Finish:
    """The last item of the queue."""

    def __init__(self, summary: RunSummary | None) -> None:
        self.summary = summary


@final
class Isolated:
    """A tracker, all of whose calls happen on one daemon thread that is fed by a queue, so that training never waits for it.

    The start and the end wait for that thread, up to a timeout. Failures are told once, as a warning, and never raised.
    """

    def __init__(self, tracker: Tracker, name: str, run: TrackedRun) -> None:
        """Take what is to be followed; nothing of the library is touched before `start`."""
        self._tracker = tracker
        self._name = name
        self._run = run
        self._timeout = run.timeout
        self._queue: queue.SimpleQueue[Mapping[str, Any] | _Finish] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._start_is_over = threading.Event()
        """The start has succeeded or failed."""
        self._failed = threading.Event()
        """Something went wrong, the user has been told, and nothing more is logged."""
        self._abandoned = threading.Event()
        """The worker thread hangs; should it ever wake up, its library may belong to another job by then."""
        self._location: str | None = None

    def start(self) -> str | None:
        """Start the tracker, waiting at most the timeout.

        Returns:
            Where the run can be seen; None if the library is switched off or failed.
        """
        self._thread.start()
        try:
            self._start_is_over.wait(self._timeout)
        finally:  # also when Ctrl-C ends the wait
            if not self._start_is_over.is_set():
                self._abandon(f"it did not start within {self._timeout:g} s")
        atexit.register(self.finish, None)  # runs before the library's own hook, which may wait without limit
        return None if self._failed.is_set() else self._location

    def log(self, record: Mapping[str, Any]) -> None:
        """Queue one line of the history; returns at once."""
        if not self._failed.is_set():
            self._queue.put(dict(record))

    def finish(self, summary: RunSummary | None) -> None:
        """End the tracker, waiting at most the timeout; does nothing if it has ended or never started."""
        atexit.unregister(self.finish)
        if self._abandoned.is_set() or not self._thread.is_alive():
            return
        self._queue.put(_Finish(summary))
        try:
            self._thread.join(self._timeout)
        finally:
            if self._thread.is_alive():
                self._abandon(f"it did not finish within {self._timeout:g} s")

    def _abandon(self, problem: str) -> None:
        self._fail(problem)
        if self._tracker.abandon():
            self._thread.join(_GRACE)  # what waited for the library gives up now, and cleans up
        self._abandoned.set()

    def _fail(self, problem: str) -> None:
        if self._failed.is_set():
            return
        self._failed.set()
        logger.warning(
            "%s was left behind: %s. Nothing else is affected: the files in %s hold everything, from which `prune sync` can"
            " fill in W&B.",
            self._name,
            problem,
            self._run.folder,
        )

    def _work(self) -> None:
        """What the worker thread does."""
        try:
            location = self._tracker.start(self._run)
            if location is not None and not self._failed.is_set():
                self._location = location
                self._start_is_over.set()
                self._serve()
        except Exception as error:  # noqa: BLE001  # whatever the library raises, the run goes on
            self._fail(redact(f"{type(error).__name__}: {error}"))
        finally:
            self._start_is_over.set()
            if not self._abandoned.is_set():
                self._close()

    def _close(self) -> None:
        try:
            self._tracker.close(failed=self._failed.is_set())
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(redact(f"{type(error).__name__}: {error}"))

    def _serve(self) -> None:
        for record in self._run.earlier:
            self._tracker.log(record)
        while not isinstance(item := self._queue.get(), _Finish):
            self._tracker.log(item)
        self._tracker.finish(item.summary)
