"""What every task is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prune_cli.data.formats import TABLES
from prune_cli.errors import Diverged, UserError

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.data.formats import Reader
    from prune_cli.heads.base import Head
    from prune_cli.world.facts import World

Row = Mapping[str, Any]
"""A record: a value a column."""

Prediction = Mapping[str, Any]
"""What a model says about one record, in words and numbers that JSON can hold."""

Inventor = Callable[[], tuple[Any, list[Row]]]
"""Makes a synthetic record: what it asks, by which repetitions are told, and its rows: one, or one an answer."""


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A supervised task: from records to model inputs, from a head's outputs to predictions, from predictions to metrics.

    A task is a frozen dataclass, whose fields are those of its YAML. Each adds its own to these.

    Attributes:
        name: Short name, that of the YAML file.
        primary_metric: The one by which runs are compared, on the first of `evaluation_splits`; higher is better.
        max_length: Longest model input in tokens; longer ones are cut or split.
        evaluation_splits: Splits that are evaluated, the one behind the primary metric first.
        evaluation_records: How many records of a split are evaluated during training, > 0; null for all, as at the end.
        hub_path: Repository of the data set on the Hugging Face hub, "owner/name"; empty where there is none.
        hub_config: Configuration within it, None for the only one.
        hub_revision: Commit that is read.
    """

    name: str
    primary_metric: str
    max_length: int
    evaluation_splits: tuple[str, ...] = ("validation",)
    evaluation_records: int | None = None
    hub_path: str = ""
    hub_config: str | None = None
    hub_revision: str = "main"

    encoded_at_once: ClassVar[int] = 10_000
    """Records a tokenizer call: bounds the memory that lists of numbers take outside a data set."""
    labels: ClassVar[tuple[str, ...]] = ()
    """Names of the classes in label order; none where there are none. A field where they are configured, or read by `fitted`."""

    names_columns: ClassVar[str] = ""
    """The options that name the columns, as a message says it; empty where their names are given by the format."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if not self.evaluation_splits:
            yield "evaluation_splits is empty: name at least one split."
        if len(set(self.evaluation_splits)) < len(self.evaluation_splits):
            yield f"evaluation_splits names one twice: {', '.join(self.evaluation_splits)}."
        for split in self.evaluation_splits:
            if not re.fullmatch(r"\w[\w.-]*", split):
                yield f"evaluation_splits: `{split}` is no name of a split, which has letters, digits, and . _ - alone."
        if self.evaluation_records is not None and self.evaluation_records < 1:
            yield f"evaluation_records={self.evaluation_records}: give at least 1, or null for all."

    @property
    @abstractmethod
    def head(self) -> Head[Any]:
        """What the model puts out, and what is decided there."""

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, type]:
        """Columns that a record has after `adapt`, with the type of their values."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Columns that a prediction needs, in the order in which `prune predict` takes them; the others hold answers."""

    @property
    def replaceable(self) -> tuple[str, ...]:
        """Columns of `inputs` with texts that stay of their kind with other words in place of some; none where there is none."""
        return ()

    @property
    def key(self) -> str | None:
        """Column that tells raw records apart, where they have it: no two of a split may share its value. None for no such."""
        return None

    @property
    def formats(self) -> Mapping[str, Reader]:
        """What reads the files of `data=local`, by their ending: the first is the one that messages name."""
        return TABLES

    def adapt(self, row: Row) -> Row:
        """Bring a raw record, of the hub or of a file, into the task's columns; one that has them already stays as it is.

        A prediction's record has the columns of `inputs` alone: the others are then left out.

        Raises:
            ValueError: If it cannot be; the message says why, without naming the record.
        """
        return {column: row[column] for column in self.columns if column in row}

    def class_of(self, row: Row) -> str | None:
        """The class of a raw record, of which a model has to see one; None where records have none."""
        return None

    def named(self, row: Row, names: Sequence[str]) -> Row:
        """A raw record with the names of its classes in place of their numbers, which may stand in another order than the task's.

        Raises:
            ValueError: If a number has no name; the message says so, without naming the record.
        """
        return row

    def labelled(self, names: Mapping[int, str]) -> Self:
        """The task with the labels of a saved model, where it has none of its own.

        Args:
            names: The model's `id2label`.
        """
        return self if self.labels else self.fitted([], [names[number] for number in range(len(names))])

    def fitted(self, rows: Sequence[Row], labels: Sequence[str] | None) -> Self:
        """Settle what the records decide: the label set, where the configuration does not give it.

        Args:
            labels: Label names that come with the data or the model, in label order; None where none do.

        Returns:
            The task itself, or a copy that knows its labels.

        Raises:
            UserError: If they contradict the configuration.
        """
        return self

    def check(self, records: Dataset) -> list[tuple[int, str]]:
        """Find records that cannot be used, before anything is loaded.

        Returns:
            Pairs of record number (from 0) and what is wrong with it, in order; empty when all is well.
        """
        rows = zip(*(records[column][:] for column in self.columns), strict=True)
        problems = ((number, self._record_problem(dict(zip(self.columns, row, strict=True)))) for number, row in enumerate(rows))
        return [(number, reason) for number, reason in problems if reason is not None]

    @abstractmethod
    def _record_problem(self, record: Row) -> str | None:
        """What is wrong with a record that has `columns`, each None or of its type; None where it can be used."""

    def notes(self, rows: Sequence[Row]) -> list[str]:
        """What is worth saying aloud of raw training records that can be used, but are read otherwise than they are written."""
        return []

    def examples(self, records: Dataset) -> Dataset:
        """The records as they are evaluated: those that ask the same of the model become one, with all their answers."""
        return records

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """Turn records into model inputs, unpadded; one record may give several. They live in memory, not in a cache.

        Args:
            records: Those to learn from or, through `examples`, to evaluate; without answers where a prediction is asked for.

        Returns:
            What `model_inputs` gives.

        Raises:
            UserError: If the tokenizer cannot do what the task needs.
        """
        from copy import deepcopy

        from datasets import Dataset, concatenate_datasets

        # A fast tokenizer keeps cuts and special tokens as state: the caller's would save it, and two threads must not share it
        tokenizer, size = deepcopy(tokenizer), self.encoded_at_once
        parts = [
            Dataset.from_dict(dict(self.model_inputs(records[start : start + size], start, tokenizer, training=training)))
            for start in range(0, len(records), size)
        ]
        return concatenate_datasets(parts)

    @abstractmethod
    def model_inputs(
        self, part: Mapping[str, Any], first: int, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Mapping[str, Any]:
        """Model inputs of some records, as columns.

        Args:
            first: Number of the first of them.
            tokenizer: The task's own copy of the model's.

        Returns:
            What the head's collator reads, `length` (tokens), `record` (number of the record, from 0, ascending) and whatever
            `predictions` needs.
        """

    @abstractmethod
    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """Say what a model's outputs mean.

        Args:
            outputs: The head's predictions, each array with one row an input, in the order of `encoded`; rows are padded with
                -100.
            encoded: What `encode` made of the records, with `training=False`.
            records: The records; only their `inputs` are read.

        Returns:
            One prediction a record, in their order.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """

    def score(self, predictions: Sequence[Prediction], records: Dataset, split: str) -> dict[str, float]:
        """Compute the task's official metrics over one whole split.

        Args:
            records: What `examples` made of the split.
            split: Name of the split. Keys of all but the first of `evaluation_splits` end in what tells it apart: `f1_test`,
                `accuracy_mismatched` for `validation_mismatched`.
        """
        suffix = "" if split == self.evaluation_splits[0] else "_" + split.removeprefix("validation_")
        return {f"{name}{suffix}": value for name, value in self._metrics(predictions, records).items()}

    @abstractmethod
    def _metrics(self, predictions: Sequence[Prediction], records: Dataset) -> dict[str, float]:
        """The metrics by name."""

    @property
    def predicts(self) -> bool:
        """Whether evaluations predict; else they compute the loss alone."""
        return True

    def metrics_of_loss(self, loss: float) -> dict[str, float]:
        """The metrics that say the loss of the first split in another way."""
        return {}

    def signatures(self, records: Dataset) -> dict[str, str]:
        """How metrics are computed, in the words of the library that does, by metric; empty where it has none."""
        return {}

    @abstractmethod
    def expected(self, record: Row) -> Prediction:
        """What a prediction would say that is right."""

    def told(self, record: Row) -> Row:
        """A record as predictions speak of it: classes by their names."""
        return record

    def answered(self, record: Row, prediction: Prediction) -> Row | None:
        """A record to learn from, of which a teacher has said what is right; the inverse of `expected`.

        Returns:
            The record in the task's columns; None where nothing can be learned from such a prediction.
        """
        return None

    def headline(self, prediction: Prediction) -> str:
        """A prediction in a few words, for tables of samples: its first value."""
        return str(next(iter(prediction.values())))

    def right(self, prediction: Prediction, record: Row) -> bool:
        """Whether a prediction is what a person would call right, to show some of both kinds; no metric."""
        return self.headline(prediction) == self.headline(self.expected(record))

    @abstractmethod
    def texts(self, records: Dataset) -> list[str]:
        """All text of the records; a tokenizer can be trained on it."""

    def inventor(self, world: World, random: Random) -> Inventor | None:
        """What makes synthetic records of the task's shape; None where nothing does."""
        return None


def refuse_other_labels(task: Task, names: Sequence[str]) -> None:
    """Refuse label names of records that the task does not know.

    Raises:
        UserError: If there is one.
    """
    if unknown := [name for name in names if name not in task.labels]:
        raise UserError(
            f"the label names of the data are [{', '.join(names)}], and {unknown[0]} is none of task {task.name}, which has"
            f" [{', '.join(task.labels)}]. Where both mean the same, give task.labels=[...] with the names of the data, in the"
            " order of the task's"
        )


def refuse_diverged(broken: int, total: int, what: str) -> None:
    """Stop where outputs are no numbers.

    Raises:
        Diverged: If there are any.
    """
    if broken:
        raise Diverged(
            f"Training diverged: outputs for {broken} of {total} {what} are not finite. "
            "Lower trainer.learning_rate, or set trainer.precision=fp32."
        )
