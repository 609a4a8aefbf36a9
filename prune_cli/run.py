"""One run, from a configuration to a pruned model: the page to read first.

    records, tokenizer, model -> pruner, teacher -> trainer -> saved model, pictures, result.json

The pruning itself is `prune_cli.pruning.pruner`, called around every optimizer step by `training.callbacks.PruneCallback`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import transformers
from omegaconf import OmegaConf
from rich.console import Console

from prune_cli import models
from prune_cli.artifacts import environment, result
from prune_cli.artifacts.run_folder import RunFolder, write_text
from prune_cli.config.identity import identity, run_name
from prune_cli.errors import UserError
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.scope import prunable_weights
from prune_cli.regularizers import Distillation
from prune_cli.report import figures, model_card
from prune_cli.tracking.history import History
from prune_cli.tracking.wandb import WandbTracker
from prune_cli.training.arguments import resolved_precision, training_arguments
from prune_cli.training.callbacks import PruneCallback, RecordCallback, TeacherCallback
from prune_cli.training.checkpoints import Checkpoints
from prune_cli.training.interrupt import StopRequest
from prune_cli.training.progress import TrainingProgress
from prune_cli.training.teacher import Teacher
from prune_cli.training.trainer import EvaluationSet, PruningTrainer, TaskTrainer, evaluation_sets

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

    from prune_cli.config.run_config import RunConfig

log = logging.getLogger(__name__)


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
        KeyboardInterrupt: If the run was asked to stop; its folder can be resumed.
    """
    run_id = identity(config)
    folder = RunFolder(config.output_dir / run_name(config, run_id))
    if folder.finished and not config.overwrite:
        folder.clear_checkpoints()  # of a run that was killed between its last two acts
        return Outcome(folder.path, "skipped", folder.read_result())
    with folder.held():
        folder.begin(OmegaConf.to_yaml(OmegaConf.create(dict(config.resolved))), overwrite=config.overwrite)
        with folder.logged(console):
            return _run(config, run_id, folder, console)


def _run(config: RunConfig, run_id: str, folder: RunFolder, console: Console) -> Outcome:
    task, trainer_options = config.task, config.trainer
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    records = config.data.load(task)
    total_steps = _total_steps(config, len(records["train"]))
    log.info(
        "%s: %d training records, %d steps; folder %s",
        folder.path.name,
        len(records["train"]),
        total_steps,
        folder.path,
    )

    transformers.set_seed(config.seed)  # the head's first weights
    tokenizer, model = _load(config, records["train"])
    pruner = Pruner(
        _prunable(model, config),
        criterion=config.criterion,
        schedule=config.schedule,
        pattern=config.pattern,
        sparsity=config.sparsity,
        total_steps=total_steps,
    )
    arguments = _arguments(config, folder, total_steps)
    evaluation = evaluation_sets(task, records, tokenizer)
    teacher = _teacher(config, arguments, tokenizer, evaluation)

    checkpoints = Checkpoints(folder.checkpoints, keep=trainer_options.keep_checkpoints, pruner=pruner, teacher=teacher)
    history = History(folder.history)
    checkpoint = checkpoints.latest()
    if checkpoint is not None:
        checkpoints.restore(checkpoint, model)
        log.info("going on from %s", checkpoint)
    history.truncate(-1 if checkpoint is None else int(checkpoint.name.rpartition("-")[2]))
    earlier = History.read(folder.history) if folder.history.exists() else []

    progress = TrainingProgress(console, total_steps=total_steps, primary_metric=task.primary_metric)
    for record in earlier:
        progress(record)
    tracker = _tracker(config, run_id, folder) if config.tracking.wandb else None
    sinks = [history.append, progress, *([] if tracker is None else [tracker.log])]
    stop = StopRequest()
    callbacks: list[transformers.TrainerCallback] = [
        PruneCallback(
            pruner,
            stop,
            log_steps=trainer_options.log_steps,
            eval_steps=trainer_options.eval_steps,
            save_steps=trainer_options.save_steps,
        ),
        *([] if teacher is None else [TeacherCallback(teacher, task.primary_metric)]),
        RecordCallback(pruner, teacher, sinks, seconds_before=earlier[-1]["seconds"] if earlier else 0.0),
        progress.callback(),
    ]
    trainer = PruningTrainer(
        model,
        arguments,
        teacher=teacher,
        checkpoints=checkpoints,
        group_by_length=trainer_options.group_by_length,
        task=task,
        tokenizer=tokenizer,
        evaluation=evaluation,
        train=task.encode(records["train"], tokenizer),
        callbacks=callbacks,
    )
    finished: dict[str, Any] | None = None
    try:
        with stop.listening(), progress.showing():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if trainer.state.global_step < total_steps:
            raise KeyboardInterrupt  # the callback stopped it, with a checkpoint
        finished = _finish(config, run_id, folder, trainer, model, tokenizer)
        folder.finish(finished)
        folder.clear_checkpoints()
        outcome = Outcome(folder.path, "done", finished)
    finally:
        if tracker is not None:
            tracker.finish(finished)
    return outcome


