"""More records to learn from: without answers, from a file or made of the training records, and labelled by the first teacher."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prune_cli import models
from prune_cli.config.identity import Contents
from prune_cli.data.asking import asked_rows, placed_rows
from prune_cli.data.augmentation import Replacer
from prune_cli.data.extra import AUGMENT, Extra
from prune_cli.data.records import Split, checked, source_of
from prune_cli.errors import UserError
from prune_cli.tasks.cache import remembered, sources
from prune_cli.training.evaluation import EvaluationSet
from prune_cli.training.hardware import device_of, resolved_precision

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Task

log = logging.getLogger(__name__)

_SEED = 42  # of the words that are drawn: the same for all runs, whatever theirs


def with_extra(
    config: RunConfig, run_contents: Contents, task: Task, records: Dataset, tokenizer: PreTrainedTokenizerBase
) -> Dataset:
    """The training records and, where the configuration wants them, the extra ones behind them.

    What a teacher has labelled once is kept for the next run.

    Args:
        tokenizer: The student's, which the teacher shares.

    Raises:
        UserError: If a record cannot be used, or a model not be loaded.
    """
    from datasets import concatenate_datasets

    source = config.data
    if not isinstance(source, Extra) or source.extra is None:
        return records
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers")]
    parts = [repr(task), sources(task), *vars(run_contents).values(), config.trainer.precision, *versions]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    labelled = remembered("extra", key, lambda: _labelled(config, task, _rows(config, task, records), tokenizer))
    log.info("%d more records, labelled by the first teacher", len(labelled))
    records = records.select_columns(labelled.column_names)  # none of these has an id
    whole = concatenate_datasets([records.cast(labelled.features), labelled])
    whole.info.description = source_of(records)
    return whole


def _rows(config: RunConfig, task: Task, records: Dataset) -> list[Mapping[str, Any]]:
    """The extra records, without answers."""
    source = cast("Extra", config.data)
    if source.extra != AUGMENT:
        return asked_rows(task, placed_rows(task, Path(cast("str", source.extra))))
    model, tokenizer = _masked_model(config)
    replace = Replacer(model, tokenizer, replaced=source.replaced, seed=_SEED)
    rows = [{name: row[name] for name in task.inputs} for row in cast("list[dict[str, Any]]", records.to_list())]
    drawn: list[Mapping[str, Any]] = []
    for number in range(source.copies):
        log.info("replacing words of %d records, %d of %d", len(rows), number + 1, source.copies)
        columns = {name: replace([row[name] for row in rows]) for name in task.replaceable}
        drawn += [{**row, **{name: texts[at] for name, texts in columns.items()}} for at, row in enumerate(rows)]
    return drawn


def _masked_model(config: RunConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The masked language model that replaces words, with its tokenizer."""
    from transformers import AutoModelForMaskedLM

    wanted = cast("Extra", config.data).masked_model
    name = str(wanted or config.model.location().name)
    key = f"data.masked_model={name}" if wanted else f"data.masked_model is null, and the model {name}"
    with models.readable(key, "Give the folder or hub id of a masked language model, such as google-bert/bert-base-uncased"):
        loaded = AutoModelForMaskedLM.from_pretrained(
            name, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
        model, info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
        if info["missing_keys"]:
            raise UserError(
                f"{key} has no weights that predict masked words: give data.masked_model=... with the folder or hub id of a"
                " masked language model, such as google-bert/bert-base-uncased"
            )
    cast("nn.Module", model).to(device_of(config.trainer.device))
    return model.eval(), models.load_tokenizer(name)


def _labelled(config: RunConfig, task: Task, rows: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The records with what the first teacher says of them."""
    from datasets import Dataset

    folder = cast("str", config.regularization.first_teacher)
    every = {name: None for row in rows for name in row}  # one may have a column that another lacks
    asked = Dataset.from_list([{**every, **row} for row in rows])
    teacher = models.load_finetuned(folder, task.head)
    models.in_order(teacher, task.labels, "regularization.first_teacher")
    evaluator = config.trainer.evaluator(resolved_precision(config.trainer.precision, config.trainer.device))
    cast("nn.Module", teacher).to(evaluator.device)
    log.info("the first teacher labels %d records", len(rows))
    predictions = evaluator.predicted(teacher, EvaluationSet(task, asked, tokenizer))
    answered = [task.answered(row, prediction) for row, prediction in zip(rows, predictions, strict=True)]
    sound = [row for row in answered if row is not None]
    if not sound:
        raise UserError(
            f"data.extra={cast('Extra', config.data).extra}: of {len(rows)} records the first teacher says nothing"
            f" that task {task.name} can learn from. Leave data.extra out"
        )
    _, datasets = checked(task, {"extra": Split(sound, lambda number: f"extra record {number + 1}", "the extra records")})
    return datasets["extra"]
