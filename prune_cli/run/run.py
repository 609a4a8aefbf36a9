"""One run, from a configuration to a pruned model: the page to read first.

    records, tokenizer, model -> pruner, teacher -> the loop -> saved model, pictures, result.json

The algorithm's step is `learn` of `training/loop.py`; what it asks of the engine is `pruning/pruner.py`; equation (1) is
`pruning/criteria/pins.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
from prune_cli.run.finish import Left, finish
from prune_cli.run.prepare import prepared
from prune_cli.tracking.base import RunSummary, TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.training.checkpoints import Checkpoints, latest_checkpoint, newest_step
from prune_cli.training.endings import BestWeights
from prune_cli.training.interrupt import StopRequest
from prune_cli.training.loop import learn
from prune_cli.training.processes import Processes, together
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

    Where several processes were started for it, each of them calls this. The first one writes and tells; the others are silent.

    Raises:
        UserError: If a record, the model, or something else of the user's cannot be used.
        Stopped: If a signal asked the run to stop; its folder can be resumed.
        Lost: If another of its processes has ended.
    """
    with together(config.trainer.device) as processes:
        return _of_all(config, console, processes)


def _of_all(config: RunConfig, console: Console, processes: Processes) -> Outcome:
    run_contents = contents(config)
    run_id = identity(config, run_contents)
    folder = RunFolder(config.output_dir / run_name(config, run_id))
    stop = StopRequest(shared=processes.count > 1)

    def finished() -> bool:
        folder.check()
        return not config.overwrite and folder.unfinished_reason() is None

    if processes.first(finished):
        return _skipped(folder, run_id, processes)
    new = not folder.path.exists()
    with stop.listening(), folder.held() if processes.writes else nullcontext():
        anew, broken = processes.first(lambda: _begun(config, folder))
        if anew is None:
            return _skipped(folder, run_id, processes)
        try:
            with folder.logged(console, processes.rank):
                if broken is not None:
                    log.warning("%s", broken)
                return _run(config, run_contents, run_id, folder, stop, console, processes, anew=anew)
        except UserError:
            if new and processes.writes and not folder.history.exists():  # nothing has begun that could be gone on with
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


def _begun(config: RunConfig, folder: RunFolder) -> tuple[bool | None, str | None]:
    """Begin in a folder that is held.

    Returns:
        Whether all that was there is gone, None where another process has finished the run in the meantime; and what is broken
        of a result that was there.
    """
    broken = folder.unfinished_reason() if folder.result.exists() else None
    finished = folder.result.exists() and broken is None
    if finished and not config.overwrite:
        return None, None
    folder.begin(OmegaConf.to_yaml(OmegaConf.create(redact(dict(config.resolved)))), anew=finished)
    return finished, broken


def _skipped(folder: RunFolder, run_id: str, processes: Processes) -> Outcome:
    result = folder.read_result_of(run_id)
    if processes.writes:
        folder.clear_checkpoints()  # of a run that was killed between its last two acts
    return Outcome(folder.path, "skipped", result)


def _run(
    config: RunConfig,
    run_contents: Contents,
    run_id: str,
    folder: RunFolder,
    stop: StopRequest,
    console: Console,
    processes: Processes,
    *,
    anew: bool,
) -> Outcome:
    models.silence()
    with processes.in_turn():
        data = prepared(config, run_contents)
    steps, metric = data.plan.steps, data.task.primary_metric
    if processes.writes:
        folder.note(steps=steps, primary_metric=metric)
    log.info("%s: %d training records, %d steps; folder %s", folder.path.name, len(data.train), steps, folder.path)

    checkpoint = processes.first(lambda: latest_checkpoint(folder.checkpoints, run_id))
    if checkpoint is not None:
        log.info("going on from %s in %s", checkpoint.path, checkpoint.state["precision"])
        if not checkpoint.path.is_dir():
            raise UserError(f"{checkpoint.path} is not there: give an output_dir that all machines of the run share")
    parts = assembled(config, data, None if checkpoint is None else checkpoint.state["precision"], processes)
    history = History(folder.history, writes=processes.writes)
    history.begin(None if checkpoint is None else checkpoint.history)

    progress = TrainingProgress(console, total_steps=steps, primary_metric=metric)
    for record in history.records:
        progress(record)
    trackers = _trackers(config, run_id, folder, tuple(history.records), anew=anew) if processes.writes else []
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
            left = Left.of(training)

            def finished() -> tuple[Result, RunSummary]:
                result, picked = finish(config, run_contents, run_id, folder, training, data.tokenizer, left)
                folder.finish(result)
                folder.clear_checkpoints()
                pictures = sorted(folder.figures.glob("*.png")) if config.tracking.artifacts else ()
                return result, run_summary(result, picked, pictures)

            result, last = processes.first(finished)
    finally:
        for tracker in trackers:
            tracker.finish(last)
    return Outcome(folder.path, "done", result)


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
