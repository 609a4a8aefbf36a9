"""Plain values from JSON and YAML that anybody may have written: too deep a nesting, or aliases without end, stop nothing."""

from __future__ import annotations

import json
from typing import Any

import yaml

DEEPEST = 100
"""Levels of nesting; no file of ours has ten."""
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast, where PyYAML was built with it."""


def from_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: If it is none, or nested too deeply.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(value)
    return value


def from_yaml(text: str) -> Any:
    """Read YAML without aliases: a few lines of them can stand for more than memory holds.

    Raises:
        ValueError: If it is none, nested too deeply, or has an alias.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_SAFE):  # loading something deep overflows the stack of libyaml's binding
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            wrong = _TOO_DEEP if depth > DEEPEST else _ALIAS if isinstance(event, yaml.AliasEvent) else ""
            if wrong:
                raise ValueError(f"line {event.start_mark.line + 1}: {wrong}")
        return yaml.load(text, Loader=_SAFE)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


_ALIAS = "an alias stands there, and a run writes none"
_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep"


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def shortened(text: str, longest: int = 60) -> str:
    """A text for people, its end cut where it is longer.

    Args:
        longest: Characters at most, > 3.

    >>> shortened("so it is"), shortened("so it is", 7)
    ('so it is', 'so i...')
    """
    return text if len(text) <= longest else text[: longest - 3] + "..."
