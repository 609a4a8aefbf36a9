"""What is evaluated: the splits of a task, a part of each during training and all of it at the end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from random import Random
from typing import TYPE_CHECKING, final

import numpy as np

from prune_cli.data.encoded import InMemory
from prune_cli.tasks.cache import encoded

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.tasks.base import Prediction, Task

SAMPLE_SEED = 42  # of the records that are evaluated during training, whatever the run's own seed


@final
class EvaluationSet:
    """Records to evaluate, encoded when first asked for."""

    def __init__(self, task: Task, records: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
        """Remember.

        Args:
            records: What the task's `examples` made, or records without answers.
        """
        self.task = task
        self.records = records
        self.tokenizer = tokenizer

    @cached_property
    def encoded(self) -> Dataset:
        """The model inputs, in the order of the records."""
        return encoded(self.task, self.records, self.tokenizer, training=False)

    @cached_property
    def order(self) -> np.ndarray:
        """The inputs' numbers, shortest first: less padding, [inputs]."""
        return np.argsort(np.asarray(self.encoded["length"][:]), kind="stable")

    def parts(self, batch_size: int, *, filled: bool) -> list[range]:
        """Which of `batches` are read together.

        Args:
            batch_size: The most, > 0.
            filled: Read more of the shorter ones, up to four times as many, as far as they take no more tokens than the
                longest ones do.
        """
        lengths = np.asarray(self.encoded["length"][:])[self.order]
        room = batch_size * lengths.max(initial=0)
        found: list[range] = []
        while (start := found[-1].stop if found else 0) < len(lengths):
            ahead = lengths[start : start + 4 * batch_size]
            fitting = int((ahead * np.arange(1, len(ahead) + 1) <= room).sum()) if filled else 0
            found.append(range(start, min(start + max(batch_size, fitting), len(lengths))))
        return found

    @cached_property
    def batches(self) -> InMemory:
        """The model inputs, shortest first."""
        return InMemory(self.encoded.select(self.order))

    def predictions(self, outputs: tuple[np.ndarray, ...]) -> list[Prediction]:
        """Say what the outputs for `batches` mean, one prediction a record.

        Args:
            outputs: Arrays with one row an input, in the order of `batches`.
        """
        restored = tuple(values[np.argsort(self.order)] for values in outputs)
        return self.task.predictions(restored, self.encoded, self.records, self.tokenizer)


@final
class Evaluation:
    """The evaluation sets of a task by split, the one behind the primary metric first."""

    def __init__(self, task: Task, records: Mapping[str, Dataset], tokenizer: PreTrainedTokenizerBase) -> None:
        """Gather what is evaluated.

        Args:
            task: Names the splits, and how many records of each are evaluated during training.
        """
        self.task = task
        self.examples = {split: task.examples(records[split]) for split in task.evaluation_splits}
        self._set = cache(lambda split, count: EvaluationSet(task, _sample(self.examples[split], count), tokenizer))

    def sets(self, *, whole: bool) -> dict[str, EvaluationSet]:
        """The sets by split.

        Args:
            whole: All records, as at the end; else no more than the task wants during training, drawn at random.
        """
        most = None if whole else self.task.evaluation_records
        return {
            split: self._set(split, len(examples) if most is None else min(most, len(examples)))
            for split, examples in self.examples.items()
        }


def _sample(records: Dataset, count: int) -> Dataset:
    """So many of the records in their order, the same ones in every run, so that runs can be compared while they train."""
    if count >= len(records):
        return records
    return records.select(sorted(Random(SAMPLE_SEED).sample(range(len(records)), count)))
