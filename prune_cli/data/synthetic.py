"""Records made on the spot from a small invented world: no file, no network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from prune_cli.data.records import Split, checked
from prune_cli.data.sentences import Inference, SentenceMaker
from prune_cli.data.stories import StoryTeller
from prune_cli.data.world import Fact, Kind, draw_world
from prune_cli.tasks.data_to_text import Dart, E2eNlg, WebNlg
from prune_cli.tasks.glue import TextClassification
from prune_cli.tasks.ner import TokenTagging
from prune_cli.tasks.squad import SpanExtraction

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.data.world import World
    from prune_cli.tasks.base import Task

INFERENCES: tuple[Inference, ...] = ("entailment", "neutral", "contradiction")
AFFIRMED_SHARE = 0.55  # of the records of two classes
ANSWERED_SHARE = 2 / 3  # of the questions of a task that knows null answers
ENTITY_TYPES: dict[Kind, tuple[str, ...]] = {
    "person": ("PER", "PERSON", "person"),
    "place": ("LOC", "GPE", "LOCATION", "location"),
    "company": ("ORG", "ORGANIZATION", "corporation"),
    "work": ("MISC", "WORK_OF_ART", "creative-work"),
}
"""What label sets call the kinds of things; the first where the label set is read from the records."""

Texts = tuple[str, ...]
Draw = Callable[[TextClassification, SentenceMaker, Random], tuple[Texts, int | float]]
Row = dict[str, Any]
Record = tuple[Any, list[Row]]
"""What a record asks, by which repetitions are told, and its rows: several where a data set has one an answer."""
Maker = Callable[["World", Random], Callable[[], Record]]


@dataclass(frozen=True)
class Synthetic:
    """Records in the shape of a task, whichever of the families it is of.

    Every split is about a world of its own, so that nothing learned by heart from one helps with another.

    Attributes:
        seed: Another seed, other records; >= 0.
        train: Number of training records, > 0.
        validation: Number of records of every evaluation split, > 0.
    """

    seed: int = 0
    train: int = 2000
    validation: int = 400

    def problems(self, task: Task) -> list[str]:
        """Say whether sizes are impossible, or nothing can be made for such a task."""
        problems = [
            f"data.{name}={value}: must be at least 1."
            for name, value in (("train", self.train), ("validation", self.validation))
            if value < 1
        ]
        if self.seed < 0:
            problems.append(f"data.seed={self.seed}: must not be negative.")
        if _maker_for(task) is None:
            problems.append(
                f"data=synthetic makes no records for the task {task.name}: it knows one text or two with two classes, "
                "pairs with entailment, neutral and contradiction, pairs with a score, questions, entities and data-to-text. "
                "Use data=local data.path=DIR or data=hub."
            )
        return problems

    def identity(self, task: Task) -> str:
        """SHA-256 over the records."""
        return "sha256:" + hashlib.sha256(json.dumps(self._rows(task)).encode()).hexdigest()

    def load(self, task: Task) -> tuple[Task, dict[str, Dataset]]:
        """Make the records of `train` and of the task's evaluation splits; nothing is asked in two records."""
        return checked(
            task,
            {
                split: Split(rows, lambda number: f"synthetic record {number + 1}", f"synthetic {split}")
                for split, rows in self._rows(task).items()
            },
        )

    def _rows(self, task: Task) -> dict[str, list[Row]]:
        maker = _maker_for(task)
        assert maker is not None, "problems() refuses a task of another shape"
        seen: set[Any] = set()
        splits = {}
        for split in ("train", *task.evaluation_splits):
            make = maker(draw_world(f"{self.seed} {split} world"), Random(f"{self.seed} {split} records"))
            rows: list[Row] = []
            wanted = self.train if split == "train" else self.validation
            while len(rows) < wanted:
                asks, made = make()
                if asks not in seen:
                    seen.add(asks)
                    rows += made
            splits[split] = rows[:wanted]
        return splits


def _maker_for(task: Task) -> Maker | None:
    """Choose how a record is made by the shape of the task; None where no way fits."""
    match task:
        case TextClassification(text_columns=(_,), labels=(_, _)):
            return _labelled(task, _verdict)
        case TextClassification(text_columns=(_, _), labels=(_, _)):
            return _labelled(task, _entailment if "entailment" in task.labels else _paraphrase)
        case TextClassification(text_columns=(_, _), labels=(_, _, _)) if set(task.labels) == set(INFERENCES):
            return _labelled(task, _inference)
        case TextClassification(text_columns=(_, _), labels=()):
            return _labelled(task, _similarity)
        case SpanExtraction():
            return lambda world, random: _question(StoryTeller(world, random), random, null_answers=task.null_answers)
        case TokenTagging():
            return lambda world, random: _entities(StoryTeller(world, random), task.labels)
        case WebNlg():
            return lambda world, random: _web_nlg(StoryTeller(world, random), random)
        case E2eNlg():
            return lambda world, random: _e2e_nlg(StoryTeller(world, random), random)
        case Dart():
            return lambda world, random: _dart(StoryTeller(world, random), random)
        case _:
            return None


