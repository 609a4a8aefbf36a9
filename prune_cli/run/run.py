"""One run, from a configuration to a pruned model: the page to read first.

    records, tokenizer, model -> pruner, teacher -> the loop -> saved model, pictures, result.json

The algorithm's step is `learn` of `training/loop.py`; what it asks of the engine is `pruning/pruner.py`; equation (1) is
`pruning/criteria/pins.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from omegaconf import OmegaConf
from rich.console import Console

from prune_cli import models
from prune_cli.artifacts.history import History
from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.identity import Contents, contents, identity, run_name
from prune_cli.errors import UserError
from prune_cli.redaction import redact
from prune_cli.run.assembly import assembled, training_for
from prune_cli.run.finish import finish
from prune_cli.run.prepare import prepared
from prune_cli.tracking.base import RunSummary, TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.training.checkpoints import Checkpoints, latest_checkpoint, newest_step
from prune_cli.training.endings import BestWeights
from prune_cli.training.interrupt import StopRequest
from prune_cli.training.loop import learn
from prune_cli.training.progress import TrainingProgress

if TYPE_CHECKING:
    from prune_cli.config.run_config import RunConfig

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "done", or "skipped" where the same configuration had finished before.
    """

    folder: Path
    status: Literal["done", "skipped"]
    result: Result


def run(config: RunConfig, console: Console) -> Outcome:
    """Prune a model while fine-tuning it, or go on where an interrupted run of the same configuration stopped.

    Raises:
        UserError: If a record, the model, or something else of the user's cannot be used.
        Stopped: If a signal asked the run to stop; its folder can be resumed.
    """
    run_contents = contents(config)
    run_id = identity(config, run_contents)
    folder = RunFolder(config.output_dir / run_name(config, run_id))
    folder.check()
    if not config.overwrite and folder.unfinished_reason() is None:
        return _skipped(folder, run_id)
    stop = StopRequest()
    new = not folder.path.exists()
    with stop.listening(), folder.held():
        broken = folder.unfinished_reason() if folder.result.exists() else None
        finished = folder.result.exists() and broken is None
        if finished and not config.overwrite:  # by another process in the meantime
            return _skipped(folder, run_id)
        folder.begin(OmegaConf.to_yaml(OmegaConf.create(redact(dict(config.resolved)))), anew=finished)
        try:
            with folder.logged(console):
                if broken is not None:
                    log.warning("%s", broken)
                return _run(config, run_contents, run_id, folder, stop, console, anew=finished)
        except UserError:
            if new and not folder.history.exists():  # nothing has begun that could be gone on with
                folder.remove()
            raise
        except KeyboardInterrupt as stopped:  # for whoever tells of it
            step = newest_step(folder.checkpoints)
            stopped.add_note(
                "The same command begins again: there was no checkpoint yet."
                if step is None
                else f"The same command goes on from the checkpoint of step {step:,}."
            )
            raise


def _skipped(folder: RunFolder, run_id: str) -> Outcome:
    result = folder.read_result_of(run_id)
    folder.clear_checkpoints()  # of a run that was killed between its last two acts
    return Outcome(folder.path, "skipped", result)


def _run(
    config: RunConfig,
    run_contents: Contents,
    run_id: str,
    folder: RunFolder,
    stop: StopRequest,
    console: Console,
    *,
    anew: bool,
) -> Outcome:
    models.silence()
    data = prepared(config, run_contents)
    steps, metric = data.plan.steps, data.task.primary_metric
    folder.note(steps=steps, primary_metric=metric)
    log.info("%s: %d training records, %d steps; folder %s", folder.path.name, len(data.train), steps, folder.path)

    checkpoint = latest_checkpoint(folder.checkpoints, run_id)
    if checkpoint is not None:
        log.info("going on from %s in %s", checkpoint.path, checkpoint.state["precision"])
    parts = assembled(config, data, None if checkpoint is None else checkpoint.state["precision"])
    history = History(folder.history)
    history.begin(None if checkpoint is None else checkpoint.history)

    progress = TrainingProgress(console, total_steps=steps, primary_metric=metric)
    for record in history.records:
        progress(record)
    trackers = _trackers(config, run_id, folder, tuple(history.records), anew=anew)
    best = BestWeights(parts.learning.pruner) if config.trainer.keep == "best" else None
    checkpoints = Checkpoints(folder.checkpoints, keep=config.trainer.keep_checkpoints, run_id=run_id, history=history, best=best)
    training = training_for(config, data, parts, checkpoints, stop, progress, [tracker.log for tracker in trackers])
    last: RunSummary | None = None
    try:
        with stop.put_off():
            training.begin(checkpoint)
            with progress.showing():
                learn(training.learning, training.progress, training.due, training.acts, training.stepped)
                training.end()
            if not training.finished:
                stop.obey()  # it stopped with a checkpoint
            finished, picked = finish(config, run_contents, run_id, folder, training, data.tokenizer)
            folder.finish(finished)
            folder.clear_checkpoints()
            pictures = sorted(folder.figures.glob("*.png")) if config.tracking.artifacts else ()
            last = run_summary(finished, picked, pictures)
    finally:
        for tracker in trackers:
            tracker.finish(last)
    return Outcome(folder.path, "done", finished)


def _trackers(
    config: RunConfig, run_id: str, folder: RunFolder, earlier: Sequence[Mapping[str, Any]], *, anew: bool
) -> list[Isolated]:
    choices, tracking = config.choices, config.tracking
    tracked = TrackedRun(
        folder=folder.path,
        run_id=run_id,
        name=folder.path.name,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or f"{choices['task']}-{choices['model']}",
        tags=[choices["task"], choices["model"], choices["criterion"], f"sparsity-{config.sparsity:g}", *tracking.tags],
        job_type="prune" if config.sparsity > 0 else "dense",
        primary_metric=config.task.primary_metric,
        config=redact(config.resolved),
        timeout=tracking.timeout,
        anew=anew,
        earlier=earlier,
        artifacts=tracking.artifacts,
    )
    trackers = [Isolated(tracker, name, tracked) for name, tracker in config.trackers.items()]
    for name, tracker in zip(config.trackers, trackers, strict=True):
        if (place := tracker.start()) is not None:
            log.info("%s: %s", name, place)
    return trackers
