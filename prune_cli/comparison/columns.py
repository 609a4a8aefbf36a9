"""The columns of a comparison: what each shows of a group, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from prune_cli.comparison.groups import SHOWN, Comparison, Group
from prune_cli.comparison.query import METRICS
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.report.names import metric_label
from prune_cli.report.numbers import duration, percent, size

NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        key: Its name for programs.
        header: Its name for people.
        show: How that is shown.
        words: Whether it holds words, which stand at the left.
        best: Whether the best of a panel stands out in it.
    """

    key: str
    header: str
    value: Callable[[Group], Any]
    show: Callable[[Any], str] = str
    words: bool = False
    best: bool = False

    def text(self, group: Group) -> str:
        """What is shown of a group."""
        value = self.value(group)
        return NOTHING if value is None else self.show(value)


def columns(comparison: Comparison, chosen: Sequence[str] = (), known: Collection[str] = ()) -> list[Column]:
    """The columns of a table: the keys that tell groups apart, then what came out.

    Args:
        chosen: Instead of what came out: names of its columns, or any of `known`.
        known: Columns of the table of runs; a number's mean is shown.

    Raises:
        UserError: If a chosen column is not known.
    """
    keys = [_key(key) for key in comparison.by]
    offered = {column.key: column for column in _outcome(comparison)}
    if not chosen:
        filled = [column for column in offered.values() if any(column.value(group) is not None for group in comparison.groups)]
        return [*keys, *filled]
    if unknown := [name for name in chosen if name not in offered and name not in known]:
        remedy = did_you_mean(unknown[0], [*offered, *known])
        raise UserError(
            f"--columns {unknown[0]} is not known{remedy} ({', '.join(offered)}, or a column of `--sql 'DESCRIBE runs'`)"
        )
    return [*keys, *(offered.get(name) or _of_runs(name) for name in chosen)]


def _outcome(comparison: Comparison) -> list[Column]:
    metrics = [*dict.fromkeys(metric_label(group.metric) for group in comparison.groups)]
    several = len(metrics) > 1
    named = Column(key="primary_metric", header="metric", value=lambda group: metric_label(group.metric), words=True)
    return [
        *([named] if several else []),
        Column(key="mean", header="mean" if several else metrics[0], value=_mean, show=_four, best=True),
        Column(key="deviation", header="sd", value=lambda group: group.deviation, show=_four),
        Column(key="runs", header="runs", value=lambda group: len(group.runs)),
        Column(key="drop", header="drop", value=lambda group: group.drop, show="{:+.4f}".format),
        Column(key="removed", header="% removed", value=_of("removed"), show=_removed),
        Column(key="bytes", header="size", value=_of("bytes"), show=size),
        Column(key="arithmetic", header="% arith", value=_of("arithmetic"), show=_removed),
        Column(key="seconds", header="time", value=_of("seconds"), show=duration),
        Column(key="steps_per_second", header="steps/s", value=_of("steps_per_second"), show="{:.2f}".format),
    ]


def _mean(group: Group) -> float:
    return group.mean


def _of(column: str) -> Callable[[Group], float | None]:
    return lambda group: group.mean_of(column)


def _key(key: str) -> Column:
    return Column(key=key, header=key.removeprefix("trainer."), value=lambda group: group.values[key], show=_word, words=True)


def _of_runs(name: str) -> Column:
    return Column(
        key=name,
        header=name.removeprefix(METRICS),
        value=lambda group: group.told(name),
        show=_metric if _is_metric(name) else _word,
    )


def _is_metric(name: str) -> bool:
    return name.startswith(METRICS) or name in ("metric", "best", "teacher_metric")


def _metric(value: Any) -> str:
    return _four(value) if isinstance(value, float) else _word(value)


def _word(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _four(value: float) -> str:
    return f"{value:.{SHOWN}f}"


def _removed(fraction: float) -> str:
    return percent(fraction, 2)
