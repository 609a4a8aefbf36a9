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
from prune_cli.data.world import draw_world
from prune_cli.tasks.glue import TextClassification

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

INFERENCES: tuple[Inference, ...] = ("entailment", "neutral", "contradiction")
AFFIRMED_SHARE = 0.55  # of the records of two classes

Texts = tuple[str, ...]
Draw = Callable[[TextClassification, SentenceMaker, Random], tuple[Texts, int | float]]


@dataclass(frozen=True)
class Synthetic:
    """Records in the shape of a task: one text or two, its classes or a score.

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
        if _draw_for(task) is None:
            problems.append(
                f"data=synthetic makes no records for the task {task.name}: it knows one text or two with two classes, "
                "pairs with entailment, neutral and contradiction, and pairs with a score. "
                "Use data=local data.path=DIR or data=hub."
            )
        return problems

    def identity(self, task: Task) -> str:
        """SHA-256 over the records."""
        return "sha256:" + hashlib.sha256(json.dumps(self._rows(task)).encode()).hexdigest()

    def load(self, task: Task) -> dict[str, Dataset]:
        """Make the records of `train` and of the task's evaluation splits; no text is in two records."""
        return checked(
            task,
            {
                split: Split(rows, lambda number: f"synthetic record {number + 1}", f"synthetic {split}")
                for split, rows in self._rows(task).items()
            },
        )

    def _rows(self, task: Task) -> dict[str, list[dict[str, Any]]]:
        draw = _draw_for(task)
        assert draw is not None and isinstance(task, TextClassification), "problems() refuses a task of another shape"
        *text_columns, label_column = task.columns
        seen: set[Texts] = set()
        splits = {}
        for split in ("train", *task.evaluation_splits):
            random = Random(f"{self.seed} {split} records")
            maker = SentenceMaker(draw_world(f"{self.seed} {split} world"), random)
            rows = []
            while len(rows) < (self.train if split == "train" else self.validation):
                texts, label = draw(task, maker, random)
                if texts not in seen:
                    seen.add(texts)
                    rows.append({**dict(zip(text_columns, texts, strict=True)), label_column: label})
            splits[split] = rows
        return splits


def _draw_for(task: Task) -> Draw | None:
    """Choose how a record is made by the shape of the task; None where no way fits."""
    match task:
        case TextClassification(text_columns=(_,), labels=(_, _)):
            return _verdict
        case TextClassification(text_columns=(_, _), labels=(_, _)):
            return _entailment if "entailment" in task.labels else _paraphrase
        case TextClassification(text_columns=(_, _), labels=(_, _, _)) if set(task.labels) == set(INFERENCES):
            return _inference
        case TextClassification(text_columns=(_, _), labels=()):
            return _similarity
        case _:
            return None


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
