"""From a configuration and records to the live parts of a run: the model, the engine, the teacher, the training."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, cast

import torch
import transformers
from torch import nn

from prune_cli import models
from prune_cli.data.encoded import highest_token
from prune_cli.distillation.states import state_problems
from prune_cli.distillation.teacher import Teacher
from prune_cli.errors import UserError
from prune_cli.heads.decisions import task_loss
from prune_cli.heads.regression import Regression
from prune_cli.models.prunable import prunable
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.scope import unreached
from prune_cli.pruning.selection import InvalidScores
from prune_cli.pruning.shards import is_sharded
from prune_cli.runtime.folders import first_line
from prune_cli.training.batches import Batches
from prune_cli.training.endings import Patience
from prune_cli.training.evaluation import Evaluation
from prune_cli.training.hardware import moved, resolved_precision
from prune_cli.training.learning import Learning
from prune_cli.training.optimizer import LearningRate, adamw
from prune_cli.training.parallel import Passes, copied, sharded
from prune_cli.training.training import Training, recompute_activations

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.heads.base import Batch
    from prune_cli.pruning.layout import ModelLayout
    from prune_cli.pruning.matrices import Matrix
    from prune_cli.pruning.patterns import Pattern
    from prune_cli.run.prepare import Plan, Prepared
    from prune_cli.tasks.base import Task
    from prune_cli.training.checkpoints import Checkpoints
    from prune_cli.training.evaluate import Evaluator
    from prune_cli.training.interrupt import StopRequest
    from prune_cli.training.processes import Processes
    from prune_cli.training.progress import TrainingProgress
    from prune_cli.training.training import Sink

log = logging.getLogger(__name__)

_WORTH_TELLING = 0.01  # of what is not pruned, as a share
_COMPILED_LENGTHS = 16  # of which the tokens of a compiled model are a multiple


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What learns, and what it is measured by."""

    learning: Learning
    evaluation: Evaluation
    evaluator: Evaluator


def assembled(config: RunConfig, data: Prepared, precision: str | None, processes: Processes) -> Parts:
    """The live parts of a run; what the model begins with is drawn from the random state that the seed gives.

    Args:
        precision: The one that it has begun in, fp32 or bf16; None where it begins.
        processes: Those of the run.

    Raises:
        UserError: If something does not go with something else.
    """
    options, task, plan = config.trainer, data.task, data.plan
    transformers.set_seed(config.seed)  # the head's first weights
    model = model_for(config, task, data.tokenizer, data.train)
    begin_at_mean(model, task, data.train)
    models.freeze(model, config.model.freeze)
    precision = precision or processes.first(lambda: precision_for(config, model, task, data.tokenizer, data.train))
    evaluator = replace(options.evaluator(precision), processes=processes)
    matrices, layout = prunable_for(config, model)
    if options.activation_checkpointing:
        recompute_activations(model)
    passes = laid(config, model, data, evaluator.device, processes)  # before anything is made for its weights
    if evaluator.device.type != "cpu" and (count := torch.accelerator.device_count()) > processes.count:
        log.warning(
            "%d GPUs are here, and the run uses %d of them: launcher.processes=%d uses all. Another run can use another at the"
            " same time: CUDA_VISIBLE_DEVICES=%d prune run ...",
            count,
            processes.count,
            count,
            count - 1,
        )
    pruner = pruner_for(config, matrices, layout, plan, processes)
    evaluation = Evaluation(task, data.records, data.tokenizer)
    teacher = teacher_for(config, task, model, evaluator, evaluation, precision)
    if options.compile:
        cast("nn.Module", model).compile(dynamic=True)
    learning = Learning(
        model=model,
        processes=processes,
        passes=passes,
        seed=config.seed,
        head=task.head,
        batches=Batches(
            data.train,
            task.head.collator(data.tokenizer, _COMPILED_LENGTHS if options.compile else 1),
            batch_size=options.batch_size,
            accumulation=options.gradient_accumulation,
            group_by_length=options.group_by_length,
            seed=config.seed,
            pin=evaluator.device.type == "cuda",
            rank=processes.rank,
            processes=processes.count,
        ),
        regularization=config.regularization,
        teacher=teacher,
        pruner=pruner,
        optimizer=adamw(model, weight_decay=options.weight_decay),
        rate=LearningRate(
            peak=options.learning_rate,
            warmup=options.warmup,
            shape=options.learning_rate_schedule,
            total_steps=plan.steps,
            cycles=plan.schedule.cycles(plan.steps) if config.sparsity > 0 else (),
        ),
        max_grad_norm=options.max_grad_norm,
        precision=precision,
        device=evaluator.device,
    )
    return Parts(learning=learning, evaluation=evaluation, evaluator=evaluator)


