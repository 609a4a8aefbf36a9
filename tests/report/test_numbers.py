"""Numbers for people."""

from __future__ import annotations

import pytest

from prune_cli.report.numbers import duration, percent, size


@pytest.mark.parametrize(
    ("fraction", "digits", "text"),
    [
        (0.0, 2, "0.00"),
        (10_085_990 / 10_616_832, 2, "95.00"),  # a hair below 95
        (9_555_149 / 10_616_832, 4, "90.0000"),
        (0.99999, 2, "99.99"),
        (0.99999, 3, "99.999"),
        (0.999999999, 4, "99.9999"),
        (1.0, 1, "100.0"),
    ],
)
def test_percent(fraction: float, digits: int, text: str) -> None:
    assert percent(fraction, digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7384.0, "2 h 03 min"),
        (90_000.0, "25 h 00 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1 MB"), (90_868_376, "90.9 MB"), (1.93e9, "1.93 GB")],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text
