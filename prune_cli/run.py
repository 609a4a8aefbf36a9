"""One run, from a configuration to a pruned model: the page to read first.

    records, tokenizer, model -> pruner, teacher -> training -> saved model, pictures, result.json

The algorithm's step is `training/loop.py`; what it asks of the engine is `pruning/pruner.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, final

import transformers
from omegaconf import OmegaConf
from rich.console import Console

from prune_cli import assembly, models
from prune_cli.artifacts.history import History
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.identity import Contents, contents, identity, run_name
from prune_cli.data.asking import asked_rows
from prune_cli.errors import UserError
from prune_cli.finish import finish
from prune_cli.labelling import with_extra
from prune_cli.tasks.cache import encoded
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import ending
from prune_cli.tracking.secrets import redact
from prune_cli.training.batches import Batches
from prune_cli.training.checkpoints import Checkpoints, latest_checkpoint, newest_step
from prune_cli.training.endings import BestWeights, Patience
from prune_cli.training.evaluation import Evaluation, EvaluationSet
from prune_cli.training.hardware import device_of, resolved_precision
from prune_cli.training.interrupt import StopRequest
from prune_cli.training.loop import Learning
from prune_cli.training.optimizer import LearningRate, adamw
from prune_cli.training.progress import TrainingProgress, evaluation_progress
from prune_cli.training.training import Training, recompute_activations

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Prediction, Task
    from prune_cli.training.evaluate import Evaluator

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 8  # of a prediction: bounds the memory that encoded records and outputs take


@final
@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: The run folder.
        status: "done", or "skipped" where the same configuration had finished before.
        result: Content of result.json.
    """

    folder: Path
    status: Literal["done", "skipped"]
    result: Mapping[str, Any]


def run(config: RunConfig, console: Console) -> Outcome:
    """Prune a model while fine-tuning it, or go on where an interrupted run of the same configuration stopped.

    Args:
        config: The run.
        console: Where progress is shown.

    Raises:
        UserError: If a record, the model, or something else of the user's cannot be used.
        Stopped: If a signal asked the run to stop; its folder can be resumed.
    """
    found = contents(config)
    run_id = identity(config, found)
    folder = RunFolder(config.output_dir / run_name(config, run_id))
    folder.check()
    if not config.overwrite and folder.doubt() is None:
        return _skipped(folder, run_id)
    stop = StopRequest()
    new = not folder.path.exists()
    with stop.listening(), folder.held():
        broken = folder.doubt() if folder.result.exists() else None
        finished = folder.result.exists() and broken is None
        if finished and not config.overwrite:  # by another process in the meantime
            return _skipped(folder, run_id)
        folder.begin(OmegaConf.to_yaml(OmegaConf.create(redact(dict(config.resolved)))), anew=finished)
        try:
            with folder.logged(console):
                if broken is not None:
                    log.warning("%s", broken)
                return _run(config, found, run_id, folder, stop, console, anew=finished)
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
    found: Contents,
    run_id: str,
    folder: RunFolder,
    stop: StopRequest,
    console: Console,
    *,
    anew: bool,
) -> Outcome:
    options = config.trainer
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    task, records = config.data.load(config.task)
    tokenizer = assembly.tokenizer_for(config, task, records["train"])
    assembly.check_teacher(config, task, tokenizer)
    learned = with_extra(config, found, task, records["train"], tokenizer)
    train = encoded(task, learned, tokenizer, training=True)
    plan = assembly.planned(config, len(train))
    steps = plan.steps
    evaluated_every = options.evaluated_every(steps)
    assembly.warn_of_records(task, records, train)
    assembly.warn_of_no_teacher(config, steps, evaluated_every)
    folder.note(steps=steps, primary_metric=task.primary_metric)
    log.info("%s: %d training records, %d steps; folder %s", folder.path.name, len(train), steps, folder.path)

    transformers.set_seed(config.seed)  # the head's first weights
    model = assembly.model_for(config, task, tokenizer, train)
    assembly.begin_at_mean(model, task, train)
    models.freeze(model, config.model.freeze)
    checkpoint = latest_checkpoint(folder.checkpoints, run_id)
    if checkpoint is None:
        precision = assembly.precision_for(config, model, task, tokenizer, train)
    else:
        precision = checkpoint.state["precision"]  # whatever `auto` means on this machine
    device = device_of(options.device)
    cast("nn.Module", model).to(device)  # before anything is made for its weights
    pruner = assembly.pruner_for(config, model, plan)
    evaluation = Evaluation(task, records, tokenizer)
    evaluator = options.evaluator(precision)
    teacher = assembly.teacher_for(config, task, model, evaluator, evaluation)

    history = History(folder.history)
    best = BestWeights(pruner) if options.keep == "best" else None
    patience = None if options.patience is None else Patience(history, task.primary_metric, options.patience)
    checkpoints = Checkpoints(
        folder.checkpoints,
        keep=options.keep_checkpoints,
        run_id=run_id,
        precision=precision,
        pruner=pruner,
        teacher=teacher,
        history=history,
        best=best,
    )
    if checkpoint is not None:
        checkpoints.restore(checkpoint)
        log.info("going on from %s in %s", checkpoint.path, precision)
    history.begin(None if checkpoint is None else checkpoint.history)
    earlier = tuple(history.records)

    progress = TrainingProgress(console, total_steps=steps, primary_metric=task.primary_metric)
    for record in earlier:
        progress(record)
    trackers = _trackers(config, run_id, folder, earlier, anew=anew)
    if options.activation_checkpointing:
        recompute_activations(model)
    training = Training(
        Learning(
            model=model,
            head=task.head,
            batches=Batches(
                train,
                task.head.collator(tokenizer),
                batch_size=options.batch_size,
                accumulation=options.gradient_accumulation,
                group_by_length=options.group_by_length,
                seed=config.seed,
                pin=device.type == "cuda",
            ),
            regularization=config.regularization,
            teacher=teacher,
            pruner=pruner,
            optimizer=adamw(model, weight_decay=options.weight_decay),
            rate=LearningRate(
                peak=options.learning_rate,
                warmup=options.warmup,
                shape=options.learning_rate_schedule,
                total_steps=steps,
                cycles=plan.schedule.cycles(steps) if config.sparsity > 0 else (),
            ),
            max_grad_norm=options.max_grad_norm,
            precision=precision,
            device=device,
        ),
        task=task,
        evaluation=evaluation,
        evaluator=replace(evaluator, seen=progress.evaluated),
        final_precision=resolved_precision(options.eval_precision, options.device),
        steps=steps,
        every={"log": options.log_steps, "evaluate": evaluated_every, "save": options.save_steps},
        seed=config.seed,
        stop=stop,
        checkpoints=checkpoints,
        checkpoint=checkpoint,
        sinks=[history.append, progress, *(tracker.log for tracker in trackers)],
        seconds_before=earlier[-1]["seconds"] if earlier else 0.0,
        best=best,
        patience=patience,
    )
    finished: dict[str, Any] | None = None
    picked: list[dict[str, Any]] = []
    try:
        with stop.put_off():
            with progress.showing():
                training.learn(progress.step)
            if not training.finished:
                stop.obey()  # it stopped with a checkpoint
            finished, picked = finish(config, found, run_id, folder, training, model, tokenizer)
            folder.finish(finished)
            folder.clear_checkpoints()
        outcome = Outcome(folder.path, "done", finished)
    finally:
        pictures = sorted(folder.figures.glob("*.png")) if config.tracking.artifacts else ()
        last = None if finished is None else ending(finished, picked, pictures)
        for tracker in trackers:
            tracker.finish(last)
    return outcome


