"""Lengths in steps, or as a fraction of a run. Nothing heavy is imported here."""

from __future__ import annotations


def steps_of(share: float, total_steps: int) -> int:
    """Read a length: a fraction of the run below 1, steps from 1 on.

    >>> steps_of(0.1, 60), steps_of(100.0, 1140), steps_of(0.0, 60)
    (6, 100, 0)
    """
    return round(share * total_steps) if share < 1 else round(share)
