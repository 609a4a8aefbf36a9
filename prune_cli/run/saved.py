"""What is done with a saved model: evaluated, or asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rich.console import Console

from prune_cli import models
from prune_cli.data.asking import asked_rows
from prune_cli.run.prepare import warn_of_cut, warn_of_one_answer
from prune_cli.training.evaluation import Evaluation, EvaluationSet
from prune_cli.training.progress import evaluation_progress

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Prediction, Task
    from prune_cli.training.evaluate import Evaluator

BATCHES_AT_ONCE = 8  # of a prediction: bounds the memory that encoded records and outputs take


class Evaluated(NamedTuple):
    """What an evaluation came to."""

    task: Task
    metrics: dict[str, float]
    records: Mapping[str, Dataset]
    predictions: Mapping[str, list[Prediction]]


def evaluate(config: RunConfig, model_folder: Path, console: Console) -> Evaluated:
    """Evaluate a saved model on the task's evaluation splits.

    Args:
        model_folder: A model with tokenizer in the Hugging Face layout.
    """
    models.silence()
    model, task, tokenizer, evaluator = _saved_model(config, model_folder)
    task, records = config.data.load(task, training=False)
    sets = Evaluation(task, records, tokenizer).sets(whole=True)
    for split, examples in sets.items():
        warn_of_cut(task, examples.encoded, split)
        warn_of_one_answer(task, records[split], split)
    with evaluation_progress(console) as seen:
        metrics, predictions = replace(evaluator, seen=seen).score(model, sets)
    return Evaluated(task, metrics, {split: records[split] for split in task.evaluation_splits}, predictions)


def predict(
    config: RunConfig, model_folder: Path, rows: Sequence[Mapping[str, Any]], places: Sequence[str] | None = None
) -> Iterator[list[Prediction]]:
    """Predict with a saved model.

    Args:
        model_folder: A model with tokenizer in the Hugging Face layout.
        places: Where each record stands, for messages; None for their numbers.

    Yields:
        Predictions, one a record in their order, of some batches at a time.

    Raises:
        UserError: If a record lacks what a prediction needs; all are looked at before anything is loaded.
    """
    from datasets import Dataset

    models.silence()
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
