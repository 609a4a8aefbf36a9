"""Some records beside what the model made of them, for people to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 10
LONGEST = 600  # characters of a value


def spread(rows: Sequence[dict[str, Any]], count: int = SHOWN) -> list[dict[str, Any]]:
    """So many of the rows, evenly spaced, the first among them.

    >>> [row["n"] for row in spread([{"n": n} for n in range(10)], 3)]
    [0, 3, 6]
    """
    count = min(count, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]


def as_markdown(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A page with a section a record.

    Args:
        rows: Columns of the record, and `prediction`.
        title: Heading of the page.
    """
    sections = [f"# {title}\n"]
    for number, row in enumerate(rows, start=1):
        record = [f"- {name}: {told(value)}" for name, value in row.items() if name != "prediction"]
        sections.append("\n".join([f"## {number}\n", *record, f"- **prediction**: {told(row['prediction'])}"]) + "\n")
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
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _json(value: Any) -> str:
    rounded = json.loads(json.dumps(value), parse_float=lambda number: round(float(number), 4))
    return json.dumps(rounded, ensure_ascii=False)
