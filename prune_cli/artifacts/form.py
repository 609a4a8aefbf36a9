"""What result.json has to hold, so that whoever shows, compares or sends it can rely on that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

_LARGEST = 2**63
"""Numbers stay below it: those who count cannot hold more."""

Right = Callable[[Any], bool]


def misfit(result: Mapping[str, Any]) -> str:
    """What keeps the content of a result.json from being one; empty where nothing does.

    Args:
        result: Plain values, whatever they are.
    """
    if missing := [name for name in _NEEDED if name not in result]:
        return f"it lacks {', '.join(missing)}"
    odd = [name for name, right in {**_NEEDED, **_OPTIONAL}.items() if name in result and not right(result[name])]
    return f"it is not what a run writes: {', '.join(odd)}" if odd else ""


def _is(*kinds: type) -> Right:
    return lambda value: isinstance(value, kinds)


def _is_number(value: Any) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and math.isfinite(value) and abs(value) < _LARGEST


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


def _or_none(right: Right) -> Right:
    return lambda value: value is None or right(value)


def _table_of(right: Right, *needed: str) -> Right:
    return lambda value: isinstance(value, dict) and {*needed} <= value.keys() and all(map(right, value.values()))


def _list_of(right: Right) -> Right:
    return lambda value: isinstance(value, list) and all(map(right, value))


def _has(**parts: Right) -> Right:
    return lambda value: (
        isinstance(value, dict) and all(name in value and right(value[name]) for name, right in parts.items())
    )


_LAYER = _has(name=_is(str), shape=_list_of(_is_whole), weights=_is_whole, zeros=_is_whole, sparsity=_is_number)
_BEST = _has(metric=_is_number, step=_is_whole)
_ZEROS = ("target", "measured", "zeros_by_mask", "zeros_in_file", "prunable", "parameters", "of_model")
_NEEDED: Mapping[str, Right] = {
    "name": _is(str),
    "choices": _table_of(_is(str), "task", "model", "criterion", "regularization"),
    "seed": _is_whole,
    "primary_metric": _is(str),
    "metric": _is_number,
    "metrics": _table_of(_or_none(_is_number)),
    "best_at_target": _or_none(lambda value: _BEST(value) and _is_whole(value.get("records", 0))),
    "teacher_metric": _or_none(_is_number),
    "sparsity": lambda value: _table_of(_is_number, *_ZEROS)(value) and value["prunable"] > 0,
    "seconds": _table_of(_is_number, "total", "evaluate"),
    "steps": _is_whole,
    "steps_per_second": _is_number,
    "peak_memory_bytes": _is_number,
    "files": _table_of(_is_number),
    "layers": lambda value: bool(value) and _list_of(_LAYER)(value),
    "machine": _is(dict),
}
_OPTIONAL: Mapping[str, Right] = {
    "config": _is(dict),
    "kept_step": _is_whole,
    "taught_steps": _or_none(_is_whole),
    "teacher_records": _is_whole,
    "only_prediction": _or_none(_is(str)),
    "arithmetic": _or_none(_table_of(_is_number, "dense", "left", "share")),
    "precision": _is(str),
    "git_commit": _or_none(_is(str)),
    "computation": _is_whole,
    "versions": _is(dict),
    "samples": _list_of(_has(expected=_is(str), predicted=_is(str), right=_is(bool))),
}
"""Parts that need not be there."""
