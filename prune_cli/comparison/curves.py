"""How a run went, from its history, as coarse as a picture needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prune_cli.artifacts.history import History
from prune_cli.artifacts.result import Layer
from prune_cli.comparison.runs import Run
from prune_cli.errors import UserError

HEAT_FROM, HEAT_STEPS = 40, 200
"""A sparsity is told by one character: that of the code HEAT_FROM + HEAT_STEPS * sparsity."""


@dataclass(frozen=True)
class Curve:
    """The evaluations of a run.

    Attributes:
        sparsity: Measured fraction removed.
        target: Fraction asked for.
        teacher: How often the student had become the teacher.
        layers: Fraction removed of each matrix; empty where it was not written down.
    """

    steps: list[int] = field(default_factory=list)
    metric: list[float | None] = field(default_factory=list)
    sparsity: list[float] = field(default_factory=list)
    target: list[float] = field(default_factory=list)
    teacher: list[int] = field(default_factory=list)
    layers: list[list[float]] = field(default_factory=list)


def curve(run: Run) -> Curve:
    """Read the history of a run; an empty curve where there is none that can be read."""
    noted = run.folder.noted() if run.path.is_dir() else {}
    metric = f"eval_{noted.get('primary_metric') if run.outcome is None else run.outcome.primary_metric}"
    try:
        records = [record for record in History.read(run.folder.history) if metric in record]
        return Curve(
            steps=[record["step"] for record in records],
            metric=[_number(record[metric]) for record in records],
            sparsity=[float(record["sparsity"]) for record in records],
            target=[float(record["target_sparsity"]) for record in records],
            teacher=[int(record.get("teacher_version", 0)) for record in records],
            layers=[_numbers(record.get("layer_sparsity", [])) for record in records],
        )
    except (OSError, UserError, KeyError, TypeError, ValueError):  # none, or somebody has edited it
        return Curve()


def thinned(count: int, most: int) -> list[int]:
    """Positions of so many of a series, evenly spaced, the last among them.

    >>> thinned(3, 5), thinned(9, 3)
    ([0, 1, 2], [2, 5, 8])
    """
    if count <= most:
        return list(range(count))
    return [count * (number + 1) // most - 1 for number in range(most)]


def thinned_curve(series: Curve, most: int) -> dict[str, Any]:
    """A curve for JSON, thinned out."""
    chosen = thinned(len(series.steps), most)
    return {
        "steps": [series.steps[i] for i in chosen],
        "metric": [_rounded(series.metric[i]) for i in chosen],
        "sparsity": [_rounded(series.sparsity[i]) for i in chosen],
        "target": [_rounded(series.target[i]) for i in chosen],
        "teacher": [series.teacher[i] for i in chosen],
    }


def heat(series: Curve, layers: Sequence[Layer], most: int) -> dict[str, Any]:
    """Sparsity of every layer over time for JSON, a string an evaluation, a character a layer."""
    whole = [i for i, row in enumerate(series.layers) if row and len(row) == len(layers)]
    chosen = [whole[i] for i in thinned(len(whole), most)]
    return {
        "steps": [series.steps[i] for i in chosen],
        "cells": ["".join(chr(HEAT_FROM + round(HEAT_STEPS * part)) for part in series.layers[i]) for i in chosen],
    }


def _numbers(values: Sequence[Any]) -> list[float]:
    return [min(max(float(value), 0.0), 1.0) for value in values]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