def _question(stories: StoryTeller, random: Random, *, null_answers: bool) -> Callable[[], Record]:
    def make() -> Record:
        drawn = stories.question(answered=not null_answers or random.random() < ANSWERED_SHARE)
        texts, starts = ([], []) if drawn.answer is None else ([drawn.answer], [drawn.start])
        answers = {"text": texts, "answer_start": starts}
        return (drawn.text, drawn.context), [{"question": drawn.text, "context": drawn.context, "answers": answers}]

    return make


def _entities(stories: StoryTeller, labels: tuple[str, ...]) -> Callable[[], Record]:
    known = {label[2:] for label in labels} if labels else {names[0] for names in ENTITY_TYPES.values()}
    types = {kind: next((name for name in names if name in known), None) for kind, names in ENTITY_TYPES.items()}

    def make() -> Record:
        facts = stories.facts()
        words, things = stories.tagged(stories.text(facts), facts)
        tags = ["O"] * len(words)
        for start, end, kind in things:
            if name := types.get(kind):
                tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
        return tuple(words), [{"tokens": words, "ner_tags": tags}]

    return make


def _web_nlg(stories: StoryTeller, random: Random) -> Callable[[], Record]:
    def make() -> Record:
        facts = stories.facts()
        triples = [" | ".join(_triple(fact)) for fact in facts]
        return tuple(triples), [{"triples": triples, "references": stories.texts(facts, random.choice((2, 3)))}]

    return make


def _e2e_nlg(stories: StoryTeller, random: Random) -> Callable[[], Record]:
    def make() -> Record:
        facts = stories.facts()
        slots = [("name", facts[0].subject), *((_triple(fact)[1], fact.object) for fact in facts)]
        meaning = ", ".join(f"{key}[{value}]" for key, value in slots)
        texts = stories.texts(facts, random.choice((2, 3)))
        return meaning, [{"meaning_representation": meaning, "human_reference": text} for text in texts]

    return make


def _dart(stories: StoryTeller, random: Random) -> Callable[[], Record]:
    def make() -> Record:
        facts = stories.facts()
        texts = stories.texts(facts, random.choice((2, 3)))
        triples = [[subject, predicate.upper(), value] for subject, predicate, value in map(_triple, facts)]
        annotations = {"source": ["synthetic"] * len(texts), "text": texts}
        return str(triples), [{"tripleset": triples, "annotations": annotations}]

    return make


def _triple(fact: Fact) -> tuple[str, str, str]:
    """Subject, predicate and object, the predicate in camelCase as in WebNLG.

    >>> _triple(Fact("Ada Abbott", "born in", "Elmford"))
    ('Ada Abbott', 'bornIn', 'Elmford')
    """
    first, *rest = fact.relation.split()
    return fact.subject, first + "".join(word.capitalize() for word in rest), fact.object


def _labelled(task: TextClassification, draw: Draw) -> Maker:
    """Make records of texts with a class or a score."""

    def maker(world: World, random: Random) -> Callable[[], Record]:
        sentences = SentenceMaker(world, random)

        def make() -> Record:
            texts, label = draw(task, sentences, random)
            *text_columns, label_column = task.columns
            return texts, [{**dict(zip(text_columns, texts, strict=True)), label_column: label}]

        return make

    return maker


def _verdict(task: TextClassification, maker: SentenceMaker, random: Random) -> tuple[Texts, int]:
    affirmed, label = _class(task, random)
    return maker.verdict(affirmed), label


def _paraphrase(task: TextClassification, maker: SentenceMaker, random: Random) -> tuple[Texts, int]:
    affirmed, label = _class(task, random)
    return maker.paraphrase(affirmed), label


def _entailment(task: TextClassification, maker: SentenceMaker, random: Random) -> tuple[Texts, int]:
    affirmed, label = _class(task, random)
    return maker.inference("entailment" if affirmed else random.choice(("neutral", "contradiction"))), label


def _inference(task: TextClassification, maker: SentenceMaker, random: Random) -> tuple[Texts, int]:
    relation = random.choice(INFERENCES)
    return maker.inference(relation), task.labels.index(relation)


def _similarity(task: TextClassification, maker: SentenceMaker, random: Random) -> tuple[Texts, float]:
    texts, share = maker.similarity()
    low, high = task.label_range or (0.0, 1.0)
    return texts, round(low + share * (high - low), 6)


def _class(task: TextClassification, random: Random) -> tuple[bool, int]:
    """Draw one of two classes: whether it affirms, and its number.

    The affirming class is the one whose name does not begin with "not_"; the second where names do not tell.
    """
    affirming = 0 if task.labels[1].startswith("not_") else 1
    affirmed = random.random() < AFFIRMED_SHARE
    return affirmed, affirming if affirmed else 1 - affirming
