"""From a configuration to the live parts of a run: tokenizer and model, the engine, the teacher."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from prune_cli import models
from prune_cli.compaction.structure import prunable
from prune_cli.data.encoded import cut_records, highest_token, only_label
from prune_cli.distillation.states import state_problems
from prune_cli.distillation.teacher import Teacher
from prune_cli.errors import UserError, shortened
from prune_cli.heads.regression import Regression
from prune_cli.marks import LARGEST
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Schedule
from prune_cli.pruning.scope import unreached
from prune_cli.pruning.selection import InvalidScores
from prune_cli.runtime.folders import first_line
from prune_cli.tasks.sameness import only_answer, repeated
from prune_cli.training.evaluation import Evaluation
from prune_cli.training.hardware import resolved_precision

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Row, Task
    from prune_cli.training.evaluate import Evaluator

log = logging.getLogger(__name__)

_WORTH_TELLING = 0.01  # of what is not pruned, as a share
_LOOKED_AT = 100  # records whose words a tokenizer must know


@dataclass(frozen=True)
class Plan:
    """How long a run is, and how sparsity grows in it.

    Attributes:
        steps: Optimizer steps.
        schedule: Without lengths in epochs.
    """

    steps: int
    schedule: Schedule


def planned(config: RunConfig, rows: int) -> Plan:
    """How long the run is; the schedule must fit.

    Args:
        config: The run.
        rows: Encoded training records.

    Raises:
        UserError: If it does not.
    """
    options = config.trainer
    epoch = max(1, math.ceil(math.ceil(rows / options.batch_size) / options.gradient_accumulation))
    steps = options.max_steps
    if steps is None:
        steps = math.ceil(options.epochs * epoch)
    if steps > LARGEST:
        raise UserError(
            f"trainer.epochs={options.epochs:g} makes {steps:.0e} steps of {rows:,} records: give fewer epochs"
        )
    schedule = config.schedule.with_epochs_of(epoch)
    if config.sparsity > 0 and (problems := list(schedule.misfits(steps))):
        raise UserError(*problems)
    return Plan(steps, schedule)


def warn_of_records(task: Task, records: Mapping[str, Dataset], encoded: Dataset) -> None:
    """Say aloud what may be meant, but seldom is.

    Args:
        task: The task.
        records: By split.
        encoded: The training records.
    """
    if "train" in task.evaluation_splits:
        log.warning(
            "THE MODEL IS EVALUATED ON ITS TRAINING RECORDS (task.evaluation_splits=%s): metrics say nothing about others.",
            [*task.evaluation_splits],
        )
    if "labels" in encoded.column_names and (only := only_label(encoded)) is not None:
        log.warning("ALL TRAINING RECORDS HAVE THE SAME LABEL (%s): there is nothing to learn.", only)
    warn_of_cut(task, encoded, "training")
    for split in dict.fromkeys(task.evaluation_splits):
        warn_of_one_answer(task, records[split], split)
        if split != "train" and (count := repeated(task, records["train"], records[split])):
            log.warning(
                "%d of %d records of %s (%.3g%%) ARE TRAINING RECORDS TOO: metrics of them say little about others. Leave them"
                " out of one of the two.",
                count,
                len(records[split]),
                split,
                100 * count / len(records[split]),
            )


def warn_of_cut(task: Task, encoded: Dataset, split: str) -> None:
    """Say how many records lose their end.

    Args:
        task: Encoded them.
        encoded: With a column `cut`, where the task can cut records.
        split: Of which they are.
    """
    cut = cut_records(encoded)
    if cut:
        total = len(set(encoded["record"][:]))
        log.warning(
            "%d of %d %s records (%.3g%%) have more tokens than the model is given, and lose their end: raise"
            " task.max_length (%d), or take a model with longer inputs.",
            cut,
            total,
            split,
            100 * cut / total,
            task.max_length,
        )


def warn_of_one_answer(task: Task, records: Dataset, split: str) -> None:
    """Say that one and the same is right of all records to evaluate.

    Args:
        task: The task.
        records: With their answers.
        split: Of which they are.
    """
    if (answer := only_answer(task, cast("Iterable[Row]", task.examples(records)))) is not None:
        log.warning(
            "ALL RECORDS OF %s HAVE THE SAME ANSWER (%s): metrics cannot tell a model that knows nothing from a good one.",
            split,
            shortened(answer),
        )


def warn_of_no_teacher(config: RunConfig, steps: int, evaluated_every: int) -> None:
    """Say aloud that a student is to teach itself in a run that has no time for it.

    Args:
        config: The run.
        steps: Optimizer steps of the run.
        evaluated_every: Steps from one evaluation to the next.
    """
    rule = config.regularization
    if "teacher" in rule.needs and rule.first_teacher is None and evaluated_every >= steps:
        log.warning(
            "NO TEACHER: the first evaluation is after %d of %d steps, and the student learns from itself only after one."
            " Give a smaller trainer.eval_steps, a first teacher, or regularization=none.",
            evaluated_every,
            steps,
        )


def tokenizer_for(config: RunConfig, task: Task, train: Dataset) -> PreTrainedTokenizerBase:
    """The tokenizer of the model that a run starts from.

    Args:
        config: The run.
        task: Reads the records.
        train: Records, for the tokenizer of a random model.

    Raises:
        UserError: If it cannot be loaded.
    """
    source = config.model
    if source.random is not None:
        return models.random_tokenizer(source.random, task.texts(train))
    name, options = _loading(config)
    tokenizer = models.load_tokenizer(name, **options)
    if task.max_length > tokenizer.model_max_length:
        log.warning(
            "task.max_length is %d, and the model takes %d tokens: longer records are cut there.",
            task.max_length,
            tokenizer.model_max_length,
        )
    share = models.unknown_share(tokenizer, task.texts(train.select(range(min(_LOOKED_AT, len(train))))))
    if share == 1:
        raise UserError(
            f"model.name={name}: its tokenizer knows none of the words of the first records. Is it there? Put the files that"
            " came with the model (tokenizer.json, vocab.txt or the like) beside its weights"
        )
    if share > 0.5:
        log.warning(
            "THE TOKENIZER OF %s DOES NOT KNOW %.0f%% OF THE TOKENS of the first records: is the model one for their"
            " language? Words that it does not know all look the same to it.",
            name,
            100 * share,
        )
    return tokenizer


def check_teacher(config: RunConfig, task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a first teacher to which tokens or classes mean something else, before models are loaded.

    Args:
        config: The run.
        task: Knows its labels.
        tokenizer: The student's.

    Raises:
        UserError: If they do.
    """
    folder = config.regularization.first_teacher
    if folder is None:
        return
    if problems := list(models.class_problems(folder, task.labels, "regularization.first_teacher")):
        raise UserError(*problems)
    token = models.other_token(tokenizer, models.load_tokenizer(folder))
    if token is not None:
        raise UserError(
            f"regularization.first_teacher={folder} has another tokenizer than the model: {token!r} has another number there,"
            " so that it would read other words. Give a teacher that was fine-tuned from a model with the same tokenizer"
        )


