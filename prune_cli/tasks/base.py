"""The protocol that every task follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Head = Literal["classification", "regression"]


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
    """A supervised task: from records to model inputs, from model outputs to metrics.

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
        """Names of the classes in label order; empty for a regression."""
        ...

    @property
    def primary_metric(self) -> str:
        """Key of `score` by which runs are compared; higher is better."""
        ...

    @property
    def max_length(self) -> int:
        """Longest model input in tokens; longer ones are cut."""
        ...

    @property
    def hub(self) -> HubDataset:
        """Where `data=hub` finds the records."""
        ...

    @property
    def columns(self) -> Mapping[str, type]:
        """Columns that a record must have, with the type of their values."""
        ...

    @property
    def evaluation_splits(self) -> tuple[str, ...]:
        """Splits that are evaluated, the one behind the primary metric first."""
        ...

    def check(self, records: Dataset) -> list[tuple[int, str]]:
        """Find records that cannot be used, before anything is loaded.

        Returns:
            Pairs of record number (from 0) and what is wrong with it; empty when all is well.
        """
        ...

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
        """Turn records into model inputs, unpadded, with a `labels` column and a `length` column."""
        ...

    def score(self, outputs: np.ndarray, encoded: Dataset, records: Dataset, split: str) -> dict[str, float]:
        """Compute the task's official metrics over one whole split.

        Args:
            outputs: The model's logits, [records, classes] or [records, 1] for a regression.
            encoded: What `encode` made of the records.
            records: The records themselves.
            split: Name of the split, for metrics that are named after it.
        """
        ...

    def texts(self, records: Dataset) -> list[str]:
        """All text of the records; a tokenizer can be trained on it."""
        ...
