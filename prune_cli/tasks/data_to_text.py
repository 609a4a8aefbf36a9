"""Data-to-text generation: facts in, the text that says them out, as in WebNLG, E2E NLG and DART."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, final

from prune_cli.data.records import ID
from prune_cli.errors import UserError
from prune_cli.heads import IGNORED
from prune_cli.plain import shortened
from prune_cli.tasks.base import Inventor, Prediction, Row, Task
from prune_cli.tasks.linearization import (
    attributes_in_line,
    parts_of_attributes,
    parts_of_triples,
    triples_in_line,
)
from prune_cli.tasks.text_metrics import DART, E2E, GENERATION_EVAL, Rules, signatures, text_scores
from prune_cli.world.stories import StoryTeller, triple

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.world.facts import Fact, World

SOURCE, REFERENCES, TARGET = "source", "references", "target"  # columns; the last is GEM's, a lone reference
SLOT = "{source}"  # where a prompt takes the facts
METRICS = ("bleu", "chrf_plus_plus", "rouge_l")  # of texts: those that are always there, higher is better
LIKELIHOOD = "likelihood"
_MOST_BEAMS = 100


@dataclass(frozen=True, kw_only=True)
class DataToText(Task):
    """Facts, and texts that say them: one task for decoders and encoder-decoders.

    Attributes:
        prompt: What a model reads, with "{source}" where the facts stand. A decoder writes on from its end.
        max_length: Tokens of a model input at most, > 0; of longer ones the last facts are cut, never the end of the prompt.
        max_source: Characters of the facts at most, > 0; more is a mistake in the file.
        max_new_tokens: Tokens of a text at most, > 1, the token that ends it among them; longer references are cut.
        beams: Beams of the search for a text, > 0; 1 is greedy.
        generate: Whether evaluations generate texts, which takes most of their time. Else they compute the loss alone, and the
            primary metric is `likelihood`, the geometric mean of the probabilities of the references' tokens.
        fact: How a fact stands in the prompt, its parts in braces.
        between: What stands between two facts.
    """

    prompt: str = "{source}\nText:"
    primary_metric: str = "bleu"
    max_length: int = 256
    max_source: int = 20_000
    max_new_tokens: int = 96
    beams: int = 1
    generate: bool = True
    fact: str
    between: str
    evaluation_records: int | None = 200

    rules: ClassVar[Rules] = GENERATION_EVAL
    """How the official script of the data set reads texts."""
    parts: ClassVar[tuple[str, ...]]
    """What a fact is made of."""

    def problems(self) -> Iterator[str]:
        """See `Task`."""
        yield from super().problems()
        for field, least in {"max_length": 1, "max_source": 1, "max_new_tokens": 2, "beams": 1}.items():
            if (value := getattr(self, field)) < least:
                yield f"{field}={value}: give at least {least}."
        if self.beams > _MOST_BEAMS:
            yield f"beams={self.beams}: give at most {_MOST_BEAMS}, each of which is a text that is written beside."
        if self.prompt.count(SLOT) != 1:
            yield f"prompt={self.prompt!r}: it must have {SLOT} once, where the facts stand."
        if missing := [part for part in self.parts if f"{{{part}}}" not in self.fact]:
            yield f"fact={self.fact!r}: it must have {', '.join(f'{{{part}}}' for part in missing)} too."
        if not self.between:
            yield "between is empty: give what tells one fact from the next."
        can = (*METRICS, LIKELIHOOD) if self.generate else (LIKELIHOOD,)
        if self.primary_metric not in can:
            where = "" if self.generate else " where generate=false"
            yield (f"primary_metric={self.primary_metric} cannot tell the better of two runs{where}; {', '.join(can)} can.")

    @property
    def head(self) -> Head[Any]:
        """A text."""
        from prune_cli.heads.text import Text

        return Text(max_new_tokens=self.max_new_tokens, beams=self.beams)

    @property
    def columns(self) -> Mapping[str, type]:
        """`source`, the facts in one line, and `references`, the texts that say them."""
        return {SOURCE: str, REFERENCES: list}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The facts."""
        return (SOURCE,)

    @abstractmethod
    def _source(self, row: Row) -> str:
        """The facts of a raw record in one line; one that is a `source` already comes out as it is.

        Raises:
            ValueError: If there are none, or they are malformed.
        """

    @staticmethod
    @abstractmethod
    def _parts(source: str) -> list[list[str]]:
        """The parts of each fact of a line."""

    def reading(self, source: str) -> str:
        """What a model reads: the prompt with the facts in it, each as `fact` has it."""
        facts = [dict(zip(self.parts, parts, strict=True)) for parts in self._parts(source)]
        slots = re.compile("|".join(f"{{{part}}}" for part in self.parts))
        lines = [slots.sub(lambda slot, fact=fact: fact[slot[0][1:-1]], self.fact).strip() for fact in facts]
        return self.prompt.replace(SLOT, self.between.join(lines))

    @property
    def predicts(self) -> bool:
        """Whether texts are generated."""
        return self.generate

    def metrics_of_loss(self, loss: float) -> dict[str, float]:
        """The likelihood, from 0 to 1, which unlike the loss is higher the better."""
        return {LIKELIHOOD: math.exp(-loss)}

    @abstractmethod
    def _references(self, row: Row) -> Any:
        """The references of a raw record, None where it has no column of them."""

    @abstractmethod
    def _told(self, facts: Sequence[Fact], texts: Sequence[str]) -> list[Row]:
        """Raw records of invented facts about one subject, and texts that say them."""

    def adapt(self, row: Row) -> Row:
        """Write the facts in one line, and gather the references.

        Raises:
            ValueError: If there are no facts, or facts or references are malformed.
        """
        adapted: dict[str, Any] = {SOURCE: self._source(row)}
        references = self._references(row)
        if references is not None:
            if not isinstance(references, list) or not all(isinstance(text, str) for text in references):
                raise ValueError(f"the references must be a list of texts, and are {shortened(repr(references))}")
            adapted[REFERENCES] = references
        return adapted

    def _record_problem(self, record: Row) -> str | None:
        """No facts, or no text."""
        source, references = record[SOURCE], record[REFERENCES]
        if not source:
            return "no facts"
        if len(source) > self.max_source:
            return (
                f"the facts have {len(source)} characters, above task.max_source={self.max_source}: are several records in one?"
            )
        if not references:
            return "no reference: there is no text to learn from or to compare with"
        for number, text in enumerate(references, start=1):
            if not text.strip():
                return f"reference {number} of {len(references)} is empty"
        return None

    def examples(self, records: Dataset) -> Dataset:
        """One record for all of the same facts, with all their references and the first id, in order of first appearance."""
        from datasets import Dataset

        gathered: dict[str, list[str]] = {}
        first: dict[str, str] = {}
        ids = records[ID][:] if ID in records.column_names else [""] * len(records)
        for name, source, references in zip(ids, records[SOURCE][:], records[REFERENCES][:], strict=True):
            gathered.setdefault(source, []).extend(references)
            first.setdefault(source, name)
        columns = {SOURCE: list(gathered), REFERENCES: list(gathered.values())}
        merged = Dataset.from_dict(columns | ({ID: list(first.values())} if ID in records.column_names else {}))
        merged.info.description = records.info.description
        return merged

    def model_inputs(
        self, part: Mapping[str, Any], first: int, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Mapping[str, Any]:
        """See `Task`: to learn from, one for each reference, else one with the first reference.

        Returns:
            `source_ids`, the prompt as the tokenizer gives a text; `target_ids`, the reference and the end-of-sequence token
            (left out where the records have no references); `length`, tokens of the source and, to learn from, the target;
            `record`; `cut`, whether its last facts are left out.

        Raises:
            UserError: If the tokenizer has no end-of-sequence token, or the model takes too few tokens.
        """
        encoder = _TextEncoder(self, tokenizer)
        sources, references = encoder.sources(part[SOURCE]), part.get(REFERENCES)
        taken = [1 if references is None or not training else len(texts) for texts in references or sources]
        owners = [row for row, count in enumerate(taken) for _ in range(count)]
        columns = {
            "source_ids": [sources[row] for row in owners],
            "length": [len(sources[row]) for row in owners],
            "record": [first + row for row in owners],
            "cut": [row in encoder.cut for row in owners],
        }
        if references is not None:
            texts = [text for row, count in enumerate(taken) for text in references[row][:count]]
            targets = columns["target_ids"] = encoder.targets(texts)
            if training:
                columns["length"] = [length + len(ids) for length, ids in zip(columns["length"], targets, strict=True)]
        return columns

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """The generated texts.

        Args:
            outputs: One array: generated tokens, [records, tokens], padded with -100.

        Returns:
            `text`, without blanks around it.
        """
        (generated,) = outputs
        rows = [row[row != IGNORED].tolist() for row in generated]
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [{"text": text.strip()} for text in texts]

    def _metrics(self, predictions: Sequence[Prediction], records: Dataset) -> dict[str, float]:
        return text_scores([prediction["text"] for prediction in predictions], records[REFERENCES][:], self.rules)

    def signatures(self, records: Dataset) -> dict[str, str]:
        """Those of sacrebleu; none where no texts are generated that it could compare."""
        return signatures(records[REFERENCES][:], self.rules) if self.generate else {}

    def expected(self, record: Row) -> Prediction:
        """The first reference."""
        return {"text": record[REFERENCES][0]}

    def answered(self, record: Row, prediction: Prediction) -> Row | None:
        """The text as the only reference; nothing where it is empty, or where no texts are generated."""
        return {**record, REFERENCES: [prediction["text"]]} if prediction["text"] else None

    def right(self, prediction: Prediction, record: Row) -> bool:
        """Whether it is one of the references, word for word."""
        return prediction["text"] in record[REFERENCES]

    def inventor(self, world: World, random: Random) -> Inventor:
        """A few facts about one subject, and two or three ways to say them."""
        stories = StoryTeller(world, random)

        def invent() -> tuple[Any, list[Row]]:
            facts = stories.facts()
            return str(facts), self._told(facts, stories.texts(facts, random.choice((2, 3))))

        return invent

    def texts(self, records: Dataset) -> list[str]:
        """What a model reads of each record, then all references."""
        prompts = [self.reading(source) for source in records[SOURCE]]
        return prompts + [text for references in records[REFERENCES] for text in references]


@dataclass(frozen=True, kw_only=True)
class _Triples(DataToText):
    """Facts of three parts; see `DataToText` for the fields."""

    parts: ClassVar[tuple[str, ...]] = ("subject", "predicate", "object")

    fact: str = "{subject} | {predicate} | {object}"
    between: str = " && "

    _parts = staticmethod(parts_of_triples)


@final
@dataclass(frozen=True, kw_only=True)
class WebNlg(_Triples):
    """RDF triples of DBpedia (Gardent et al. 2017), as on the hub, flattened or of GEM; see `DataToText` for the fields.

    Columns are `modified_triple_sets` and `lex`, or `triples` (`input` in GEM) and `references`.
    """

    def _source(self, row: Row) -> str:
        if "modified_triple_sets" in row:
            sets = _members(row["modified_triple_sets"], "mtriple_set")  # one a record
            return triples_in_line(sets[0] if sets else [])
        return triples_in_line(_first(row, "triples", "input", SOURCE))

    def _references(self, row: Row) -> Any:
        return _members(row["lex"], "text") if "lex" in row else _plain_references(row)

    def _told(self, facts: Sequence[Fact], texts: Sequence[str]) -> list[Row]:
        return [{"triples": [" | ".join(triple(fact)) for fact in facts], "references": texts}]


@final
@dataclass(frozen=True, kw_only=True)
class Dart(_Triples):
    """Triples of tables and of other data sets (Nan et al. 2021), as on the hub or of GEM; see `DataToText` for the fields.

    Columns are `tripleset` and `annotations` (in GEM `references` and `target`).
    """

    rules: ClassVar[Rules] = DART

    def _source(self, row: Row) -> str:
        return triples_in_line(_first(row, "tripleset", "triples", SOURCE))

    def _references(self, row: Row) -> Any:
        return _members(row["annotations"], "text") if "annotations" in row else _plain_references(row)

    def _told(self, facts: Sequence[Fact], texts: Sequence[str]) -> list[Row]:
        triples = [[subject, predicate.upper(), value] for subject, predicate, value in map(triple, facts)]
        return [{"tripleset": triples, "annotations": {"source": ["synthetic"] * len(texts), "text": texts}}]


@final
@dataclass(frozen=True, kw_only=True)
class E2eNlg(DataToText):
    """Attributes of restaurants (Novikova et al. 2017), as on the hub or of GEM; see `DataToText` for the fields.

    Columns are `meaning_representation` and `human_reference` (in GEM `references` and `target`).
    """

    rules: ClassVar[Rules] = E2E
    parts: ClassVar[tuple[str, ...]] = ("attribute", "value")

    fact: str = "{attribute} : {value}"
    between: str = " | "

    _parts = staticmethod(parts_of_attributes)

    def _source(self, row: Row) -> str:
        return attributes_in_line(_first(row, "meaning_representation", SOURCE))

    def _references(self, row: Row) -> Any:
        return [row["human_reference"]] if "human_reference" in row else _plain_references(row)

    def _told(self, facts: Sequence[Fact], texts: Sequence[str]) -> list[Row]:
        slots = [("name", facts[0].subject), *((triple(fact)[1], fact.object) for fact in facts)]
        meaning = ", ".join(f"{key}[{value}]" for key, value in slots)
        return [{"meaning_representation": meaning, "human_reference": text} for text in texts]


class _TextEncoder:
    """Turns prompts and references into tokens, whatever kind of model the tokenizer belongs to."""

    def __init__(self, task: DataToText, tokenizer: PreTrainedTokenizerBase) -> None:
        """Learn how the tokenizer treats texts.

        Args:
            task: Has the prompt, and says how many tokens there may be.
        """
        end: Any = tokenizer.eos_token_id
        if end is None:
            raise UserError(
                f"task {task.name} generates texts, and the tokenizer of the model has no end-of-sequence token that would "
                "close them: give a model that writes, GPT-2, Llama, T5 or BART say."
            )
        self.task = task
        self.tokenizer = tokenizer
        self.end: int = end
        self.most = min(task.max_length, tokenizer.model_max_length - task.max_new_tokens)
        self.cut: set[int] = set()  # those with more tokens
        # Tokenizers of encoder-decoders close every text, those of decoders none: a model writes on where it ends
        self.closes = tokenizer("a")["input_ids"][-1] == end
        # A reference goes on behind the prompt, so its first word needs the blank that byte-level tokenizers make part of a
        # word; SentencePiece brings one of its own, and a second would be a token more.
        self.blank = " " if len(tokenizer.tokenize(" a")) == len(tokenizer.tokenize("a")) else ""

    def sources(self, sources: Sequence[str]) -> list[list[int]]:
        """Tokens of the prompts. Where there are too many, those before the end of the prompt are left out."""
        task, tokenizer = self.task, self.tokenizer
        most = self.most
        end = len(tokenizer(task.prompt.partition(SLOT)[2], add_special_tokens=False)["input_ids"]) + self.closes
        if most <= end:
            raise UserError(
                f"{most} tokens are too few for the facts and the end of task.prompt: raise task.max_length"
                f"{'' if most == task.max_length else ', lower task.max_new_tokens, or take a model with longer inputs'}."
            )
        prompts = [task.reading(source) for source in sources]
        rows = tokenizer(prompts, verbose=False)["input_ids"]  # quiet where more tokens come than the model takes
        self.cut = {number for number, row in enumerate(rows) if len(row) > most}
        return [row if len(row) <= most else row[: most - end] + row[len(row) - end :] for row in rows]

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of references, each closed by one end-of-sequence token."""
        blank = "" if self.closes else self.blank
        rows = self.tokenizer(
            [blank + text.strip() for text in texts],
            add_special_tokens=self.closes,
            split_special_tokens=True,  # what reads like a special token is text, not the end ...
            verbose=False,
        )["input_ids"]
        most = self.task.max_new_tokens - 1
        # ... but SentencePiece has the end among its pieces, and finds it all the same
        return [[*[token for token in row if token != self.end][:most], self.end] for row in rows]


def _first(row: Row, *names: str) -> Any:
    """The first of these columns that there is."""
    for name in names:
        if name in row:
            return row[name]
    there = ", ".join(f"`{name}`" for name in row) or "none"
    raise ValueError(f"no column of facts, {' or '.join(f'`{name}`' for name in names)}; there are {there}")


def _plain_references(row: Row) -> Any:
    """The references as GEM has them: a list, empty in its training records, and a text that stands for it."""
    references, text = row.get(REFERENCES), row.get(TARGET)
    return [text] if not references and text is not None else references


def _members(objects: Any, name: str) -> list[Any]:
    """One member of each of a list of objects, which readers of the hub also give as an object of lists."""
    if isinstance(objects, Mapping) and isinstance(members := objects.get(name), list):
        return members
    if isinstance(objects, list) and all(isinstance(record, Mapping) and name in record for record in objects):
        return [record[name] for record in objects]
    raise ValueError(f"there is no list `{name}` in {shortened(repr(objects))}")
