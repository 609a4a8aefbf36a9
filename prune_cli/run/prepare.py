"""What a run learns from: records, tokenizer, encoded records, and how long it takes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from prune_cli import models
from prune_cli.config.identity import Contents
from prune_cli.data.encoded import cut_records, only_label
from prune_cli.errors import UserError
from prune_cli.marks import LARGEST
from prune_cli.plain import shortened
from prune_cli.pruning.schedules import Schedule
from prune_cli.run.labelling import with_extra
from prune_cli.tasks.cache import encoded
from prune_cli.tasks.sameness import only_answer, repeated

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Row, Task

log = logging.getLogger(__name__)

_LOOKED_AT = 100  # records whose words a tokenizer must know


@dataclass(frozen=True)
class Plan:
    """How long a run is, and how sparsity grows in it.

    Attributes:
        schedule: Without lengths in epochs.
    """

    steps: int
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run learns from.

    Attributes:
        train: The encoded training records.
    """

    task: Task
    records: Mapping[str, Dataset]
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    plan: Plan


def prepared(config: RunConfig, run_contents: Contents) -> Prepared:
    """Read and encode the records; whatever is odd about them is told.

    Raises:
        UserError: If a record, the tokenizer or the length of the run cannot be used.
    """
    task, records = config.data.load(config.task)
    tokenizer = tokenizer_for(config, task, records["train"])
    check_teacher(config, task, tokenizer)
    learned = with_extra(config, run_contents, task, records["train"], tokenizer)
    train = encoded(task, learned, tokenizer, training=True)
    plan = planned(config, len(train))
    warn_of_records(task, records, train)
    warn_of_no_teacher(config, plan.steps)
    return Prepared(task=task, records=records, tokenizer=tokenizer, train=train, plan=plan)


def planned(config: RunConfig, rows: int) -> Plan:
    """How long the run is; the schedule must fit.

    Raises:
        UserError: If it does not.
    """
    options = config.trainer
    epoch = max(1, math.ceil(math.ceil(rows / options.batch_size) / options.gradient_accumulation))
    steps = options.max_steps
    if steps is None:
        steps = math.ceil(options.epochs * epoch)
    if steps > LARGEST:
        raise UserError(f"trainer.epochs={options.epochs:g} makes {steps:.0e} steps of {rows:,} records: give fewer epochs")
    schedule = config.schedule.with_epochs_of(epoch)
    if config.sparsity > 0 and (problems := list(schedule.incompatibilities(steps))):
        raise UserError(*problems)
    return Plan(steps, schedule)


def tokenizer_for(config: RunConfig, task: Task, train: Dataset) -> PreTrainedTokenizerBase:
    """The tokenizer of the model that a run starts from.

    Raises:
        UserError: If it cannot be loaded.
    """
    source = config.model
    if source.random is not None:
        return models.random_tokenizer(source.random, task.texts(train))
    name, options = config.model.loading()
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


def warn_of_records(task: Task, records: Mapping[str, Dataset], encoded: Dataset) -> None:
    """Say aloud what may be meant, but seldom is."""
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
        encoded: With a column `cut`, where the task can cut records.
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
    """Say that one and the same is right of all records to evaluate."""
    if (answer := only_answer(task, cast("Iterable[Row]", task.examples(records)))) is not None:
        log.warning(
            "ALL RECORDS OF %s HAVE THE SAME ANSWER (%s): metrics cannot tell a model that knows nothing from a good one.",
            split,
            shortened(answer),
        )


def warn_of_no_teacher(config: RunConfig, steps: int) -> None:
    """Say aloud that a student is to teach itself in a run that has no time for it."""
    rule, evaluated_every = config.regularization, config.trainer.evaluated_every(steps)
    if "teacher" in rule.needs and rule.first_teacher is None and evaluated_every >= steps:
        log.warning(
            "NO TEACHER: the first evaluation is after %d of %d steps, and the student learns from itself only after one."
            " Give a smaller trainer.eval_steps, a first teacher, or regularization=none.",
            evaluated_every,
            steps,
        )
