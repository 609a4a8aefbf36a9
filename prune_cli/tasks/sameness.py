"""Records and predictions that repeat each other, so that a metric of them says less than it seems to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Prediction, Row, Task


def repeated(task: Task, train: Dataset, evaluated: Dataset) -> int:
    """How many records to evaluate ask what one to learn from asks too."""
    learned = set(_asked(task, train))
    return sum(question in learned for question in _asked(task, evaluated))


def only_answer(task: Task, records: Iterable[Row]) -> str | None:
    """What is right of every record, in a few words; None where records differ, or there is but one."""
    return _only(task, map(task.expected, records))


def only_prediction(task: Task, predictions: Sequence[Prediction], records: Iterable[Row]) -> str | None:
    """What a model says of every record, in a few words, where records differ in what is right; else None."""
    prediction = _only(task, predictions)
    return None if prediction is None or only_answer(task, records) is not None else prediction


def _only(task: Task, predictions: Iterable[Prediction]) -> str | None:
    headlines = map(task.headline, predictions)
    first, second = next(headlines, None), next(headlines, None)
    return first if first is not None and first == second and all(other == first for other in headlines) else None


def _asked(task: Task, records: Dataset) -> Iterable[tuple[Any, ...]]:
    columns = [[tuple(value) if isinstance(value, list) else value for value in records[name][:]] for name in task.inputs]
    return zip(*columns, strict=True)