def training_for(
    config: RunConfig,
    data: Prepared,
    parts: Parts,
    checkpoints: Checkpoints,
    stop: StopRequest,
    progress: TrainingProgress,
    trackers: Sequence[Sink],
) -> Training:
    """The training of a run."""
    options, steps, history = config.trainer, data.plan.steps, checkpoints.history
    patience = options.patience
    return Training(
        parts.learning,
        task=data.task,
        evaluation=parts.evaluation,
        evaluator=replace(parts.evaluator, seen=progress.evaluated),
        final_precision=resolved_precision(options.eval_precision, options.device),
        steps=steps,
        every={"log": options.log_steps, "evaluate": options.evaluated_every(steps), "save": options.save_steps},
        seed=config.seed,
        stop=stop,
        checkpoints=checkpoints,
        sinks=[history.append, progress, *trackers],
        seen=progress.step,
        patience=None if patience is None else Patience(history, data.task.primary_metric, patience),
    )


def model_for(
    config: RunConfig, task: Task, tokenizer: PreTrainedTokenizerBase, encoded: Dataset | None = None
) -> PreTrainedModel:
    """The model that a run starts from, with the task's head; weights that are made come from the global random state.

    Args:
        encoded: What the model is to read, so that it is known to have an embedding for every token.

    Raises:
        UserError: If it cannot be loaded, or not be trained on the task.
    """
    source = config.model
    if source.random is not None:
        return models.random_model(source.random, head=task.head, labels=task.labels, tokenizer=tokenizer)
    name, options = config.model.loading()
    model = models.load_model(name, head=task.head, labels=task.labels, **options)
    _check_weights(model, f"model.name={name}")
    embedded = cast("nn.Embedding", model.get_input_embeddings()).num_embeddings
    if encoded is not None and (highest := highest_token(encoded)) >= embedded:
        raise UserError(
            f"model.name={name}: its tokenizer gives the token {highest}, and the model has embeddings for {embedded:,}"
            " tokens alone: they do not belong together"
        )
    if len(tokenizer) > embedded:
        log.warning(
            "THE TOKENIZER OF %s HAS %d TOKENS AND THE MODEL %d EMBEDDINGS: do they belong together?",
            name,
            len(tokenizer),
            embedded,
        )
    if (problem := task.head.problem(model, tokenizer)) is not None:
        raise UserError(f"model.name={name}: {problem}. Choose another model (see `prune list models`)")
    return model


def begin_at_mean(model: PreTrainedModel, task: Task, encoded: Dataset) -> None:
    """Let a new regression begin at the mean of its labels: from nothing, small learning rates take long to get there.

    Args:
        model: With the task's head; one that was fine-tuned has a bias already.
    """
    if not isinstance(task.head, Regression):
        return
    outputs = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 1]
    bias = outputs[-1].bias if outputs else None
    if bias is not None and not bias.any():
        with torch.no_grad():
            bias.fill_(sum(labels := encoded["labels"][:]) / len(labels))


def precision_for(
    config: RunConfig, model: PreTrainedModel, task: Task, tokenizer: PreTrainedTokenizerBase, encoded: Dataset
) -> str:
    """The precision of a run: bf16 where it is wanted and the model can compute in it, which the shortest record tells.

    Raises:
        UserError: If the model cannot compute in bf16, and nothing else is allowed.
    """
    precision = resolved_precision(config.trainer.precision, config.trainer.device)
    if precision != "bf16":
        return precision
    batch = _shortest(task, tokenizer, encoded)
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            task.head.outputs(cast("nn.Module", model), batch)
    except RuntimeError as error:
        with torch.no_grad():
            task.head.outputs(cast("nn.Module", model), batch)  # what fails in float32 too is raised as it is
        why = f"{type(model).__name__} cannot compute in bf16 ({first_line(error)})"
        if config.trainer.precision == "bf16":
            raise UserError(f"trainer.precision=bf16: {why}. Give trainer.precision=fp32") from error
        log.warning("%s: it is trained in fp32.", why)
        return "fp32"
    return precision


def _shortest(task: Task, tokenizer: PreTrainedTokenizerBase, encoded: Dataset) -> Batch:
    """The shortest record."""
    lengths = encoded["length"][:]
    return task.head.collator(tokenizer)([encoded[lengths.index(min(lengths))]])


def _check_weights(model: PreTrainedModel, source: str) -> None:
    """Refuse weights that are no numbers, before they are blamed on the training."""
    for tensor, values in model.named_parameters():
        if not values.isfinite().all():
            raise UserError(f"{source}: the weight {tensor} holds infinite or not-a-number values: load another copy")


