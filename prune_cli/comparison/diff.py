"""What differs between two runs: configuration, records, environment, result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from prune_cli.comparison.query import flat
from prune_cli.comparison.runs import Run
from prune_cli.config.schema import ELSEWHERE
from prune_cli.plain import from_json
from prune_cli.report.names import metric_label, primary_first

ABSENT = "(not there)"
UNKNOWN = "(not written down)"
LAYERS = "zeros of layers"
"""Name of the part that tells matrices one by one."""

_WHERE = ("choices.tracking", *ELSEWHERE)
"""Keys that say where a run went."""
_ENVIRONMENT = ("versions", "computation", "machine", "git_commit", "precision")
_CONTENTS = ("records", "weights", "teacher")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that differs."""

    part: str
    name: str
    one: Any
    other: Any

    @property
    def change(self) -> float | None:
        """The second less the first; None where they are no numbers."""
        one, other = self.one, self.other
        if isinstance(one, bool) or isinstance(other, bool):
            return None
        return other - one if isinstance(one, int | float) and isinstance(other, int | float) else None


def differences(one: Run, other: Run) -> list[Line]:
    """Everything that two runs say differently, the configuration first."""
    lines = _lines("configuration", _configuration(one), _configuration(other), ABSENT)
    if one.state == other.state == "done":
        lines += _lines("content", _picked(one, _CONTENTS), _picked(other, _CONTENTS), UNKNOWN)
        lines += _lines("environment", _picked(one, _ENVIRONMENT), _picked(other, _ENVIRONMENT), ABSENT)
        lines += _lines("result", _result(one), _result(other), ABSENT)
        lines += _predictions(one, other)
        lines += _lines(LAYERS, _layers(one), _layers(other), ABSENT)
    else:
        lines += _lines("state", {"state": one.state}, {"state": other.state}, ABSENT)
    return lines


def _lines(part: str, one: Mapping[str, Any], other: Mapping[str, Any], missing: str) -> list[Line]:
    return [
        Line(part=part, name=name, one=one.get(name, missing), other=other.get(name, missing))
        for name in dict.fromkeys([*one, *other])
        if one.get(name, missing) != other.get(name, missing)
    ]


def _configuration(run: Run) -> dict[str, Any]:
    return {
        name: value
        for name, value in flat(run.config).items()
        if not any(name == key or name.startswith(f"{key}.") for key in _WHERE)
    }


def _picked(run: Run, names: Sequence[str]) -> dict[str, Any]:
    return flat({name: value for name, value in run.result.plain().items() if name in names})


def _result(run: Run) -> dict[str, Any]:
    result = run.result
    metrics = primary_first(result.metrics, result.primary_metric)
    return {
        **{metric_label(name): value for name, value in metrics.items()},
        "zeros": result.sparsity.zeros_in_file,
        "prunable weights": result.sparsity.prunable,
        "steps": result.steps,
        "seconds": result.seconds.total,
        "steps a second": result.steps_per_second,
        "peak memory, bytes": result.peak_memory_bytes,
        "model file, bytes": sum(result.files.values()),
    }


def _layers(run: Run) -> dict[str, int]:
    """Zeros of each matrix."""
    return {layer.name: layer.zeros for layer in run.result.layers}


def _predictions(one: Run, other: Run) -> Iterator[Line]:
    """How many records two runs say something else about, and which of them is right there."""
    rows = [_rows(run.folder.predictions) for run in (one, other)]
    if not all(rows):
        return
    pairs = [(a, b) for a, b in zip_longest(*rows) if a is not None and b is not None]
    apart = [(a, b) for a, b in pairs if a.get("right") is not b.get("right")]
    if apart:
        first, second = sum(a.get("right") is True for a, _ in apart), sum(b.get("right") is True for _, b in apart)
        yield Line(part="predictions", name=f"right alone, of {len(pairs):,} records", one=first, other=second)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):  # a result that a study keeps has none
        return []
