"""Weights & Biases beside the local history, at arm's length: whatever it does, the run goes on."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import psutil

from prune_cli.tracking.secrets import redact
from prune_cli.tracking.wandb_records import (
    LAYER_COLUMNS,
    STEP_METRICS,
    history_row,
    layer_rows,
    sample_rows,
    summary,
)

if TYPE_CHECKING:
    from wandb import Run, Settings

logger = logging.getLogger(__name__)

_ONLINE_SHARE = 0.5
"""Part of the timeout that an online start may take; the rest is for starting offline instead."""
_UPLOAD_SHARE = 0.8
"""Part of the timeout that the last uploads may take; the rest is for winding up."""
_GRACE = 2.0
"""Seconds for the worker thread to end once its service has been killed."""
_LONGEST_TAG = 64
_LONGEST_GROUP = 128
"""Characters that W&B accepts."""


@final
class _Finish:
    """The last item of the queue."""

    def __init__(self, result: Mapping[str, Any] | None, samples: Sequence[Mapping[str, Any]]) -> None:
        self.result = result
        self.samples = samples


@final
class WandbTracker:
    """One W&B run for one job: online where logged in, offline otherwise.

    Every call into W&B happens on one daemon thread that is fed by a queue, so that training never waits for it. The
    start and the end wait for that thread, up to a timeout; then its service process is killed, because W&B waits for
    that process without limit when Python exits. Failures are told once, as a warning, and never raised.

    A tracker starts a W&B service of its own and ends it, so that jobs that follow each other in one process stay
    apart. A W&B run that somebody else keeps open in the same process would be finished with it.
    """

    def __init__(
        self,
        *,
        folder: Path,
        run_id: str,
        name: str,
        project: str,
        entity: str | None,
        group: str | None,
        tags: Sequence[str],
        job_type: str,
        config: Mapping[str, Any],
        timeout: float,
        anew: bool = False,
        earlier: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Take what the run is called; nothing of W&B is touched before `start`.

        Args:
            folder: Existing folder of the run; W&B writes into its subfolder `wandb`.
            run_id: Hash of the configuration; a restarted run goes on under the same id.
            name: Name on the W&B page.
            project: W&B project.
            entity: W&B user or team, None for the default of the login.
            group: W&B group, None for none.
            tags: W&B tags.
            job_type: W&B job type.
            config: The resolved configuration, plain dicts and lists; secrets are hidden here.
            timeout: Seconds that the start may take, and the end, > 0.
            anew: Replace the W&B run of this id, because the run itself is made anew.
            earlier: Records of the history from before the run was interrupted. W&B is given those that it lacks: offline
                all of them, since what a killed process had logged may not have reached its file.
        """
        self._folder = folder
        self._timeout = timeout
        self._config = redact(config)
        self._init_arguments: dict[str, Any] = {
            "dir": str(folder),
            "id": run_id,
            "resume": None if anew else "allow",
            "name": name,
            "project": project,
            "entity": entity,
            "group": None if group is None else group[:_LONGEST_GROUP],
            "tags": [tag[:_LONGEST_TAG] for tag in tags if tag],
            "job_type": job_type,
            "reinit": "create_new",  # never the run that an earlier job left open
        }
        self._earlier = tuple(earlier)
        self._rows = 0
        self._queue: queue.SimpleQueue[Mapping[str, Any] | _Finish] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="wandb-tracker", daemon=True)
        self._start_is_over = threading.Event()
        """The start has succeeded or failed."""
        self._failed = threading.Event()
        """Something went wrong, the user has been told, and nothing more is logged."""
        self._abandoned = threading.Event()
        """The worker thread hangs; should it ever wake up, W&B may belong to another job by then."""
        self._location: str | None = None

    def start(self) -> str | None:
        """Start the W&B run, waiting at most the timeout.

        Returns:
            Where the run can be seen: a URL, or the folder of an offline run. None if W&B is disabled or failed.
        """
        self._thread.start()
        try:
            self._start_is_over.wait(self._timeout)
        finally:  # also when Ctrl-C ends the wait
            if not self._start_is_over.is_set():
                self._abandon(f"it did not start within {self._timeout:g} s")
        atexit.register(self.finish, None)  # runs before W&B's own hook, which would wait without limit
        return None if self._failed.is_set() else self._location

    def log(self, record: Mapping[str, Any]) -> None:
        """Queue one line of the history; returns at once."""
        if not self._failed.is_set():
            self._queue.put(dict(record))

    def finish(self, result: Mapping[str, Any] | None, samples: Sequence[Mapping[str, Any]] = ()) -> None:
        """End the W&B run, waiting at most the timeout; does nothing if it has ended or never started.

        Args:
            result: Content of result.json, or None if the run failed or was interrupted: W&B marks it as failed.
            samples: Some records with their predictions, for a table.
        """
        atexit.unregister(self.finish)
        if self._abandoned.is_set() or not self._thread.is_alive():
            return
        self._queue.put(_Finish(result, samples))
        try:
            self._thread.join(self._timeout)
        finally:
            if self._thread.is_alive():
                self._abandon(f"it did not finish within {self._timeout:g} s")

    def _abandon(self, problem: str) -> None:
        self._fail(problem)
        if _kill_service():
            self._thread.join(_GRACE)  # what waited for the service gives up now, and cleans up
        self._abandoned.set()

    def _fail(self, problem: str) -> None:
        if self._failed.is_set():
            return
        self._failed.set()
        logger.warning(
            "W&B was left behind: %s. The run itself is not affected: its history.jsonl and result.json in %s hold "
            "everything; `wandb sync` can send what W&B wrote into the folder wandb there.",
            problem,
            self._folder,
        )

    # From here on: the worker thread.

    def _work(self) -> None:
        try:
            run = self._open()
            if run is not None and not self._failed.is_set():
                self._location = run.settings.sync_dir if run.offline else run.url
                self._start_is_over.set()
                self._serve(run)
        except Exception as error:  # noqa: BLE001  # whatever W&B raises, the run goes on
            self._fail(redact(f"{type(error).__name__}: {error}"))
        finally:
            self._start_is_over.set()
            if not self._abandoned.is_set():
                _end_service(exit_code=int(self._failed.is_set()))

    def _open(self) -> Run | None:
        import wandb

        # W&B reports its own errors to its makers when Python exits, and tries for half a minute if it cannot.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        _end_service(exit_code=1)  # one that an earlier job had to abandon
        mode = _set_up().mode
        if mode == "disabled":
            return None
        if mode in ("online", "run"):
            try:
                if wandb.login(prompt=False, verify=False):
                    return self._init("online")
            except Exception as error:
                if self._failed.is_set():
                    raise
                logger.warning(
                    "No online W&B run, so this one is logged offline; `wandb sync` can send it later. %s",
                    redact(str(error)),
                )
                _end_service(exit_code=1)
        return self._init("shared" if mode == "shared" else "offline")

    def _init(self, mode: Literal["online", "offline", "shared"]) -> Run:
        import wandb

        _set_up()
        settings = wandb.Settings(
            silent=True,
            console="off",  # a captured print would wait for the service
            init_timeout=self._timeout * _ONLINE_SHARE,
            finish_timeout=self._timeout * _UPLOAD_SHARE,
            finish_timeout_raises=True,
            x_disable_meta=redact(sys.argv) != sys.argv,  # the metadata hold the command line
        )
        return wandb.init(mode=mode, config=self._config, settings=settings, **self._init_arguments)

    def _serve(self, run: Run) -> None:
        import wandb

        run.define_metric("step", hidden=True)
        for name, axis in STEP_METRICS.items():
            run.define_metric(name, step_metric=axis)
        for record in self._earlier:
            self._log_row(run, record)
        while not isinstance(item := self._queue.get(), _Finish):
            self._log_row(run, item)
        if item.result is None:
            run.finish(exit_code=1)
            return
        run.log({"layers": wandb.Table(columns=[*LAYER_COLUMNS], data=[*layer_rows(item.result)])})
        if item.samples:
            columns: list[str | int] = [*item.samples[0]]
            run.log({"samples": wandb.Table(columns=columns, data=[*sample_rows(item.samples)])})
        run.summary.update(summary(item.result))
        run.finish(exit_code=0)

    def _log_row(self, run: Run, record: Mapping[str, Any]) -> None:
        """Log a record, unless W&B has it from before the run was interrupted: the same run makes the same rows again."""
        self._rows += 1
        if self._rows > run.starting_step:
            run.log(history_row(record))


def _set_up() -> Settings:
    """Start W&B's service with the settings of its files and environment, silent: its messages tear a progress bar."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings


def _end_service(exit_code: int) -> None:
    """Finish what W&B has open in this process and end its service; waits for it."""
    try:
        import wandb

        wandb.teardown(exit_code=exit_code)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # it exits with the service's own code
        logger.debug("W&B's service ended badly: %r", error)


def _kill_service() -> bool:
    """Kill W&B's service process if this process started it; what waits for it then returns.

    Returns:
        Whether there was one.
    """
    killed = False
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has just ended by itself
            if child.name() == "wandb-core":
                child.kill()
                killed = True
    return killed
