"""What the page of `prune report` draws."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from prune_cli.comparison.curves import curve, heat, thinned_curve
from prune_cli.comparison.groups import Comparison, said
from prune_cli.comparison.query import row
from prune_cli.comparison.runs import Run
from prune_cli.comparison.significance import in_words
from prune_cli.comparison.ways import panels
from prune_cli.plain import shortened
from prune_cli.report.names import block_and_matrix
from prune_cli.report.numbers import counted
from prune_cli.report.samples import one_line

CURVE, HEAT = 60, 16
"""Evaluations of a run at most, as a line and as a column of the map of layers."""
SAMPLES, LONGEST = 6, 200
"""Predictions of a run at most, and characters of a text."""
DRAWN = 4
"""Runs whose curves are drawn when the page opens."""
_HERE = ("task", "model", "primary_metric", "metric", "removed", "zeros", "seconds", "bytes", "seed")


def payload(runs: Sequence[Run], comparison: Comparison, commands: Sequence[str]) -> dict[str, Any]:
    """Gather what is drawn, no more of it than can be seen."""
    keys = [key for key in comparison.by if key not in ("task", "model")]
    drops = {run["path"]: group.drop for group in comparison.groups for run in group.runs}
    layouts: dict[tuple[str, ...], int] = {}
    states = Counter(run.state for run in runs)
    best = sorted(
        (max(panel, key=lambda group: group.mean) for panel in comparison.panels()),
        key=lambda group: not group.pruned,  # how a pruned one learned says more
    )
    numbers = {str(run.path): number for number, run in enumerate(runs)}
    return {
        "summary": f"{counted(len(runs), 'run')}: {', '.join(f'{count} {state}' for state, count in states.items())}.",
        "keys": keys,
        "findings": in_words(comparison),
        "panels": _panels(comparison),
        "first": [numbers[group.runs[0]["path"]] for group in best[:DRAWN]],
        "runs": [_run(run, keys, drops, command, layouts) for run, command in zip(runs, commands, strict=True)],
        "layers": [list(layout) for layout in layouts],
    }


def _run(
    run: Run, keys: Sequence[str], drops: dict[Any, float | None], command: str, layouts: dict[tuple[str, ...], int]
) -> dict[str, Any]:
    values, series = row(run), curve(run)
    layers = [] if run.outcome is None else run.outcome.layers
    names = tuple(str(layer.name) for layer in layers)
    places = block_and_matrix(names) if names else None
    layout = names if places is None else tuple(" ".join(place) for place in places)
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state,
        "problem": shortened(run.problem, 300),
        **{name: _word(values.get(name)) for name in _HERE},
        "by": {key: _word(said(values, key)) for key in keys},
        "drop": drops.get(str(run.path)),
        "command": command,
        "curve": thinned_curve(series, CURVE),
        "heat": {"layers": layouts.setdefault(layout, len(layouts)), **heat(series, layers, HEAT)},
        "samples": [
            {str(name): value is True if name == "right" else one_line(str(value), LONGEST) for name, value in sample.items()}
            for sample in ([] if run.outcome is None else run.outcome.samples[:SAMPLES])
        ],
    }


def _panels(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "title": panel.title,
            "metric": panel.metric,
            "dense": panel.dense,
            "lines": [
                {
                    "way": line.way,
                    "style": line.style,
                    "points": [
                        {
                            "sparsity": group.mean_of("removed"),
                            "mean": group.mean,
                            "deviation": group.deviation,
                            "runs": len(group.runs),
                            "drop": group.drop,
                        }
                        for group in line.groups
                    ],
                }
                for line in panel.lines
            ],
        }
        for panel in panels(comparison)
    ]


def _word(value: Any) -> Any:
    """A value for JSON, which holds no infinity."""
    finite = isinstance(value, int | float) and math.isfinite(value)
    return value if value is None or finite or isinstance(value, str) else str(value)