def evaluate(config: RunConfig, model_folder: Path) -> dict[str, float]:
    """Evaluate a saved model on the task's evaluation splits.

    Args:
        config: Names task, data and batch size.
        model_folder: A model with tokenizer in the Hugging Face layout.

    Returns:
        The task's metrics and the loss.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    records = config.data.load(config.task)
    tokenizer = models.load_tokenizer(model_folder)
    model = models.load_model(model_folder, head=config.task.head, labels=None)
    evaluation = evaluation_sets(config.task, records, tokenizer)
    arguments = _arguments(config, RunFolder(model_folder), total_steps=1)
    trainer = TaskTrainer(model, arguments, task=config.task, tokenizer=tokenizer, evaluation=evaluation)
    return result.metrics_of(trainer.evaluate())


def _total_steps(config: RunConfig, train_records: int) -> int:
    """Optimizer steps of the run, as the Trainer counts them; the schedule must fit."""
    options = config.trainer
    steps = options.max_steps
    if steps is None:
        batches = math.ceil(train_records / options.batch_size)
        steps = math.ceil(options.epochs * max(1, math.ceil(batches / options.gradient_accumulation)))
    if config.sparsity > 0 and (problems := config.schedule.problems(steps, config.criterion.delta_t)):
        raise UserError(*problems)
    return steps


def _load(config: RunConfig, train: Dataset) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and model, with the task's head."""
    source, task = config.model, config.task
    if source.random is not None:
        model = models.random_model(source.random, head=task.head, labels=task.labels)
        length = model.config.max_position_embeddings
        return models.trained_tokenizer(task.texts(train), model.config.vocab_size, length), model
    shipped = None
    if source.package is not None:
        shipped = models.package_folder(source.package, source.package_folder, source.sha256)
    name = shipped or source.name
    if name is None:
        raise UserError(
            f"the package {source.package} (model.package) is not installed, and there is no model.name to fall back on"
        )
    options: dict[str, Any] = {
        "revision": None if shipped else source.revision,
        "trust_remote_code": source.trust_remote_code,
    }
    try:
        tokenizer = models.load_tokenizer(name, **options)
        return tokenizer, models.load_model(name, head=task.head, labels=task.labels, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"model.name={name} cannot be loaded: {str(error).strip().splitlines()[0]}") from error


def _prunable(model: PreTrainedModel, config: RunConfig) -> dict[str, Any]:
    try:
        return prunable_weights(model, config.model.include, config.model.exclude)
    except ValueError as error:
        raise UserError(str(error)) from error


def _arguments(config: RunConfig, folder: RunFolder, total_steps: int) -> TrainingArguments:
    options = config.trainer
    return training_arguments(
        str(folder.checkpoints),
        epochs=options.epochs,
        max_steps=total_steps,
        batch_size=options.batch_size,
        eval_batch_size=options.eval_batch_size,
        gradient_accumulation=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        warmup=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        precision=resolved_precision(options.precision, options.device),
        device=options.device,
        seed=config.seed,
    )


