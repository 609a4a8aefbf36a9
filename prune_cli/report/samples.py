"""Some records beside what the model made of them, right and wrong ones, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prune_cli.data.records import ID
from prune_cli.plain import shortened

if TYPE_CHECKING:
    from prune_cli.tasks.base import Task

SHOWN = 10  # records
LONGEST = 600  # characters of a value
EXPECTED, PREDICTED, RIGHT, WHOLE = "expected", "predicted", "right", "prediction"
"""Columns beside those of a record: what is right and what came out in a few words, whether they agree, all that came out."""


def rows(
    task: Task, split: str, records: Iterable[Mapping[str, Any]], predictions: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Records beside what a model made of them, both in the same words: the lines of predictions.jsonl.

    Args:
        task: Tells what is right.

    Yields:
        `split`, `id` where the record has one, the record's own columns; what is `expected` and what was `predicted`, in a few
        words; whether it is `right`; and the whole `prediction`.
    """
    for record, prediction in zip(records, predictions, strict=True):
        named = {ID: record[ID]} if ID in record else {}
        yield {
            "split": split,
            **named,
            **task.told(record),
            EXPECTED: task.headline(task.expected(record)),
            PREDICTED: task.headline(prediction),
            RIGHT: task.right(prediction, record),
            WHOLE: prediction,
        }


def picked(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many of the rows, half of them right and half wrong as far as there are both, each half evenly spaced.

    >>> rows = [{"n": n, "right": n % 5 > 0} for n in range(10)]
    >>> [row["n"] for row in picked(rows, 4)], [row["n"] for row in picked(rows, 6)]
    ([0, 1, 5, 6], [0, 1, 3, 5, 6, 8])
    """
    right, wrong = ([n for n, row in enumerate(rows) if row[RIGHT] is kind] for kind in (True, False))
    wrongs = min(len(wrong), max(count // 2, count - len(right)))
    numbers = [*_spread(wrong, wrongs), *_spread(right, count - wrongs)]
    return [rows[number] for number in sorted(numbers)]


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    count = min(count, len(numbers))
    return [numbers[n * len(numbers) // count] for n in range(count)]


def as_markdown(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A page with a section a record.

    Args:
        rows: Columns of the record, then `right` and `prediction`.
    """
    sections = [f"# {title}\n"]
    for number, row in enumerate(rows, start=1):
        record = [f"- {name}: {told(value)}" for name, value in row.items() if name not in (PREDICTED, RIGHT, WHOLE)]
        verdict = "as expected" if row[RIGHT] else "other than expected"
        section = [f"## {number}, {verdict}\n", *record, f"- **prediction**: {told(row[WHOLE])}"]
        sections.append("\n".join(section) + "\n")
    return "\n".join(sections)


def told(value: Any) -> str:
    """A value on one line, shortened.

    >>> told({"text": "Ada was born in Elmford."}), told({"label": "yes", "probabilities": {"yes": 0.5, "no": 0.5}})
    ('Ada was born in Elmford.', 'label: yes, probabilities: {"yes": 0.5, "no": 0.5}')
    """
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {told(part)}" for name, part in value.items() if not isinstance(part, Mapping))
        nested = ", ".join(f"{name}: {_json(part)}" for name, part in value.items() if isinstance(part, Mapping))
        text = ", ".join(part for part in (text, nested) if part)
    elif isinstance(value, float):
        text = f"{value:.4f}"
    else:
        text = value if isinstance(value, str) else _json(value)
    return one_line(text)


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text on one line, its end cut where it is longer.

    >>> one_line("so  it is")
    'so it is'
    """
    return shortened(" ".join(text.split()), longest)


def _json(value: Any) -> str:
    rounded = json.loads(json.dumps(value), parse_float=lambda number: round(float(number), 4))
    return json.dumps(rounded, ensure_ascii=False)
