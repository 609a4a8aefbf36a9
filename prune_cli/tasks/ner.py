"""Named entity recognition: a tag for every word, scored by whole entities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import regex

from prune_cli.data.conll import read_conll
from prune_cli.data.formats import TABLES, Reader
from prune_cli.errors import UserError
from prune_cli.heads import IGNORED
from prune_cli.tasks.base import Inventor, Prediction, Row, Task, refuse_diverged, refuse_other_labels
from prune_cli.tasks.tags import (
    BY_TYPE,
    OUTSIDE,
    PREFIXES,
    UNTYPED,
    entities_of,
    entity_scores,
    label_problems,
    label_set,
    plain,
    types_of,
)
from prune_cli.world.stories import StoryTeller

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.world.facts import Kind, World

TOKENS, TAGS = "tokens", "ner_tags"  # columns, named as on the hub
TEXT = "text"  # column of a plain text that a prediction is asked for
FORMATS: Mapping[str, Reader] = MappingProxyType(
    {ending: reader for ending, reader in TABLES.items() if ending not in (".csv", ".tsv")}
    | dict.fromkeys((".conll", ".txt", ".bio"), read_conll)
)
ENTITY_TYPES: Mapping[Kind, tuple[str, ...]] = {
    "person": ("PER", "PERSON", "person"),
    "place": ("LOC", "GPE", "LOCATION", "location"),
    "company": ("ORG", "ORGANIZATION", "corporation"),
    "work": ("MISC", "WORK_OF_ART", "creative-work"),
}
"""What label sets call the kinds of things of the synthetic world; the first where the label set is read from the records."""
METRICS = ("f1", "precision", "recall", "accuracy")
# Words and marks of a plain text, much as corpora have them: "U.S.", "1,000", "O'Neill" and "AT&T" are one, "Ann's" is two.
# Combining marks and joiners belong to their word; so does each mark or emoji with what is joined to it.
_IN_WORD = r"[\w\u200c\u200d]"
WORDS = regex.compile(
    rf"(?:[^\W\d_]\p{{M}}*\.){{2,}}|['\u2019](?:s|d|m|ll|re|ve|t)\b"
    rf"|[@#]?\w{_IN_WORD}*(?:[-./&]\w{_IN_WORD}*|[.,:]\d+|['\u2019]\w{{3,}})*|(?!\s)\X"
)


@dataclass(frozen=True, kw_only=True)
class TokenTagging(Task):
    """Words, and a tag of each.

    What is too long for the model is read in windows that overlap; each word is read where it has the most text around it.

    Attributes:
        labels: The tags in label order, O, B-X and I-X; none to read them from the records.
        max_length: Longest model input in sub-word tokens, > 2; longer records are read in several.
        stride: Tokens, >= 0, that two neighbouring windows share; never more than half of a window.
    """

    labels: tuple[str, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]  # configured, or read from records
    primary_metric: str = "f1"
    max_length: int = 256
    stride: int = 64

    def problems(self) -> Iterator[str]:
        """See `Task`."""
        yield from super().problems()
        if self.labels:
            yield from label_problems(self.labels, f"labels={_listed(self.labels)}")
        metrics = (*METRICS, *(f"{name}_{kind}" for kind in types_of(self.labels) for name in BY_TYPE))
        # Which types there are, records may have yet to tell
        of_a_type = self.primary_metric.startswith(tuple(f"{name}_" for name in BY_TYPE))
        if self.primary_metric not in metrics and (self.labels or not of_a_type):
            yield f"primary_metric={self.primary_metric} is no metric of {self.name}; known are {', '.join(metrics)}."
        if self.max_length <= 2:
            yield f"max_length={self.max_length}: must be above 2, for text beside the special tokens."
        if self.stride < 0:
            yield f"stride={self.stride}: give at least 0."

    @property
    def head(self) -> Head[Any]:
        """A class a token."""
        from prune_cli.heads.tokens import Tokens

        return Tokens()

    @property
    def formats(self) -> Mapping[str, Reader]:
        """Columns of words and tags too, and no CSV or TSV: a list does not fit into a cell."""
        return FORMATS

    @property
    def key(self) -> str:
        """The hub's number of a sentence."""
        return "id"

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

    def named(self, row: Row, names: Sequence[str]) -> Row:
        """The names of the tags in place of their numbers."""
        if not isinstance(tags := _tags_of(row), list):
            return row
        if wrong := [tag for tag in tags if type(tag) is int and not 0 <= tag < len(names)]:
            raise ValueError(f"`{TAGS}` holds {wrong[0]}, and the data name {len(names)} tags, 0 to {len(names) - 1}")
        return {**row, TAGS: [names[tag] if type(tag) is int else tag for tag in tags]}

    def adapt(self, row: Row) -> Row:
        """Split a plain text into words where a prediction is asked for, and turn tags into label numbers of IOB2.

        Tags may be names or numbers, in IOB2 or IOB1, where I-X begins an entity and B-X only one that follows another of its
        type; both are told from the sequence alone. Names may be those of IOBES and BILOU too.

        Raises:
            ValueError: If a token is not text, or a tag is unknown.
        """
        adapted = {TOKENS: row[TOKENS]} if TOKENS in row else {}
        tokens, tags = adapted.get(TOKENS), _tags_of(row)
        if tags is not None or TAGS in row:
            adapted[TAGS] = tags
        if isinstance(tokens, str) and TAGS not in adapted:
            adapted |= {TOKENS: WORDS.findall(tokens), TEXT: tokens}
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

    def fitted(self, rows: Sequence[Row], labels: Sequence[str] | None) -> Self:
        """Settle the label set: the configured one, else the one that comes along, else that of the tags' names.

        Returns:
            The task itself where its labels are configured, else a copy with O and, by type in alphabetical order, B-X, I-X.

        Raises:
            UserError: If label names contradict the configuration or are no tags, or if tags are numbers without names.
        """
        if labels is not None and (problems := label_problems(labels, f"The label names of the data, {_listed(labels)}")):
            raise UserError(*problems)
        if self.labels:
            refuse_other_labels(self, [] if labels is None else [plain(name) for name in labels])
            return self
        fitted = dataclasses.replace(self, labels=_labels_of(rows) if labels is None else tuple(labels))
        if problems := list(fitted.problems()):  # a metric of a type that there is not
            raise UserError(*(f"task.{problem}" for problem in problems))
        return fitted

    def notes(self, rows: Sequence[Row]) -> list[str]:
        """Entities that do not begin with B-X: files of IOB1 have many, others should have none. And tags without a type."""
        bare = {tag for row in rows if isinstance(tags := _tags_of(row), list) for tag in tags if tag in PREFIXES}
        untyped = f"tags {', '.join(sorted(bare))} of the training records name no type: all entities are of one, {UNTYPED}"
        begun = sum(_begun_inside([self._name(tag) for tag in tags]) for row in rows if (tags := _tags_of(row)))
        read = "of the training records begin with I-X, as in IOB1: they are read as if they began with B-X"
        return [*([f"{begun} entities {read}"] if begun else []), *([untyped] if bare else [])]

    def _name(self, tag: Any) -> str:
        return self.labels[tag] if type(tag) is int else str(tag)

    def _record_problem(self, record: Row) -> str | None:
        """No words, or tags that do not fit them or the label set."""
        tokens, tags = record[TOKENS], record[TAGS]
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

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """See `Task`.

        Raises:
            UserError: If the tokenizer does not know which token is of which word.
        """
        if not tokenizer.is_fast:
            raise UserError(
                f"task {self.name} must know which word each token is of, and {type(tokenizer).__name__} does not say: "
                "give a model with a fast tokenizer (tokenizer.json)."
            )
        encoded = super().encode(records, tokenizer, training=training)
        if training:  # there is nothing to learn where no token has a label
            encoded = encoded.select([row for row, words in enumerate(encoded["words"][:]) if words])
        return encoded

    def model_inputs(
        self, part: Mapping[str, Any], first: int, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Mapping[str, Any]:
        """See `Task`: one input each, or several that overlap.

        The first sub-word token of a word has the word's label, all others -100. To learn from, each window has the labels of
        all its words.

        Returns:
            What the tokenizer makes (`input_ids`, `attention_mask`, for some models `token_type_ids`), `labels` (left out where
            the records have none), `length` (tokens), `record`, and `words` and `positions`: which words of the record have
            their first sub-word token in this window, and where; unless training, each word in one window alone, that where it
            has the most tokens on both sides. A word of which a tokenizer makes nothing is in none.
        """
        tokenizer.truncation_side = "right"
        size = min(self.max_length, tokenizer.model_max_length)
        shared = min(self.stride, (size - tokenizer.num_special_tokens_to_add()) // 2)
        inputs = tokenizer(
            # Byte-level tokenizers take a word without a blank for the rest of a longer one; to the others it is nothing.
            [[f" {token}" for token in tokens] for tokens in part[TOKENS]],
            is_split_into_words=True,
            truncation=True,
            max_length=size,
            stride=shared,
            return_overflowing_tokens=True,
            return_attention_mask=True,
        )
        owners = inputs.pop("overflow_to_sample_mapping")
        word_ids = [inputs.word_ids(row) for row in range(len(owners))]
        lengths = [len(tokens) for tokens in inputs["input_ids"]]
        starts = _word_starts(word_ids, owners, shared)
        if not training:
            starts = _in_one_window(starts, owners, lengths)
        columns = {
            **inputs,
            "length": lengths,
            "record": [first + owner for owner in owners],
            "words": [list(words) for words in starts],
            "positions": [list(words.values()) for words in starts],
        }
        if TAGS in part:
            columns["labels"] = [
                _spread({position: part[TAGS][owner][word] for word, position in words.items()}, length)
                for owner, words, length in zip(owners, starts, lengths, strict=True)
            ]
        return columns

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """A tag a word, and the entities that they make.

        Args:
            outputs: The most probable class of each sub-word token and its probability, [inputs, tokens] each, -100 on padding
                and where the logits are not finite.

        Returns:
            `entities`: `type`, `text`, `start` and `end`, its first character and that behind its last, in the text that was
            given or, for words, in the words joined by blanks; and `score`, the mean probability of its words' tags. An I-X that
            continues no entity of type X is part of none, as in the strict mode of seqeval. Then `tokens`, the words, and `tags`,
            one each, O for a word of which the tokenizer makes nothing.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        classes, probabilities = outputs
        tokens = records[TOKENS][:]
        chosen = [[self._numbers[OUTSIDE]] * len(words) for words in tokens]
        scores = [[1.0] * len(words) for words in tokens]
        columns = [encoded[name][:] for name in ("record", "words", "positions")]
        for row, (owner, words, positions) in enumerate(zip(*columns, strict=True)):
            for word, position in zip(words, positions, strict=True):
                chosen[owner][word] = int(classes[row, position])
                scores[owner][word] = float(probabilities[row, position])
        refuse_diverged(sum(IGNORED in numbers for numbers in chosen), len(chosen), "records")
        texts = records[TEXT][:] if TEXT in records.column_names else [None] * len(tokens)
        return [self._prediction(*each) for each in zip(tokens, texts, chosen, scores, strict=True)]

    def _prediction(self, tokens: Sequence[str], text: str | None, numbers: Sequence[int], scores: Sequence[float]) -> Prediction:
        tags = [self.labels[number] for number in numbers]
        text = " ".join(tokens) if text is None else text
        places = _places(tokens, text)
        entities = []
        for kind, first, behind in entities_of(tags):
            start, end = places[first][0], places[behind - 1][1]
            score = math.fsum(scores[first:behind]) / (behind - first)
            entities.append({"type": kind, "text": text[start:end], "start": start, "end": end, "score": score})
        return {"entities": entities, TOKENS: tokens, "tags": tags}

    def _metrics(self, predictions: Sequence[Prediction], records: Dataset) -> dict[str, float]:
        right = [[self.labels[number] for number in numbers] for numbers in records[TAGS][:]]
        return entity_scores(right, [prediction["tags"] for prediction in predictions], types_of(self.labels))

    def expected(self, record: Row) -> Prediction:
        """The entities that the tags name."""
        return self._prediction(record[TOKENS], None, record[TAGS], [1.0] * len(record[TAGS]))

    def told(self, record: Row) -> Row:
        """The names of the tags in place of their numbers."""
        return {**record, TAGS: [self.labels[number] for number in record[TAGS]]}

    def answered(self, record: Row, prediction: Prediction) -> Row:
        """The tags."""
        return {TOKENS: record[TOKENS], TAGS: [self._numbers[tag] for tag in prediction["tags"]]}

    def headline(self, prediction: Prediction) -> str:
        """The entities with their types."""
        return ", ".join(f"{entity['text']} ({entity['type']})" for entity in prediction["entities"]) or "no entity"

    def right(self, prediction: Prediction, record: Row) -> bool:
        """Whether all entities are found, and no other."""
        return entities_of(prediction["tags"]) == entities_of([self.labels[number] for number in record[TAGS]])

    def inventor(self, world: World, random: Random) -> Inventor:
        """Texts of a few facts, their names marked by what kind of thing they name."""
        stories = StoryTeller(world, random)
        names_used = {label[2:] for label in self.labels} or {names[0] for names in ENTITY_TYPES.values()}
        types = {kind: next((name for name in names if name in names_used), None) for kind, names in ENTITY_TYPES.items()}

        def invent() -> tuple[Any, list[Row]]:
            facts = stories.facts()
            words, things = stories.tagged(stories.text(facts), facts)
            tags = [OUTSIDE] * len(words)
            for start, end, kind in things:
                if name := types.get(kind):
                    tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
            return tuple(words), [{TOKENS: words, TAGS: tags}]

        return invent

    def texts(self, records: Dataset) -> list[str]:
        """The words of each record, joined by blanks."""
        return [" ".join(tokens) for tokens in records[TOKENS][:]]


def _tags_of(row: Row) -> Any:
    """The tags of a raw record, which some data sets of the hub call `tags`."""
    return row.get(TAGS, row.get("tags"))


def _labels_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The label set of tags that are names; empty where there are no tags."""
    tags = [tag for row in rows if isinstance(row_tags := _tags_of(row), list) for tag in row_tags]
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


def _begun_inside(tags: Sequence[str]) -> int:
    """How many entities begin with I-X, which IOB2 does not know.

    >>> _begun_inside(["I-PER", "I-PER", "O", "B-LOC", "I-PER", "L-PER"])
    2
    """
    tag_names = [plain(tag) for tag in tags]
    before = [OUTSIDE, *tag_names]
    return sum(tag[:2] == "I-" and previous[2:] != tag[2:] for previous, tag in zip(before, tag_names, strict=False))


def _word_starts(word_ids: Sequence[Sequence[int | None]], owners: Sequence[int], shared: int) -> list[dict[int, int]]:
    """Where in each window the first token of each word stands; not of a word that has begun before the window.

    Args:
        word_ids: Number of the word that each token is of, None for special tokens; one sequence a window.
        owners: Number of the record that each window is of; those of a record follow each other.
        shared: Tokens that two neighbouring windows of a record share.

    Returns:
        Positions by word, for each window.

    >>> _word_starts([[None, 0, 1, 1, None], [None, 1, 1, 2, None]], [0, 0], 1)
    [{0: 1, 1: 2}, {2: 3}]
    """
    starts: list[dict[int, int]] = []
    offset, begun = 0, dict[int, int]()  # tokens of the record before this window, and where in the record words begin
    for row, ids in enumerate(word_ids):
        if row and owners[row] == owners[row - 1]:
            offset += sum(word is not None for word in word_ids[row - 1]) - shared
        else:
            offset, begun = 0, {}
        places: dict[int, int] = {}
        tokens = ((position, word) for position, word in enumerate(ids) if word is not None)
        for number, (position, word) in enumerate(tokens, start=offset):
            if begun.setdefault(word, number) == number:
                places[word] = position
        starts.append(places)
    return starts


def _in_one_window(starts: Sequence[dict[int, int]], owners: Sequence[int], lengths: Sequence[int]) -> list[dict[int, int]]:
    """Each word in that window alone where it has the most tokens around it, on the side that has fewer; of ties the first.

    >>> _in_one_window([{0: 1, 1: 2, 2: 3}, {1: 1, 2: 2, 3: 3}], [0, 0], [5, 5])
    [{0: 1, 1: 2}, {2: 2, 3: 3}]
    """
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for row, (owner, places) in enumerate(zip(owners, starts, strict=True)):
        for word, position in places.items():
            around = min(position, lengths[row] - 1 - position)
            if around > best.get((owner, word), (-1, row))[0]:
                best[owner, word] = around, row
    return [
        {word: position for word, position in places.items() if best[owner, word][1] == row}
        for row, (owner, places) in enumerate(zip(owners, starts, strict=True))
    ]


def _spread(tags: Mapping[int, int], length: int) -> list[int]:
    """The tags at their positions, -100 at all others."""
    return [tags.get(position, IGNORED) for position in range(length)]


def _places(tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Where in a text its words stand one after the other: the first character of each, and that behind its last.

    >>> _places(["Ann", "'s", "a"], "Ann's  a")
    [(0, 3), (3, 5), (7, 8)]
    """
    places, behind = [], 0
    for token in tokens:
        start = text.index(token, behind)
        behind = start + len(token)
        places.append((start, behind))
    return places


def _listed(labels: Sequence[str]) -> str:
    return f"[{', '.join(labels)}]"
