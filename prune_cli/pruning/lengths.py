"""Lengths in steps, as a fraction of a run, or in epochs. Nothing heavy is imported here."""

from __future__ import annotations

import math
import re

_EPOCHS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)ep")

Length = float | str
"""A fraction of the run below 1, steps from 1 on, or epochs as in "2ep"."""


def steps_of(share: float, total_steps: int) -> int:
    """Read a length: a fraction of the run below 1, steps from 1 on.

    >>> steps_of(0.1, 60), steps_of(100.0, 1140), steps_of(0.0, 60)
    (6, 100, 0)
    """
    return round(share * total_steps) if share < 1 else round(share)


def length_problem(length: Length) -> str | None:
    """What is wrong with a length; None where it is one.

    >>> length_problem(0.1), length_problem("2.5ep")
    (None, None)
    >>> length_problem(10.5)
    'give a fraction of the run from 0 to below 1, a whole number of steps, or epochs such as 2ep'
    """
    if isinstance(length, str):
        good = _EPOCHS.fullmatch(length) is not None
    else:
        good = 0 <= length < 1 or (1 <= length < math.inf and length == round(length))  # no not-a-number
    return None if good else "give a fraction of the run from 0 to below 1, a whole number of steps, or epochs such as 2ep"


def in_steps(length: Length, epoch: int) -> float:
    """A length without epochs: one of these is told in steps, any other is left as it is.

    >>> in_steps("2ep", 114), in_steps(0.1, 114)
    (228.0, 0.1)
    """
    if not isinstance(length, str):
        return length
    return float(round(float(length.removesuffix("ep")) * epoch))
