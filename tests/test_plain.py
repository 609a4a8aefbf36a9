"""JSON and YAML of strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prune_cli.plain import from_json, from_yaml


@pytest.mark.parametrize("read", [from_json, from_yaml])
def test_what_is_nested_too_deeply_is_refused(read: Callable[[str], Any]) -> None:
    assert read("[" * 99 + "]" * 99)
    for levels in (102, 900, 200_000):
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            read("[" * levels + "]" * levels)


def test_yaml_of_aliases_is_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(ValueError, match=r"line 2: an alias stands there"):
        from_yaml(bomb)


def test_plain_values() -> None:
    assert from_json('{"a": [1, null]}') == from_yaml("a: [1, null]") == {"a": [1, None]}
    for text in ("{", "a: ["):
        with pytest.raises(ValueError):
            from_yaml(text)