def _teacher(
    config: RunConfig,
    arguments: TrainingArguments,
    tokenizer: PreTrainedTokenizerBase,
    evaluation: Mapping[str, EvaluationSet],
) -> Teacher | None:
    """The teacher that the regularization asks for; a first one is evaluated, so that a student has to beat it."""
    rule, task = config.regularization, config.task
    if not isinstance(rule, Distillation):
        return None
    if rule.first_teacher is None:
        return Teacher(rule)
    first = models.load_model(rule.first_teacher, head=task.head, labels=None)
    order = models.label_order(first.config.id2label or {}, task.labels) if task.labels else None
    evaluator = TaskTrainer(first, arguments, task=task, tokenizer=tokenizer, evaluation=evaluation, label_order=order)
    metric = evaluator.evaluate()[f"eval_{task.primary_metric}"]
    log.info("first teacher: %s %.4f", task.primary_metric, metric)
    return Teacher(rule, first=first, first_metric=metric, label_order=order)


def _tracker(config: RunConfig, run_id: str, folder: RunFolder) -> WandbTracker:
    choices, tracking = config.choices, config.tracking
    tracker = WandbTracker(
        folder=folder.path,
        run_id=run_id,
        name=folder.path.name,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or f"{choices['task']}-{choices['model']}",
        tags=[choices["task"], choices["model"], choices["criterion"], f"sparsity-{config.sparsity:g}", *tracking.tags],
        job_type="prune" if config.sparsity > 0 else "dense",
        config=config.resolved,
        timeout=tracking.timeout,
    )
    if (place := tracker.start()) is not None:
        log.info("W&B: %s", place)
    return tracker


def _finish(
    config: RunConfig,
    run_id: str,
    folder: RunFolder,
    trainer: PruningTrainer,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, Any]:
    """Save the model and the pictures; give the content of result.json."""
    task, pruner = config.task, trainer.checkpoints.pruner
    with folder.replacing(folder.model) as saved:
        model.save_pretrained(saved)
        tokenizer.save_pretrained(saved)
        zeros = result.count_zeros(saved, {matrix.name for matrix in pruner.matrices})
        history = History.read(folder.history)
        last = result.evaluations(history, task.primary_metric)[-1]
        summary = {
            "format": result.FORMAT,
            "name": folder.path.name,
            "id": run_id,
            "choices": dict(config.choices),
            "seed": config.seed,
            "primary_metric": task.primary_metric,
            "metric": last[f"eval_{task.primary_metric}"],
            "metrics": result.metrics_of(last),
            "best_at_target": result.best_at_target(history, task.primary_metric, pruner.target_now),
            "teacher_metric": None if trainer.teacher is None else trainer.teacher.first_metric,
            "sparsity": result.sparsity(pruner, zeros, sum(p.numel() for p in model.parameters())),
            "layers": result.layers(pruner, zeros),
            "steps": last["step"],
            "epochs": last["epoch"],
            "precision": resolved_precision(config.trainer.precision, config.trainer.device),
            "seconds": result.seconds(history),
            "steps_per_second": last["step"] / result.seconds(history)["train"],
            "peak_memory_bytes": environment.peak_memory_bytes(),
            "files": {f"model/{path.name}": path.stat().st_size for path in sorted(saved.glob("*.safetensors"))},
            "versions": environment.versions(),
            "git_commit": environment.git_commit(),
            "machine": environment.machine(),
        }
        write_text(saved / "README.md", model_card.model_card(summary, config.resolved))
    with folder.replacing(folder.figures) as pictures:
        figures.metric_and_sparsity(
            history,
            task.primary_metric,
            pictures / "metric.png",
            folder.path.name,
            teacher_metric=summary["teacher_metric"],
        )
        figures.layer_sparsity(summary["layers"], pictures / "layers.png", folder.path.name)
    return summary
