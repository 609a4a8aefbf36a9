"""Classification of a text or a pair of texts, and regression, as in GLUE (Wang et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prune_cli.errors import UserError
from prune_cli.plain import shortened
from prune_cli.tasks.base import Inventor, Prediction, Row, Task, refuse_diverged, refuse_other_labels
from prune_cli.tasks.metrics import CLASS_METRICS, LOWER_IS_BETTER, SCORE_METRICS, Metric
from prune_cli.world.sentences import Inference, SentenceMaker

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.world.facts import World

HIDDEN = -1  # GLUE's label of records whose label is kept secret
INFERENCES: tuple[Inference, ...] = ("entailment", "neutral", "contradiction")
AFFIRMED_SHARE = 0.55  # of the synthetic records of two classes
_FEW = 10
"""Classes at most that whole numbers as scores are taken for, and that a handful of records may have each to themselves."""
_MOST_INVENTED = 20  # classes that synthetic records may have
_SHOWN = 10  # names of classes in a message


@dataclass(frozen=True, kw_only=True)
class TextClassification(Task):
    """One text or two, and a class or a score.

    Attributes:
        text_columns: Columns of the text, one or two.
        label_column: Column of the class or score: a name of `labels`, its number in their order, or a number.
        labels: Names of the classes in label order; none for a regression; None to read them from the training records.
        label_range: Lowest and highest score of a regression, None where any number is right.
        metrics: Names of the metrics, functions of `prune_cli.tasks.metrics`, the primary one among them.
        max_length: Longest model input in tokens, > 2; longer ones are cut.
    """

    names_columns: ClassVar[str] = "task.text_columns and task.label_column name others"

    text_columns: tuple[str, ...]
    labels: tuple[str, ...] | None = None  # pyright: ignore[reportIncompatibleVariableOverride]  # configured, or `fitted`
    label_column: str = "label"
    metrics: tuple[str, ...]
    max_length: int = 128
    label_range: tuple[float, float] | None = None

    def problems(self) -> Iterator[str]:
        """See `Task`."""
        yield from super().problems()
        labels = self.labels or ()
        kind = "regression" if self._regression else "classification"
        if not 1 <= len(self.text_columns) <= 2:
            yield (f"text_columns={list(self.text_columns)}: name one column of text, or two for pairs.")
        if len(set(self.text_columns)) < len(self.text_columns) or self.label_column in self.text_columns:
            yield (
                f"text_columns={list(self.text_columns)}: each is a column of its own, and none that of the label,"
                f" label_column={self.label_column}."
            )
        if len(labels) == 1:
            yield ("labels has one class only: name at least two, or none for a regression.")
        if repeated := sorted({label for label in labels if labels.count(label) > 1}):
            yield (f"labels has {', '.join(repeated)} more than once: a class needs a name of its own.")
        for name in self.metrics:
            if name not in self._known_metrics:
                yield (f"metrics: `{name}` is no metric of a {kind}; known are {', '.join(self._known_metrics)}.")
        if "f1" in self.metrics and len(labels) > 2:
            yield (f"metrics: f1 needs two classes, and labels names {len(labels)}: f1_macro takes any number.")
        if not self.metrics:
            yield f"metrics is empty: name some of {', '.join(self._known_metrics)}."
        elif self.primary_metric not in self.metrics:
            yield (f"primary_metric={self.primary_metric} is not among metrics, {', '.join(self.metrics)}.")
        if self.primary_metric in LOWER_IS_BETTER:
            yield f"primary_metric={self.primary_metric}: a lower one is better, and runs are compared by what is to be high."
        if self.label_range is not None and not self.label_range[0] < self.label_range[1]:
            yield (f"label_range={list(self.label_range)}: the first number must be below the second.")
        if self.max_length <= 2:
            yield (f"max_length={self.max_length}: must be above 2, for text beside the special tokens.")

    @property
    def head(self) -> Head[Any]:
        """A class, or a number where there are no labels."""
        if not self._regression:
            from prune_cli.heads.classification import Classification

            return Classification()
        from prune_cli.heads.regression import Regression

        return Regression()

    @property
    def columns(self) -> Mapping[str, type]:
        """The text columns, then the label: a class number, or a score."""
        return {**dict.fromkeys(self.text_columns, str), self.label_column: float if self._regression else int}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The text columns."""
        return self.text_columns

    @property
    def replaceable(self) -> tuple[str, ...]:
        """All of them."""
        return self.text_columns

    @property
    def _regression(self) -> bool:
        return self.labels == ()

    @property
    def _known_metrics(self) -> Mapping[str, Metric]:
        return SCORE_METRICS if self._regression else CLASS_METRICS

    def labelled(self, names: Mapping[int, str]) -> Self:
        """See `Task`; a regression takes none, though transformers names its one output."""
        return self if self._regression else super().labelled(names)

    def fitted(self, rows: Sequence[Row], labels: Sequence[str] | None) -> Self:
        """Take the classes from the records where they are not configured, and refuse scores that look like classes.

        Raises:
            UserError: If the labels are neither a few classes nor, of a regression, numbers, or their names are not the task's.
        """
        if labels is not None and self._regression:
            raise UserError(
                f"the data name classes, [{', '.join(labels)}], and task {self.name} learns numbers (task.labels=[]): take the"
                " names (labels.json) away, or say task=classification"
            )
        values = [value for row in rows if (value := row.get(self.label_column)) is not None]
        if self._regression and self.label_range is None and 0 < len(few := _few_integers(values)) <= _FEW:
            raise UserError(
                f"`{self.label_column}` of the training records is always one of {', '.join(map(str, few))}. If these are"
                " classes, say task.labels=null and task.metrics=[accuracy] task.primary_metric=accuracy; if they are scores,"
                f" task.label_range=[{few[0]},{few[-1]}]."
            )
        if self.labels is not None:
            if labels is not None and not any(map(_is_number, labels)):
                refuse_other_labels(self, labels)
            return self
        if labels is None and rows and not values:
            return self  # what is wrong with them is told record by record
        labelled = replace(self, labels=tuple(labels) if labels is not None else _classes(values, self.label_column))
        if problems := list(labelled.problems()):
            raise UserError(*(f"task.{problem}" for problem in problems))
        return labelled

    def class_of(self, row: Row) -> str | None:
        """The label, whatever names it."""
        return None if self._regression or (label := row.get(self.label_column)) is None else str(label)

    def named(self, row: Row, names: Sequence[str]) -> Row:
        """The name of the class in place of its number; names that are numbers themselves are those in the records."""
        label = row.get(self.label_column)
        if isinstance(label, bool) or not isinstance(label, int) or label == HIDDEN or any(map(_is_number, names)):
            return row
        if not 0 <= label < len(names):
            raise ValueError(f"`{self.label_column}` is {label}, and the data name {len(names)} classes, 0 to {len(names) - 1}")
        return {**row, self.label_column: names[label]}

    def adapt(self, row: Row) -> Row:
        """Put the number of a class in place of its name.

        Where names of classes are numbers themselves, so are those in the records: 5 is the class "5", not the sixth.
        """
        adapted = dict(super().adapt(row))
        label = adapted.get(self.label_column)
        if not self.labels or label is None or isinstance(label, bool | float | list | dict):
            return adapted
        if isinstance(label, str) or any(_is_number(name) for name in self.labels):
            if str(label) not in self.labels:
                names = ", ".join(self.labels[:_SHOWN]) + (", ..." if len(self.labels) > _SHOWN else "")
                raise ValueError(f"`{self.label_column}` is {shortened(repr(label))}, and the labels are {names}")
            adapted[self.label_column] = self.labels.index(str(label))
        return adapted

    def _record_problem(self, record: Row) -> str | None:
        """No text, or a label that cannot be learned or scored."""
        return self._text_problem(record) or self._label_problem(record[self.label_column])

    def _text_problem(self, record: Row) -> str | None:
        for column in self.text_columns:
            if record[column] is None:
                return f"`{column}` is empty"
        if not any(record[column].strip() for column in self.text_columns):
            return f"no text in {' or '.join(f'`{column}`' for column in self.text_columns)}"
        return None

    def _label_problem(self, label: Any) -> str | None:
        column = self.label_column
        if label is None:
            return f"`{column}` is empty"
        if isinstance(label, bool) or not isinstance(label, int if self.labels else (int, float)):
            return f"`{column}` is {label!r}, not {'a class number' if self.labels else 'a number'}"
        if self.labels:
            if label == HIDDEN:
                return f"`{column}` is {HIDDEN}, a hidden label: such records cannot be trained on or scored"
            if not 0 <= label < len(self.labels):
                return f"`{column}` is {label}, outside 0 to {len(self.labels) - 1} ({', '.join(self.labels)})"
            return None
        if not math.isfinite(label):
            return f"`{column}` is {label}, not a number"
        if self.label_range is not None and not self.label_range[0] <= label <= self.label_range[1]:
            hidden = ", a hidden label: such records cannot be trained on or scored" if label == HIDDEN else ""
            return f"`{column}` is {label}, outside {self.label_range[0]:g} to {self.label_range[1]:g}{hidden}"
        return None

    def model_inputs(
        self, part: Mapping[str, Any], first: int, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Mapping[str, Any]:
        """See `Task`: one input each.

        Returns:
            What the tokenizer makes (`input_ids`, `attention_mask`, for some models `token_type_ids`), `labels` (class
            numbers, or scores as floats; left out where the records have none), `length` (tokens), `record` and `cut`, whether
            its end is left out.
        """
        cut = min(self.max_length, tokenizer.model_max_length)
        least = tokenizer.num_special_tokens_to_add(pair=len(self.text_columns) > 1) + len(self.text_columns)
        if cut < least:
            shorter = "" if cut == self.max_length else f", of which the model takes {cut},"
            raise UserError(
                f"task.max_length={self.max_length}{shorter} leaves nothing of the text beside the special tokens: give at "
                f"least {least}, better the length of a sentence."
            )
        texts = [part[column] for column in self.text_columns]
        inputs = dict(tokenizer(*texts, truncation=True, max_length=cut, return_attention_mask=True))
        if (answers := part.get(self.label_column)) is not None:
            inputs["labels"] = answers if self.labels else [float(score) for score in answers]
        lengths = [len(tokens) for tokens in inputs["input_ids"]]
        longer = self._longer(part, [row for row, length in enumerate(lengths) if length == cut], cut, tokenizer)
        flags = [row in longer for row in range(len(lengths))]
        return {**inputs, "length": lengths, "record": list(range(first, first + len(lengths))), "cut": flags}

    def _longer(self, part: Row, full: Sequence[int], cut: int, tokenizer: PreTrainedTokenizerBase) -> set[int]:
        """Which of the records that fill a model input are longer than it."""
        if not full:
            return set()
        texts = [[part[column][row] for row in full] for column in self.text_columns]
        encode: Any = tokenizer  # its annotations do not know `verbose`, which keeps it quiet about long texts
        whole = encode(*texts, verbose=False)["input_ids"]
        return {row for row, tokens in zip(full, whole, strict=True) if len(tokens) > cut}

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

        Returns:
            `label` and `probabilities` by label, or `score`.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        import numpy as np
        from scipy.special import softmax

        (values,) = outputs
        broken = int(np.sum(~np.isfinite(values.reshape(len(values), -1)).all(axis=-1)))
        refuse_diverged(broken, len(values), "records")
        if not self.labels:
            return [{"score": float(value)} for value in values]
        chosen = values.argmax(axis=-1)
        return [
            {"label": self.labels[best], "probabilities": dict(zip(self.labels, row.tolist(), strict=True))}
            for best, row in zip(chosen, softmax(values.astype(np.float64), axis=-1), strict=True)
        ]

    def _metrics(self, predictions: Sequence[Prediction], records: Dataset) -> dict[str, float]:
        import numpy as np

        numbers = {label: number for number, label in enumerate(self.labels or ())}
        values = [numbers[prediction["label"]] if self.labels else prediction["score"] for prediction in predictions]
        labels = np.asarray(records[self.label_column][:])
        return {name: self._known_metrics[name](values, labels) for name in self.metrics}

    def expected(self, record: Row) -> Prediction:
        """The class, or the score."""
        return {"label": self.labels[record[self.label_column]]} if self.labels else {"score": float(record[self.label_column])}

    def told(self, record: Row) -> Row:
        """The name of the class in place of its number."""
        return {**record, self.label_column: self.labels[record[self.label_column]]} if self.labels else record

    def answered(self, record: Row, prediction: Prediction) -> Row:
        """The class, or the score as far as it is in the range."""
        if self.labels:
            return {**record, self.label_column: self.labels.index(prediction["label"])}
        low, high = self.label_range or (-math.inf, math.inf)
        return {**record, self.label_column: min(max(prediction["score"], low), high)}

    def headline(self, prediction: Prediction) -> str:
        """The class, or the score with two digits."""
        return prediction["label"] if self.labels else f"{prediction['score']:.2f}"

    def right(self, prediction: Prediction, record: Row) -> bool:
        """Whether the class is the labelled one; a score may be off by a tenth of the range, or of 1 where there is none."""
        if self.labels:
            return prediction["label"] == self.labels[record[self.label_column]]
        low, high = self.label_range or (0.0, 1.0)
        return abs(prediction["score"] - record[self.label_column]) <= (high - low) / 10

    def texts(self, records: Dataset) -> list[str]:
        """All text of the records, column after column."""
        return [text for column in self.text_columns for text in records[column]]

    def inventor(self, world: World, random: Random) -> Inventor | None:
        """Sentences: affirmed or not, paraphrases, pairs that follow or contradict, pairs that are alike to some degree.

        For one text or two with two classes, two with entailment, neutral and contradiction, and one or two with a score; of
        other classes each has one sentence more than the one before.
        """
        draw = self._draw(SentenceMaker(world, random), random)
        if draw is None:
            return None

        def invent() -> tuple[Any, list[Row]]:
            texts, label = draw()
            return texts, [{**dict(zip(self.text_columns, texts, strict=True)), self.label_column: label}]

        return invent

    def _draw(self, maker: SentenceMaker, random: Random) -> Callable[[], tuple[tuple[str, ...], int | float | str]] | None:
        """What draws texts and their label; None for labels or columns of another kind."""

        def of_two() -> tuple[bool, int]:
            affirmed = random.random() < AFFIRMED_SHARE
            return affirmed, affirming if affirmed else 1 - affirming

        def verdict() -> tuple[tuple[str, ...], int]:
            affirmed, label = of_two()
            return maker.verdict(affirmed), label

        def paraphrase() -> tuple[tuple[str, ...], int]:
            affirmed, label = of_two()
            return maker.paraphrase(affirmed), label

        def entailment() -> tuple[tuple[str, ...], int]:
            affirmed, label = of_two()
            return maker.inference("entailment" if affirmed else random.choice(("neutral", "contradiction"))), label

        def inference() -> tuple[tuple[str, ...], int]:
            relation = random.choice(INFERENCES)
            return maker.inference(relation), (self.labels or ()).index(relation)

        def of_many() -> tuple[tuple[str, ...], int]:
            number = random.randrange(len(self.labels or ()))
            texts = (
                " ".join(maker.verdict(random.random() < 0.5)[0] for _ in range(number + 1)),
                *maker.verdict(favourable=True),
            )
            return texts[: len(self.text_columns)], number

        def similarity() -> tuple[tuple[str, ...], float]:
            texts, share = maker.similarity()
            low, high = self.label_range or (0.0, 1.0)
            return texts, round(low + share * (high - low), 6)

        affirming = 1
        pair = len(self.text_columns) == 2
        if self.labels is None:

            def named() -> tuple[tuple[str, ...], str]:
                texts, label = paraphrase() if pair else verdict()
                return texts, ("no", "yes")[label]

            return named
        if len(self.labels) == 2:
            # The affirming class is the one whose name does not begin with "not_"; the second where names do not tell.
            affirming = 0 if self.labels[1].startswith("not_") else 1
            return (entailment if "entailment" in self.labels else paraphrase) if pair else verdict
        if pair and set(self.labels) == set(INFERENCES):
            return inference
        if not self._regression:
            return of_many if len(self.labels) <= _MOST_INVENTED else None

        def score() -> tuple[tuple[str, ...], float]:
            affirmed, _ = of_two()
            low, high = self.label_range or (0.0, 1.0)
            return maker.verdict(affirmed), low + (0.75 if affirmed else 0.25) * (high - low)

        return similarity if pair else score


def _classes(values: Sequence[Any], column: str) -> tuple[str, ...]:
    """The names of the classes that labels name, texts in alphabetical order and whole numbers in theirs.

    Raises:
        UserError: If they name none, one, or nearly as many as there are records.
    """
    where = f"`{column}` of the training records"
    if all(isinstance(value, str) for value in values):
        names = sorted(set(values))
    elif all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        names = [str(value) for value in sorted(set(values))]
    else:
        kinds = sorted({type(value).__name__ for value in values})
        raise UserError(
            f"{where} holds {' and '.join(kinds)}: classes are texts or whole numbers alone. For a regression say task=regression"
            " or task.labels=[]."
        )
    if not names:
        raise UserError(f"{where}: there is none. Name the column of the classes with task.label_column=...")
    if len(names) == 1:
        raise UserError(f"{where} is always {names[0]}: there is nothing to tell apart. Give records of two classes at least.")
    if len(names) > max(_FEW, len(values) / 2):
        raise UserError(
            f"{where} has {len(names):,} different values in {len(values):,} records: that is no set of classes. Name another"
            " column with task.label_column=..., or say task=regression for numbers."
        )
    return tuple(names)


def _few_integers(values: Sequence[Any]) -> list[int]:
    """The whole numbers that values are, in order; none where one is something else."""
    whole = [value for value in values if isinstance(value, int | float) and math.isfinite(value) and value == int(value)]
    return sorted({int(value) for value in whole}) if len(whole) == len(values) else []


def _is_number(name: str) -> bool:
    return name.lstrip("-").isdecimal()
