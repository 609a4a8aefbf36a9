"""Two tiers: `make test` leaves out what is marked `exhaustive`, `make test-all` runs everything."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

exhaustive = pytest.mark.exhaustive


def quick(kept: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Parameters of a test, of which `make test` takes some.

    Args:
        kept: Those of both tiers.
        values: All of them; a tuple stands for several arguments.

    Raises:
        AssertionError: If one that is kept is not there.
    """
    every = list(values)
    assert all(value in every for value in kept), f"{kept} is not in {every}"
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=() if value in kept else exhaustive)
        for value in every
    ]
