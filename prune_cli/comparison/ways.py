"""Lines of a frontier: the ways of pruning of one task and model, over sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prune_cli.comparison.groups import SETTING, Comparison, Group
from prune_cli.report.names import metric_label

_ELSEWHERE = ("task", "model", "sparsity", "records", "weights")
"""Keys that say which panel, or which point of a line."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One way of pruning.

    Attributes:
        groups: Its points, by sparsity.
        style: Its number among all ways, the same in every panel.
    """

    way: str
    groups: Sequence[Group]
    style: int


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Ways of pruning that can be compared: of one task, model and records.

    Attributes:
        metric: Name of the metric, for people.
        dense: Mean metric of the best dense runs; None without any.
        deviation: Its standard deviation over runs; None for a single one.
    """

    title: str
    metric: str
    lines: Sequence[Line]
    dense: float | None
    deviation: float | None


def panels(comparison: Comparison) -> list[Panel]:
    """Sort the groups of a comparison into panels and lines."""
    pruned = [group for group in comparison.groups if group.pruned]
    # What tells dense from pruned runs alone, such as fewer steps, tells no line from another.
    keys = [key for key in comparison.by if key not in _ELSEWHERE and len({group.values[key] for group in pruned}) > 1]
    settings: dict[object, list[Group]] = {}
    for group in comparison.groups:
        settings.setdefault((*(group.runs[0].get(name) for name in SETTING), group.metric), []).append(group)
    styles: dict[str, int] = {}
    titles = [_title(groups) for groups in settings.values()]
    drawn = []
    for title, groups in zip(titles, settings.values(), strict=True):
        lines: dict[str, list[Group]] = {}
        here = [group for group in groups if group.pruned]
        telling = [key for key in keys if len({group.values[key] for group in here}) > 1]
        for group in here:
            lines.setdefault(way_of(group, telling), []).append(group)
        dense = next((group.dense for group in groups if group.dense is not None), None)
        if not lines and dense is not None:
            lines = {"dense": [dense]}
        records = groups[0].runs[0].get("records")
        drawn.append(
            Panel(
                title=title if titles.count(title) == 1 else f"{title}, records {records}",
                metric=metric_label(groups[0].metric),
                lines=[
                    Line(
                        way=way,
                        groups=sorted(members, key=lambda group: group.mean_of("removed") or 0),
                        style=styles.setdefault(way, len(styles)),
                    )
                    for way, members in lines.items()
                ],
                dense=None if dense is None else dense.mean,
                deviation=None if dense is None else dense.deviation,
            )
        )
    return drawn


def _title(groups: Sequence[Group]) -> str:
    run = groups[0].runs[0]
    return f"{run['task']}, {run['model']}"


def way_of(group: Group, keys: Sequence[str]) -> str:
    """What tells a group from others at the same sparsity."""
    named = {"criterion": "{}", "regularization": "regularization {}"}
    words = [
        named.get(key, f"{key.removeprefix('trainer.')} {{}}").format(group.values[key])
        for key in keys
        if group.values[key] is not None
    ]
    return ", ".join(words) or (str(group.runs[0].get("criterion") or "pruned") if group.pruned else "dense")