def model_for(
    config: RunConfig, task: Task, tokenizer: PreTrainedTokenizerBase, encoded: Dataset | None = None
) -> PreTrainedModel:
    """The model that a run starts from, with the task's head; weights that are made come from the global random state.

    Args:
        config: The run.
        task: Names the head and its labels.
        tokenizer: The model's.
        encoded: What the model is to read, so that it is known to have an embedding for every token.

    Raises:
        UserError: If it cannot be loaded, or not be trained on the task.
    """
    source = config.model
    if source.random is not None:
        return models.random_model(source.random, head=task.head, labels=task.labels, tokenizer=tokenizer)
    name, options = _loading(config)
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
        task: Names the head.
        encoded: What it is to learn from.
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

    Args:
        config: The run.
        model: In evaluation mode.
        task: Names the head.
        tokenizer: The model's.
        encoded: What the model is to learn from.

    Raises:
        UserError: If the model cannot compute in bf16, and nothing else is allowed.
    """
    precision = resolved_precision(config.trainer.precision, config.trainer.device)
    if precision != "bf16":
        return precision
    lengths = encoded["length"][:]
    batch = task.head.collator(tokenizer)([encoded[lengths.index(min(lengths))]])
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


def _check_weights(model: PreTrainedModel, source: str) -> None:
    """Refuse weights that are no numbers, before they are blamed on the training."""
    for tensor, values in model.named_parameters():
        if not values.isfinite().all():
            raise UserError(f"{source}: the weight {tensor} holds infinite or not-a-number values: load another copy")


def _loading(config: RunConfig) -> tuple[str | Path, dict[str, Any]]:
    """Name and options for the loaders."""
    place = config.model.location(checked=True)
    return place.name, {
        "revision": place.revision,
        "gguf_file": place.gguf_file,
        "trust_remote_code": config.model.trust_remote_code,
        "architecture": config.model.architecture,
    }


def pruner_for(config: RunConfig, model: PreTrainedModel, plan: Plan) -> Pruner:
    """The engine around a model.

    Args:
        config: The run.
        model: Its weights are pruned in place.
        plan: Its steps and schedule.

    Raises:
        UserError: If nothing is prunable, or criterion or pattern do not go with what is.
    """
    pattern = config.pattern if config.sparsity > 0 else Unstructured()  # a dense run is the same under any
    try:
        matrices, form = prunable(model, pattern, config.model.include, config.model.exclude)
    except ValueError as error:
        raise UserError(str(error)) from error
    if config.sparsity > 0:  # known before, but for a model that was not here
        if problems := [*config.pattern.misfits(form, config.sparsity), *config.criterion.misfits(form)]:
            raise UserError(*problems)
        weights = sum(map(math.prod, form.shapes.values()))
        count = config.pattern.count(form, config.sparsity)
        if (share := unreached(model)) >= _WORTH_TELLING:
            log.warning(
                "%.3g%% OF THE WEIGHTS OF THE TRANSFORMER BLOCKS ARE NO MATRICES, such as kernels of convolutions, AND ARE NOT"
                " PRUNED: the sparsity is that of the others alone.",
                100 * share,
            )
        log.info("to be removed: %s of %s weights, %.4f%%", f"{count:,}", f"{weights:,}", 100 * count / weights)
    try:
        return Pruner(
            matrices,
            criterion=config.criterion,
            schedule=plan.schedule,
            pattern=pattern,
            sparsity=config.sparsity,
            total_steps=plan.steps,
            form=form,
        )
    except InvalidScores as error:  # of a criterion that asks for what these matrices do not have
        raise UserError(str(error)) from error


def teacher_for(
    config: RunConfig,
    task: Task,
    student: PreTrainedModel,
    evaluator: Evaluator,
    evaluation: Evaluation,
) -> Teacher | None:
    """The teacher that the regularization asks for; a first one is evaluated, so that a student has to beat it.

    Args:
        config: The run.
        task: The task, which knows its labels.
        student: The model that is pruned; later teachers are its copies.
        evaluator: Evaluates the first.
        evaluation: What students are evaluated on during training.
    """
    rule = config.regularization
    if "teacher" not in rule.needs:
        return None
    make = partial(models.blank_copy, student)
    if rule.first_teacher is None:
        return Teacher(rule, make)
    first = models.load_finetuned(rule.first_teacher, task.head)
    _check_weights(first, f"regularization.first_teacher={rule.first_teacher}")
    models.in_order(first, task.labels, "regularization.first_teacher")
    if problems := list(state_problems(student, first, rule.kinds)):  # known before, but for a model that was not here
        raise UserError(*problems)
    cast("nn.Module", first).to(evaluator.device)
    metric = evaluator.score(first, evaluation.sets(whole=False))[0][task.primary_metric]
    log.info("first teacher: %s %.4f", task.primary_metric, metric)
    return Teacher(rule, make, first=first, first_metric=metric)
