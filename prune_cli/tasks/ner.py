"""Named entity recognition: a tag for every word, scored by whole entities."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from prune_cli.errors import UserError
from prune_cli.tasks.base import Generation, Head, HubDataset, Prediction
from prune_cli.tasks.tags import OUTSIDE, entities_of, entity_scores, label_problems, label_set, plain, types_of

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

TOKENS, TAGS = "tokens", "ner_tags"  # columns, named as on the hub
METRICS = ("f1", "precision", "recall", "accuracy")
IGNORED = -100  # label of sub-tokens that are not learned, and padding of outputs
ENCODED_AT_ONCE = 10_000  # records a tokenizer call: bounds the memory that Python lists of numbers take
# Words and marks of a plain text, much as corpora have them: "U.S.", "1,000", "O'Neill" and "AT&T" are one, "Ann's" is two
WORDS = re.compile(
    r"(?:[^\W\d_]\.){2,}|['\u2019](?:s|d|m|ll|re|ve|t)\b|[@#]?\w+(?:[-./&]\w+|[.,:]\d+|['\u2019]\w{3,})*|[^\w\s]"
)


@dataclass(frozen=True, kw_only=True)
class TokenTagging:
    """Words, and a tag of each.

    Attributes:
        name: Short name, that of the YAML file.
        labels: The tags in label order, O, B-X and I-X; none to read them from the records.
        primary_metric: The one by which runs are compared, on the first of `evaluation_splits`.
        max_length: Longest model input in sub-word tokens, > 2; what is beyond is not learned, and tagged O.
        evaluation_splits: Splits that are evaluated, the one behind the primary metric first.
        evaluation_records: How many records of a split are evaluated during training, > 0; null for all, as at the end.
        hub_path: Repository of the data set on the Hugging Face hub, "owner/name"; empty where there is none.
        hub_config: Configuration within it, None for the only one.
        hub_revision: Commit that is read.
    """

    name: str
    labels: tuple[str, ...] = ()
    primary_metric: str = "f1"
    max_length: int = 256
    evaluation_splits: tuple[str, ...] = ("validation",)
    evaluation_records: int | None = None
    hub_path: str = ""
    hub_config: str | None = None
    hub_revision: str = "main"

    def __post_init__(self) -> None:
        """Check the fields against each other.

        Raises:
            UserError: If a field cannot be; it names all that cannot.
        """
        for field in ("labels", "evaluation_splits"):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # YAML has lists only
        problems = list(self._problems())
        if problems:
            raise UserError(*problems)

    def _problems(self) -> Sequence[str]:
        problems = label_problems(self.labels, f"task.labels={_listed(self.labels)}") if self.labels else []
        metrics = (*METRICS, *(f"f1_{kind}" for kind in types_of(self.labels)))
        of_a_type = self.primary_metric.startswith("f1_")  # which types there are, records may have yet to tell
        if self.primary_metric not in metrics and (self.labels or not of_a_type):
            problems.append(
                f"task.primary_metric={self.primary_metric} is no metric of {self.name}; known are {', '.join(metrics)}."
            )
        if self.max_length <= 2:
            problems.append(f"task.max_length={self.max_length}: must be above 2, for text beside the special tokens.")
        if not self.evaluation_splits:
            problems.append("task.evaluation_splits is empty: name at least one split.")
        if self.evaluation_records is not None and self.evaluation_records < 1:
            problems.append(f"task.evaluation_records={self.evaluation_records}: give at least 1, or null for all.")
        return problems

    @property
    def head(self) -> Head:
        """A class a token."""
        return "tokens"

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
        """`tokens`, the words, and `ner_tags`, the label number of each."""
        return {TOKENS: list, TAGS: list}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The words."""
        return (TOKENS,)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.labels)}

    @cached_property
    def _beginnings(self) -> dict[int, int]:
        """Number of B-X by the number of I-X."""
        inside = {label: number for label, number in self._numbers.items() if label.startswith("I-")}
        return {number: self._numbers[f"B-{label[2:]}"] for label, number in inside.items()}

    def adapt(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Split a plain text into words where a prediction is asked for, and turn tags into label numbers of IOB2.

        Tags may be names or numbers, in IOB2 or IOB1, where I-X begins an entity and B-X only one that follows another of its
        type; both are told from the sequence alone. Names may be those of IOBES and BILOU too.

        Raises:
            ValueError: If a token is not text, or a tag is unknown.
        """
        adapted = {column: row[column] for column in self.columns if column in row}
        tokens, tags = adapted.get(TOKENS), adapted.get(TAGS)
        if isinstance(tokens, str) and TAGS not in row:
            adapted[TOKENS] = WORDS.findall(tokens)
        if isinstance(tokens, list) and (wrong := [token for token in tokens if not isinstance(token, str)]):
            raise ValueError(f"`{TOKENS}` holds {wrong[0]!r}, not text")
        if isinstance(tags, list):
            adapted[TAGS] = self._iob2([self._number(tag) for tag in tags])
        return adapted

    def _number(self, tag: Any) -> int:
        if type(tag) is int:
            return tag  # `check` sees whether there is such a label
        number = self._numbers.get(str(tag), self._numbers.get(plain(str(tag))))
        if number is None:
            raise ValueError(f"`{TAGS}` holds the unknown tag {tag!r}; known are {', '.join(self.labels) or 'none'}")
        return number

    def _iob2(self, numbers: Sequence[int]) -> list[int]:
        """Let every entity begin with B-X: an I-X that continues none becomes one."""
        result, before = [], -1
        for number in numbers:
            beginning = self._beginnings.get(number)
            continues = beginning is None or before in (beginning, number)
            result.append(number if continues else beginning)
            before = number
        return result

    def fitted(self, rows: Sequence[Mapping[str, Any]], labels: Sequence[str] | None) -> Self:
        """Settle the label set: the configured one, else the one that comes along, else that of the tags' names.

        Args:
            rows: Raw training records.
            labels: Label names that come with the data or the model, in label order; None where none do.

        Returns:
            The task itself where its labels are configured, else a copy with O and, by type in alphabetical order, B-X, I-X.

        Raises:
            UserError: If label names contradict the configuration or are no tags, or if tags are numbers without names.
        """
        if labels is not None and (
            problems := label_problems(labels, f"The label names of the data, {_listed(labels)}")
        ):
            raise UserError(*problems)
        if self.labels:
            if labels is not None and tuple(labels) != self.labels:
                raise UserError(
                    f"task.labels is {_listed(self.labels)}, but the label names of the data are {_listed(labels)}: "
                    "label numbers would mean another tag. Make both the same, or set task.labels=[] to take the data's."
                )
            return self
        return dataclasses.replace(self, labels=_labels_of(rows) if labels is None else tuple(labels))

    def check(self, records: Dataset) -> list[tuple[int, str]]:
        """Find records without words, or whose tags do not fit them or the label set.

        Returns:
            Pairs of record number (from 0) and what is wrong with it, in order; empty when all is well.
        """
        problems = []
        for number, (tokens, tags) in enumerate(zip(records[TOKENS][:], records[TAGS][:], strict=True)):
            if reason := self._problem(tokens, tags):
                problems.append((number, reason))
        return problems

    def _problem(self, tokens: Sequence[str] | None, tags: Sequence[int] | None) -> str | None:
        if not tokens:
            return f"no words in `{TOKENS}`"
        if "" in tokens:
            return f"word {tokens.index('') + 1} of `{TOKENS}` is empty"
        if tags is None:
            return f"`{TAGS}` is empty"
        if len(tokens) != len(tags):
            return f"{len(tokens)} words in `{TOKENS}`, but {len(tags)} tags in `{TAGS}`"
        for tag in tags:
            if not 0 <= tag < len(self.labels):
                return f"`{TAGS}` holds {tag}, outside 0 to {len(self.labels) - 1} ({', '.join(self.labels)})"
        return None

    def examples(self, records: Dataset) -> Dataset:
        """The records themselves."""
        return records

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """Turn records into model inputs, unpadded, one each.

        The first sub-word token of a word has the word's label, all others -100.

        Returns:
            What the tokenizer makes (`input_ids`, `attention_mask`, for some models `token_type_ids`), `labels` (left out where
            the records have none), `length` (tokens), `record` and `words`: where the first sub-word token of each word
            stands, -1 for a word that has none or is cut off. It lives in memory; nothing is cached on disk.
        """
        from copy import deepcopy

        from datasets import Dataset, concatenate_datasets

        # A fast tokenizer keeps the cut as state: the caller's would save it, and fail if used by two threads at once.
        tokenizer = deepcopy(tokenizer)
        cut = min(self.max_length, tokenizer.model_max_length)
        parts = []
        for start in range(0, len(records), ENCODED_AT_ONCE):
            part = records[start : start + ENCODED_AT_ONCE]
            inputs = tokenizer(
                # Byte-level tokenizers take a word without a blank for the rest of a longer one; to the others it is nothing.
                [[f" {token}" for token in tokens] for tokens in part[TOKENS]],
                is_split_into_words=True,
                truncation=True,
                max_length=cut,
                return_attention_mask=True,
            )
            lengths = [len(tokens) for tokens in inputs["input_ids"]]
            words = [_first_of_each(inputs.word_ids(row), len(tokens)) for row, tokens in enumerate(part[TOKENS])]
            columns = {**inputs, "length": lengths, "record": [*range(start, start + len(lengths))], "words": words}
            if TAGS in part:
                columns["labels"] = [_spread(*row) for row in zip(part[TAGS], words, lengths, strict=True)]
            parts.append(Dataset.from_dict(columns))
        encoded = concatenate_datasets(parts)
        if training:  # a mean over no labelled token is no number
            encoded = encoded.select(
                [row for row, words in enumerate(encoded["words"][:]) if any(word >= 0 for word in words)]
            )
        return encoded

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """A tag a word, and the entities that they make.

        Args:
            outputs: One array: the most probable class of each sub-word token, [records, tokens], -100 on padding and where
                the logits are not finite.
            encoded: What `encode` made of the records.
            records: The records.
            tokenizer: The model's.

        Returns:
            `entities`: `type`, `text` (words joined by blanks), `start` and `end`, positions of the first word and behind the
            last; an I-X that continues no entity of type X is part of none, as in the strict mode of seqeval. Then `tokens`,
            the words, and `tags`, one each, O for a word that the model has not seen.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        (classes,) = outputs
        # Tokens stand at the right end of their batch under left padding; behind it are the widths of other batches
        starts = (classes != IGNORED).argmax(axis=1) if tokenizer.padding_side == "left" else [0] * len(classes)
        chosen = [
            [int(row[start + word]) if word >= 0 else self._numbers[OUTSIDE] for word in words]
            for row, start, words in zip(classes, starts, encoded["words"][:], strict=True)
        ]
        if broken := sum(IGNORED in numbers for numbers in chosen):
            raise UserError(
                f"Training diverged: outputs for {broken} of {len(chosen)} records are not finite. "
                "Lower trainer.learning_rate, or set trainer.precision=fp32."
            )
        made = []
        for tokens, numbers in zip(records[TOKENS][:], chosen, strict=True):
            tags = [self.labels[number] for number in numbers]
            entities = [
                {"type": kind, "text": " ".join(tokens[start:end]), "start": start, "end": end}
                for kind, start, end in entities_of(tags)
            ]
            made.append({"entities": entities, TOKENS: tokens, "tags": tags})
        return made

    def score(self, predictions: Sequence[Prediction], records: Dataset, split: str) -> dict[str, float]:
        """Compute precision, recall and F1 of entities, also by type, and the accuracy of tags, over one whole split.

        Args:
            predictions: One a record.
            records: The records.
            split: Name of the split. Keys of all but the first of `evaluation_splits` end in what tells it apart: `f1_test`.

        Returns:
            What `entity_scores` says.
        """
        right = [[self.labels[number] for number in numbers] for numbers in records[TAGS][:]]
        scores = entity_scores(right, [made["tags"] for made in predictions], types_of(self.labels))
        suffix = "" if split == self.evaluation_splits[0] else "_" + split.removeprefix("validation_")
        return {f"{name}{suffix}": value for name, value in scores.items()}

    def texts(self, records: Dataset) -> list[str]:
        """The words of each record, joined by blanks."""
        return [" ".join(tokens) for tokens in records[TOKENS][:]]


def _labels_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The label set of tags that are names; empty where there are no tags."""
    tags = [tag for row in rows if isinstance(row.get(TAGS), list) for tag in row[TAGS]]
    if any(type(tag) is int for tag in tags):
        raise UserError(
            f"`{TAGS}` of the training records are numbers, and nothing names them: put the names in label order into "
            'labels.json beside the files, ["O", "B-PER", "I-PER"] say, or give task.labels=[O,B-PER,I-PER].'
        )
    names = {tag for tag in tags if isinstance(tag, str)}
    labels = label_set(names)
    if names and labels == (OUTSIDE,):
        raise UserError(
            f"`{TAGS}` of the training records name no entity, only {', '.join(sorted(names)[:5])}: "
            f"tags are {OUTSIDE}, and B-X or I-X for each type X."
        )
    return labels if names else ()


def _first_of_each(word_ids: Sequence[int | None], count: int) -> list[int]:
    """Where the first token of each of so many words stands, -1 where it has none."""
    words = [-1] * count
    for position, word in enumerate(word_ids):
        if word is not None and words[word] < 0:
            words[word] = position
    return words


def _spread(tags: Sequence[int], words: Sequence[int], length: int) -> list[int]:
    """The tag of each word at its position, -100 at all others."""
    labels = [IGNORED] * length
    for tag, position in zip(tags, words, strict=True):
        if position >= 0:
            labels[position] = tag
    return labels


def _listed(labels: Sequence[str]) -> str:
    return f"[{', '.join(labels)}]"
