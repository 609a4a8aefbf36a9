"""Weights & Biases: online where logged in, offline otherwise."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import psutil

from prune_cli.files import write_text
from prune_cli.redaction import redact
from prune_cli.tracking.base import RunSummary, TrackedRun
from prune_cli.tracking.rows import METRIC, STEP_METRICS, history_row

if TYPE_CHECKING:
    from wandb import Run, Settings

logger = logging.getLogger(__name__)

_ONLINE_SHARE = 0.5
"""Part of the timeout that an online start may take; the rest is for starting offline instead."""
_UPLOAD_SHARE = 0.8
"""Part of the timeout that the last uploads may take; the rest is for winding up."""
HISTORY = "history.jsonl"
LEFT_BEHIND = "wandb/left-behind.json"
"""In a run folder: what W&B was to follow, and has not, or not all of."""
_SWEEP = "WANDB_SWEEP_ID"
"""What an agent of a W&B sweep sets."""
_LONGEST_TAG = 64
_LONGEST_GROUP = 128
"""Characters that W&B accepts."""


@final
@dataclass
class Wandb:
    """One W&B run for one job.

    It starts a W&B service of its own and ends it, so that jobs that follow each other in one process stay apart. A W&B
    run that somebody else keeps open in the same process would be finished with it. W&B waits for its service without limit
    when Python exits, so one that hangs is killed. Where W&B was given up, `LEFT_BEHIND` says what it was to follow, for
    `prune sync`.
    """

    _latest: ClassVar[Wandb | None] = None
    """Whose W&B's one service is."""

    def __post_init__(self) -> None:
        self._run: Run | None = None
        self._tracked: TrackedRun | None = None
        self._rows = 0
        self._given_up = False

    def problems(self) -> Iterator[str]:
        """A login in its address, which W&B itself would write into files of the run."""
        if re.search(r"://[^/\s]*@", os.environ.get("WANDB_BASE_URL", "")):
            yield (
                "WANDB_BASE_URL holds a login, which W&B writes into its log files: leave it out there, and give WANDB_API_KEY"
                " or call `wandb login`"
            )

    def start(self, run: TrackedRun) -> str | None:
        """Start, or go on with, the W&B run of this id; its folder is `wandb` in that of the run.

        Returns:
            A URL, or the folder of an offline run; None where W&B is disabled.
        """
        self._tracked, self._rows, self._given_up = run, 0, False
        self._left_behind.unlink(missing_ok=True)
        self._run = self._open(run)
        if self._run is None:
            return None
        if self._given_up:
            self._let_go(self._run)
            return None
        self._run.define_metric("step", hidden=True)
        for name, axis in STEP_METRICS.items():
            self._run.define_metric(name, step_metric=axis)
        return self._run.settings.sync_dir if self._run.offline else self._run.url

    def log(self, record: Mapping[str, Any]) -> None:
        """Log a record, unless W&B has it from before the run was interrupted: the same run makes the same rows again.

        Offline it has none, since what a killed process had logged may not have reached its file.
        """
        assert self._run is not None and self._tracked is not None
        self._rows += 1
        if self._rows > self._run.starting_step:
            # Under one name for every task, also in the summary at the end: what a W&B sweep optimizes, and stops early by
            metric = record.get(f"eval_{self._tracked.primary_metric}")
            self._run.log({**history_row(record), **({} if metric is None else {METRIC: metric})})

    def finish(self, summary: RunSummary | None) -> None:
        """Log the tables and the summary; without an end W&B marks the run as failed."""
        import wandb

        assert self._run is not None and self._tracked is not None
        if summary is None:
            self._run.finish(exit_code=1)
            return
        for name, table in summary.tables.items():
            columns: list[str | int] = [*table.columns]
            self._run.log({name: wandb.Table(columns=columns, data=[*map(list, table.rows)])})
        self._run.summary.update(dict(summary.values))
        if summary.pictures:
            self._run.log({f"figures/{picture.stem}": wandb.Image(str(picture)) for picture in summary.pictures})
        if self._tracked.artifacts:
            for kind in ("model", "figures"):
                artifact = wandb.Artifact(f"{self._tracked.name}-{kind}", type=kind)
                artifact.add_dir(str(self._tracked.folder / kind))
                self._run.log_artifact(artifact)
        self._run.finish(exit_code=0)

    def close(self, *, failed: bool) -> None:
        """End the service."""
        _end_service(exit_code=int(failed))
        if failed:
            self._note()

    def abandon(self) -> bool:
        """Kill the service; what waits for it then returns."""
        self._given_up = True
        self._note()
        return _kill_service()

    def _let_go(self, opened: Run) -> None:
        """End a run whose start ended after everybody had gone on; a later job may have a run at the same service."""
        if Wandb._latest is self:
            _end_service(exit_code=1)
        else:
            opened.finish(exit_code=1)

    @property
    def _left_behind(self) -> Path:
        assert self._tracked is not None
        return self._tracked.folder / LEFT_BEHIND

    def _note(self) -> None:
        """Write down what W&B has not, or not all of."""
        run = self._tracked
        if run is None or not (run.folder / HISTORY).is_file():
            return
        values = {name: value for name, value in vars(run).items() if name not in ("folder", "earlier", "anew")}
        with contextlib.suppress(OSError):  # a full disk, most likely, of which the run itself tells
            self._left_behind.parent.mkdir(exist_ok=True)
            write_text(self._left_behind, json.dumps(values, default=str))

    def _open(self, run: TrackedRun) -> Run | None:
        import wandb
        from wandb.sdk import wandb_run

        if self._given_up:
            return None
        Wandb._latest = self
        # Its hooks ask the service when any thread imports, say, scikit-learn: without them a dead one fails no import.
        wandb_run.__dict__["register_post_import_hook"] = lambda *_: None
        # W&B reports its own errors to its makers when Python exits, and tries for half a minute if it cannot.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        _end_service(exit_code=1)  # one that an earlier job had to abandon
        mode = _set_up().mode
        if mode == "disabled":
            return None
        if mode in ("online", "run"):
            try:
                if wandb.login(prompt=False, verify=False):
                    return _init(run, "online")
            except Exception as error:
                if self._given_up:
                    raise
                logger.warning(
                    "No online W&B run, so this one is logged offline; `prune sync` can send it later. %s",
                    redact(str(error)),
                )
                _end_service(exit_code=1)
        return _init(run, "shared" if mode == "shared" else "offline")


def _init(run: TrackedRun, mode: Literal["online", "offline", "shared"]) -> Run:
    import wandb

    _set_up()
    in_sweep = _SWEEP in os.environ
    settings = wandb.Settings(
        silent=True,
        console="off",  # a captured print would wait for the service
        init_timeout=run.timeout * _ONLINE_SHARE,
        finish_timeout=run.timeout * _UPLOAD_SHARE,
        finish_timeout_raises=True,
        x_disable_meta=redact(sys.argv) != sys.argv,  # the metadata hold the command line
    )
    return wandb.init(
        mode=mode,
        config=dict(run.config),
        settings=settings,
        dir=str(run.folder),
        id=None if in_sweep else run.run_id,  # an agent has given the run the id by which its sweep knows it
        resume=None if run.anew or in_sweep else "allow",
        name=run.name,
        project=run.project,
        entity=run.entity,
        group=None if run.group is None else run.group[:_LONGEST_GROUP],
        tags=[tag[:_LONGEST_TAG] for tag in run.tags if tag],
        job_type=run.job_type,
        reinit="create_new",  # never the run that an earlier job left open
    )


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
    """Kill W&B's service process if this process started it.

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
