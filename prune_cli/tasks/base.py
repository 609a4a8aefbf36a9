"""The protocol that every task follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Head = Literal["classification", "regression", "tokens", "spans", "text"]
"""Kind of output: a class or a number a record, a class a token, a stretch of the input, a text. See `prune_cli.objectives`."""

Prediction = Mapping[str, Any]
"""What a model says about one record, in words and numbers that JSON can hold."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How texts are generated.

    Attributes:
        max_new_tokens: Tokens of a generated text at most, > 0.
        beams: Beams of the search, > 0; 1 is greedy.
    """

    max_new_tokens: int
    beams: int


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Where a task's records lie on the Hugging Face hub.

    Attributes:
        path: Repository of the data set, "owner/name".
        config: Configuration within it, None for the only one.
        revision: Commit that is read, so that a run can be repeated.
    """

    path: str
    config: str | None = None
    revision: str = "main"


class Task(Protocol):
    """A supervised task: from records to model inputs, from model outputs to predictions, from predictions to metrics.

    Implementations are frozen dataclasses whose fields are the task's YAML.
    """

    @property
    def name(self) -> str:
        """Short name, that of its YAML file."""
        ...

    @property
    def head(self) -> Head:
        """Which kind of output the model needs."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in label order; empty where there are none, or until `fitted` has read them from the records."""
        ...

    @property
    def primary_metric(self) -> str:
        """Key of `score` by which runs are compared; higher is better."""
        ...

    @property
    def max_length(self) -> int:
        """Longest model input in tokens; longer ones are cut or split."""
        ...

    @property
    def generation(self) -> Generation | None:
        """How texts are generated; None for every head but `text`."""
        ...

    @property
    def hub(self) -> HubDataset:
        """Where `data=hub` finds the records."""
        ...

    @property
    def columns(self) -> Mapping[str, type]:
        """Columns that a record has after `adapt`, with the type of their values."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that a prediction needs, in the order in which `prune predict` takes them; the others hold answers."""
        ...

    @property
    def evaluation_splits(self) -> tuple[str, ...]:
        """Splits that are evaluated, the one behind the primary metric first."""
        ...

    @property
    def evaluation_records(self) -> int | None:
        """How many records of a split are evaluated during training, > 0; None for all, as at the end."""
        ...

    def adapt(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring a raw record, of the hub or of a file, into the task's columns; one that has them already stays as it is.

        A prediction's record has the columns of `inputs` alone: the others are then left out.

        Raises:
            ValueError: If it cannot be; the message says why, without naming the record.
        """
        ...

    def fitted(self, rows: Sequence[Mapping[str, Any]], labels: Sequence[str] | None) -> Self:
        """Settle what the records decide: the label set, where the configuration does not give it.

        Args:
            rows: Raw training records.
            labels: Label names that come with the data or the model, in label order; None where none do.

        Returns:
            The task itself, or a copy that knows its labels.

        Raises:
            UserError: If they contradict the configuration.
        """
        ...

    def check(self, records: Dataset) -> list[tuple[int, str]]:
        """Find records that cannot be used, before anything is loaded.

        Returns:
            Pairs of record number (from 0) and what is wrong with it; empty when all is well.
        """
        ...

    def examples(self, records: Dataset) -> Dataset:
        """The records as they are evaluated: those that ask the same of the model become one, with all their answers."""
        ...

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """Turn records into model inputs, unpadded; one record may give several.

        Args:
            records: Those to learn from or, through `examples`, to evaluate; without answers where a prediction is asked for.
            tokenizer: The model's.
            training: Whether they are learned from.

        Returns:
            The columns that the collator of the head's objective reads (prune_cli/objectives), `length` (tokens), `record`
            (number of the record, from 0, ascending) and whatever `predictions` needs.
        """
        ...

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """Say what a model's outputs mean.

        Args:
            outputs: What the head's objective gives, each array with one row an input, in the order of `encoded`; rows are
                padded with -100.
            encoded: What `encode` made of the records, with `training=False`.
            records: The records; only their `inputs` are read.
            tokenizer: The model's.

        Returns:
            One prediction a record, in their order.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        ...

    def score(self, predictions: Sequence[Prediction], records: Dataset, split: str) -> dict[str, float]:
        """Compute the task's official metrics over one whole split.

        Args:
            predictions: One a record.
            records: What `examples` made of the split.
            split: Name of the split, for metrics that are named after it.
        """
        ...

    def texts(self, records: Dataset) -> list[str]:
        """All text of the records; a tokenizer can be trained on it."""
        ...
