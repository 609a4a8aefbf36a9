"""Classification of a text or a pair of texts, and regression: the tasks of GLUE (Wang et al. 2019).

Which task it is, its YAML in conf/task says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from prune_cli.errors import UserError
from prune_cli.tasks.base import Generation, Head, HubDataset, Prediction
from prune_cli.tasks.metrics import CLASS_METRICS, SCORE_METRICS, Metric

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

LABEL = "label"
HIDDEN = -1  # GLUE's label of records whose label is kept secret
ENCODED_AT_ONCE = 10_000  # records a tokenizer call: bounds the memory that Python lists of numbers take


@dataclass(frozen=True, kw_only=True)
class TextClassification:
    """One text or two, and a class or a score.

    Attributes:
        name: Short name, that of the YAML file.
        text_columns: Columns of the text, one or two.
        labels: Names of the classes in label order; none for a regression.
        label_range: Lowest and highest score of a regression, None where any number is right.
        metrics: Names of the metrics, functions of `prune_cli.tasks.metrics`.
        primary_metric: The one by which runs are compared, on the first of `evaluation_splits`.
        max_length: Longest model input in tokens, > 2; longer ones are cut.
        evaluation_splits: Splits that are evaluated, the one behind the primary metric first.
        evaluation_records: How many records of a split are evaluated during training, > 0; null for all, as at the end.
        hub_path: Repository of the data set on the Hugging Face hub, "owner/name".
        hub_config: Configuration within it, None for the only one.
        hub_revision: Commit that is read.
    """

    name: str
    text_columns: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    primary_metric: str
    hub_path: str
    hub_config: str | None = None
    hub_revision: str = "main"
    label_range: tuple[float, float] | None = None
    max_length: int = 128
    evaluation_splits: tuple[str, ...] = ("validation",)
    evaluation_records: int | None = None

    def __post_init__(self) -> None:
        """Check the fields against each other.

        Raises:
            UserError: If a field cannot be; it names all that cannot.
        """
        for field in ("text_columns", "labels", "metrics", "evaluation_splits"):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # YAML has lists only
        if self.label_range is not None:
            object.__setattr__(self, "label_range", tuple(self.label_range))
        problems = list(self._problems())
        if problems:
            raise UserError(*problems)

    def _problems(self) -> Sequence[str]:
        problems = []
        if not 1 <= len(self.text_columns) <= 2:
            problems.append(f"task.text_columns={list(self.text_columns)}: name one column of text, or two for pairs.")
        if len(self.labels) == 1:
            problems.append("task.labels has one class only: name at least two, or none for a regression.")
        if repeated := sorted({label for label in self.labels if self.labels.count(label) > 1}):
            problems.append(f"task.labels has {', '.join(repeated)} more than once: a class needs a name of its own.")
        for name in self.metrics:
            if name not in self._known_metrics:
                problems.append(
                    f"task.metrics: `{name}` is no metric of a {self.head}; known are {', '.join(self._known_metrics)}."
                )
        if "f1" in self.metrics and len(self.labels) > 2:
            problems.append(f"task.metrics: f1 needs two classes, and task.labels names {len(self.labels)}.")
        if self.primary_metric not in self.metrics:
            problems.append(
                f"task.primary_metric={self.primary_metric} is not among task.metrics, {', '.join(self.metrics)}."
            )
        if self.label_range is not None and not self.label_range[0] < self.label_range[1]:
            problems.append(f"task.label_range={list(self.label_range)}: the first number must be below the second.")
        if self.max_length <= 2:
            problems.append(f"task.max_length={self.max_length}: must be above 2, for text beside the special tokens.")
        if not self.evaluation_splits:
            problems.append("task.evaluation_splits is empty: name at least one split.")
        if self.evaluation_records is not None and self.evaluation_records < 1:
            problems.append(f"task.evaluation_records={self.evaluation_records}: give at least 1, or null for all.")
        return problems

    @property
    def head(self) -> Head:
        """Classification, or regression where there are no labels."""
        return "classification" if self.labels else "regression"

    @property
    def generation(self) -> Generation | None:
        """Nothing is generated."""
        return None

    @property
    def hub(self) -> HubDataset:
        """Where `data=hub` finds the records."""
        return HubDataset(path=self.hub_path, config=self.hub_config, revision=self.hub_revision)

    @property
    def columns(self) -> Mapping[str, type]:
        """The text columns, then the label: a class number, or a score."""
        return {**dict.fromkeys(self.text_columns, str), LABEL: int if self.labels else float}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The text columns."""
        return self.text_columns

    @property
    def _known_metrics(self) -> Mapping[str, Metric]:
        return CLASS_METRICS if self.labels else SCORE_METRICS

    def adapt(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The columns that it has among the task's."""
        return {column: row[column] for column in self.columns if column in row}

    def fitted(self, rows: Sequence[Mapping[str, Any]], labels: Sequence[str] | None) -> Self:
        """The task itself: its labels are given."""
        return self

    def check(self, records: Dataset) -> list[tuple[int, str]]:
        """Find records without text or with a label that cannot be learned or scored.

        Returns:
            Pairs of record number (from 0) and what is wrong with it, in order; empty when all is well.
        """
        texts = zip(*(records[column][:] for column in self.text_columns), strict=True)
        problems = []
        for number, (text, label) in enumerate(zip(texts, records[LABEL][:], strict=True)):
            if reason := self._text_problem(text) or self._label_problem(label):
                problems.append((number, reason))
        return problems

    def _text_problem(self, texts: Sequence[str | None]) -> str | None:
        for column, text in zip(self.text_columns, texts, strict=True):
            if text is None:
                return f"`{column}` is empty"
        if not any(text.strip() for text in texts if text is not None):
            return f"no text in {' or '.join(f'`{column}`' for column in self.text_columns)}"
        return None

    def _label_problem(self, label: Any) -> str | None:
        if label is None:
            return f"`{LABEL}` is empty"
        if isinstance(label, bool) or not isinstance(label, int if self.labels else (int, float)):
            return f"`{LABEL}` is {label!r}, not {'a class number' if self.labels else 'a number'}"
        if self.labels:
            if label == HIDDEN:
                return f"`{LABEL}` is {HIDDEN}, a hidden label: such records cannot be trained on or scored"
            if not 0 <= label < len(self.labels):
                return f"`{LABEL}` is {label}, outside 0 to {len(self.labels) - 1} ({', '.join(self.labels)})"
            return None
        if not math.isfinite(label):
            return f"`{LABEL}` is {label}, not a number"
        if self.label_range is not None and not self.label_range[0] <= label <= self.label_range[1]:
            hidden = ", a hidden label: such records cannot be trained on or scored" if label == HIDDEN else ""
            return f"`{LABEL}` is {label}, outside {self.label_range[0]:g} to {self.label_range[1]:g}{hidden}"
        return None

    def examples(self, records: Dataset) -> Dataset:
        """The records themselves."""
        return records

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """Turn records into model inputs, unpadded, one each.

        Returns:
            What the tokenizer makes (`input_ids`, `attention_mask`, for some models `token_type_ids`), `labels` (class
            numbers, or scores as floats; left out where the records have none), `length` (tokens) and `record`. It lives
            in memory; nothing is cached on disk.
        """
        from copy import deepcopy

        from datasets import Dataset, concatenate_datasets

        # A fast tokenizer keeps the cut as state: the caller's would save it, and fail if used by two threads at once.
        tokenizer = deepcopy(tokenizer)
        cut = min(self.max_length, tokenizer.model_max_length)
        least = tokenizer.num_special_tokens_to_add(pair=len(self.text_columns) > 1) + len(self.text_columns)
        if cut < least:
            shorter = "" if cut == self.max_length else f", of which the model takes {cut},"
            raise UserError(
                f"task.max_length={self.max_length}{shorter} leaves nothing of the text beside the special tokens: give at "
                f"least {least}, better the length of a sentence."
            )
        parts = []
        for start in range(0, len(records), ENCODED_AT_ONCE):
            part = records[start : start + ENCODED_AT_ONCE]
            inputs = dict(
                tokenizer(
                    *(part[column] for column in self.text_columns),
                    truncation=True,
                    max_length=cut,
                    return_attention_mask=True,
                )
            )
            if LABEL in part:
                inputs["labels"] = part[LABEL] if self.labels else [float(score) for score in part[LABEL]]
            lengths = [len(tokens) for tokens in inputs["input_ids"]]
            numbers = range(start, start + len(lengths))
            parts.append(Dataset.from_dict({**inputs, "length": lengths, "record": list(numbers)}))
        return concatenate_datasets(parts)

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """The most probable class with the probability of each, or the score.

        Args:
            outputs: One array: the model's logits, [records, classes], or scores, [records].
            encoded: What `encode` made of the records.
            records: The records.
            tokenizer: The model's.

        Returns:
            `label` and `probabilities` by label, or `score`.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        import numpy as np
        from scipy.special import softmax

        (values,) = outputs
        broken = int(np.sum(~np.isfinite(values.reshape(len(values), -1)).all(axis=-1)))
        if broken:
            raise UserError(
                f"Training diverged: {broken} of {len(values)} outputs are not finite. "
                "Lower trainer.learning_rate, or set trainer.precision=fp32."
            )
        if not self.labels:
            return [{"score": float(value)} for value in values]
        chosen = values.argmax(axis=-1)
        return [
            {"label": self.labels[best], "probabilities": dict(zip(self.labels, row.tolist(), strict=True))}
            for best, row in zip(chosen, softmax(values.astype(np.float64), axis=-1), strict=True)
        ]

    def score(self, predictions: Sequence[Prediction], records: Dataset, split: str) -> dict[str, float]:
        """Compute the task's metrics over one whole split.

        Args:
            predictions: One a record.
            records: The records.
            split: Name of the split. Keys of all but the first of `evaluation_splits` end in what tells it apart:
                `accuracy_mismatched` for `validation_mismatched`.
        """
        import numpy as np

        numbers = {label: number for number, label in enumerate(self.labels)}
        values = [numbers[made["label"]] if self.labels else made["score"] for made in predictions]
        labels = np.asarray(records[LABEL][:])
        suffix = "" if split == self.evaluation_splits[0] else "_" + split.removeprefix("validation_")
        return {f"{name}{suffix}": self._known_metrics[name](values, labels) for name in self.metrics}

    def texts(self, records: Dataset) -> list[str]:
        """All text of the records, column after column."""
        return [text for column in self.text_columns for text in records[column]]