class Evaluated(NamedTuple):
    """What an evaluation came to.

    Attributes:
        task: As it was evaluated.
        metrics: The task's, and the loss.
        records: By split.
        predictions: By split; none of one that cannot be.
    """

    task: Task
    metrics: dict[str, float]
    records: Mapping[str, Dataset]
    predictions: Mapping[str, list[Prediction]]


def evaluate(config: RunConfig, model_folder: Path, console: Console) -> Evaluated:
    """Evaluate a saved model on the task's evaluation splits.

    Args:
        config: Names task, data and batch size.
        model_folder: A model with tokenizer in the Hugging Face layout.
        console: Where progress is shown.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model, task, tokenizer, evaluator = _saved_model(config, model_folder)
    task, records = config.data.load(task, training=False)
    sets = Evaluation(task, records, tokenizer).sets(whole=True)
    for split, examples in sets.items():
        assembly.warn_of_cut(task, examples.encoded, split)
        assembly.warn_of_one_answer(task, records[split], split)
    with evaluation_progress(console) as seen:
        metrics, predictions = replace(evaluator, seen=seen).score(model, sets)
    return Evaluated(task, metrics, {split: records[split] for split in task.evaluation_splits}, predictions)


def predict(
    config: RunConfig, model_folder: Path, rows: Sequence[Mapping[str, Any]], places: Sequence[str] | None = None
) -> Iterator[list[Prediction]]:
    """Predict with a saved model.

    Args:
        config: Names task and batch size.
        model_folder: A model with tokenizer in the Hugging Face layout.
        rows: Raw records, answers or not.
        places: Where each record stands, for messages; None for their numbers.

    Yields:
        Predictions, one a record in their order, of some batches at a time.

    Raises:
        UserError: If a record lacks what a prediction needs; all are looked at before anything is loaded.
    """
    from datasets import Dataset

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    places = places or [f"record {number}" for number in range(1, len(rows) + 1)]
    records = asked_rows(config.task, zip(places, rows, strict=True))
    every = {name: None for record in records for name in record}  # one may have a column that another lacks
    records = [{**every, **record} for record in records]
    size = BATCHES_AT_ONCE * config.trainer.eval_batch_size
    model, task, tokenizer, evaluator = _saved_model(config, model_folder)
    for start in range(0, len(records), size):
        part = Dataset.from_list(records[start : start + size])
        yield evaluator.predicted(model, EvaluationSet(task, part, tokenizer))


def _saved_model(config: RunConfig, folder: Path) -> tuple[PreTrainedModel, Task, PreTrainedTokenizerBase, Evaluator]:
    """A saved model on its device, its task, which takes the model's labels if it has none, tokenizer and evaluator."""
    tokenizer = models.load_tokenizer(folder)
    model = models.load_finetuned(folder, config.task.head)
    task = config.task.labelled(cast("Mapping[int, str]", model.config.id2label))
    models.in_order(model, task.labels, f"the model of {folder}")
    evaluator = config.trainer.evaluator()
    cast("nn.Module", model).to(evaluator.device)
    return model, task, tokenizer, evaluator


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