def laid(config: RunConfig, model: PreTrainedModel, data: Prepared, device: torch.device, processes: Processes) -> Passes:
    """A model on the devices of the processes: all of it on each, or a part.

    Args:
        device: Of this process.

    Raises:
        UserError: If it was to be parted, and is not.
    """
    module = cast("nn.Module", model)
    if config.trainer.sharding == "none":
        module.to(device)
        if processes.count == 1:
            return Passes()
        head, batch = data.task.head, moved(_shortest(data.task, data.tokenizer, data.train), device)
        return copied(model, lambda: task_loss(head.decisions(head.outputs(module, batch), batch)))
    passes = sharded(model, device.type, processes.count)
    if not all(map(is_sharded, module.parameters())):
        raise UserError(f"trainer.sharding=full: {type(model).__name__} has weights that were not parted. Leave it out")
    return passes


def prunable_for(config: RunConfig, model: PreTrainedModel) -> tuple[list[Matrix], ModelLayout]:
    """What is pruned of a model.

    Raises:
        UserError: If nothing is prunable, or criterion or pattern do not go with what is.
    """
    pattern = _pattern(config)
    try:
        matrices, layout = prunable(model, pattern, config.model.include, config.model.exclude)
    except ValueError as error:
        raise UserError(str(error)) from error
    if config.sparsity > 0:  # known before, but for a model that was not here
        if problems := [
            *config.pattern.incompatibilities(layout, config.sparsity),
            *config.criterion.incompatibilities(layout),
        ]:
            raise UserError(*problems)
        weights = sum(map(math.prod, layout.shapes.values()))
        count = config.pattern.count(layout, config.sparsity)
        if (share := unreached(model)) >= _WORTH_TELLING:
            log.warning(
                "%.3g%% OF THE WEIGHTS OF THE TRANSFORMER BLOCKS ARE NO MATRICES, such as kernels of convolutions, AND ARE NOT"
                " PRUNED: the sparsity is that of the others alone.",
                100 * share,
            )
        log.info("to be removed: %s of %s weights, %.4f%%", f"{count:,}", f"{weights:,}", 100 * count / weights)
    return matrices, layout


def _pattern(config: RunConfig) -> Pattern:
    return config.pattern if config.sparsity > 0 else Unstructured()  # a dense run is the same under any


def pruner_for(config: RunConfig, matrices: Sequence[Matrix], layout: ModelLayout, plan: Plan, processes: Processes) -> Pruner:
    """The engine around a model.

    Args:
        matrices: Where they are to stay.

    Raises:
        UserError: If the criterion does not go with them.
    """
    try:
        return Pruner(
            matrices,
            criterion=config.criterion,
            schedule=plan.schedule,
            pattern=_pattern(config),
            sparsity=config.sparsity,
            total_steps=plan.steps,
            layout=layout,
            peers=processes.peers(sharded=config.trainer.sharding == "full"),
        )
    except InvalidScores as error:  # of a criterion that asks for what these matrices do not have
        raise UserError(str(error)) from error


def teacher_for(
    config: RunConfig,
    task: Task,
    student: PreTrainedModel,
    evaluator: Evaluator,
    evaluation: Evaluation,
    precision: str,
) -> Teacher | None:
    """The teacher that the regularization asks for; a first one is evaluated, so that a student has to beat it.

    Args:
        student: The model that is pruned; later teachers are its copies.
        evaluation: What students are evaluated on during training.
        precision: Of the training, fp32 or bf16.
    """
    rule = config.regularization
    if "teacher" not in rule.needs:
        return None
    make, parted = partial(models.blank_copy, student), None
    if config.trainer.sharding == "full":  # a whole copy is made on the host; one model is laid once
        make = partial(models.blank_copy, student, torch.device("cpu"))
        parted = lru_cache(1)(partial(sharded, device=evaluator.device.type, count=evaluator.processes.count, keeps=True))
    if rule.first_teacher is None:
        return Teacher(rule, make, precision=precision, laid=parted)
    first = models.load_finetuned(rule.first_teacher, task.head)
    _check_weights(first, f"regularization.first_teacher={rule.first_teacher}")
    models.in_order(first, task.labels, "regularization.first_teacher")
    if problems := list(state_problems(student, first, rule.kinds)):  # known before, but for a model that was not here
        raise UserError(*problems)
    cast("nn.Module", first).requires_grad_(False)
    passes = None if parted is None else parted(first)
    if parted is None:
        cast("nn.Module", first).to(evaluator.device)
    metric = evaluator.score(first, evaluation.sets(whole=False), passes)[0][task.primary_metric]
    log.info("first teacher: %s %.4f", task.primary_metric, metric)
    return Teacher(rule, make, precision=precision, first=first, first_metric=metric, laid=parted)
