"""A comparison on the screen, within its width."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from prune_cli.comparison.columns import Column
from prune_cli.comparison.groups import Comparison, Group
from prune_cli.comparison.runs import Run

_JOIN = "(keys)"
_LEAST = ("steps_per_second", "arithmetic", "seconds", _JOIN, "bytes", "removed")
"""Columns that a narrow screen does without, in this order; at _JOIN the keys that tell groups apart share one column."""
_WORD = 26
"""Characters from which on a word is broken."""
_STYLES = {"running": "cyan", "interrupted": "yellow", "failed": "bold red", "broken": "bold red"}
_MOST = 10
"""Unfinished runs that are told one by one."""


def shown(
    comparison: Comparison, columns: Sequence[Column], findings: Sequence[str], unfinished: Sequence[Run], width: int
) -> RenderableType:
    """A table, what is more than noise, and which runs are not in it.

    Args:
        columns: Of the table; the least important are left out where they do not fit.
    """
    best = comparison.best()
    fitting, left_out = _fitting(comparison, columns, width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in fitting:
        table.add_column(
            column.header,
            justify="left" if column.words else "right",
            overflow="fold",
            no_wrap=not column.words,
            min_width=_narrowest(comparison, column),
        )
    for number, group in enumerate(comparison.groups):
        cells = [Text(column.text(group), style="bold green" if column.best and number in best else "") for column in fitting]
        table.add_row(*cells)
    common = ", ".join(f"{key} {value}" for key, value in comparison.common.items())
    parts: list[RenderableType] = [Text(common, style="dim")] if common else []
    parts.append(table)
    parts += [Text(line, style="dim") for line in _legend(comparison, fitting, left_out)]
    parts += [Text(finding) for finding in findings]
    return Lines(*parts, *_unfinished(unfinished))


def _fitting(comparison: Comparison, columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """The columns that fit, and those that do not: what is least important goes, and keys that tell groups apart join."""
    kept, left_out = list(columns), []
    for key in _LEAST:
        if _width(comparison, kept) <= width:
            break
        if key == _JOIN:
            kept = _joined(comparison, kept)
        left_out += [column for column in kept if column.key == key]
        kept = [column for column in kept if column.key != key]
    return kept, left_out


def _width(comparison: Comparison, columns: Sequence[Column]) -> int:
    return 1 + sum(_narrowest(comparison, column) + 2 for column in columns)  # of the box, and padding


def _narrowest(comparison: Comparison, column: Column) -> int:
    """Characters that a column takes at least: words are folded where there are spaces."""
    texts = [column.header, *(column.text(group) for group in comparison.groups)]
    words = [word for text in texts for word in text.split()] if column.words else texts
    return min(max(map(len, words), default=0), _WORD) if column.words else max(map(len, words))


def _joined(comparison: Comparison, columns: Sequence[Column]) -> list[Column]:
    """The same with the keys that tell groups apart in one column, which can be folded."""
    keys = [column for column in columns if column.key in comparison.by]
    bare = ("task", "model", "criterion")  # clear without their names

    def what_differs(group: Group) -> str:
        lines = [(column.header, column.key, column.text(group)) for column in keys if group.values[column.key] is not None]
        return " ".join(text if key in bare else f"{header}={text}" for header, key, text in lines)

    joined = Column(key="", header="what differs", value=what_differs, words=True)
    return [joined, *(column for column in columns if column not in keys)] if keys else [*columns]


def _legend(comparison: Comparison, columns: Sequence[Column], left_out: Sequence[Column]) -> list[str]:
    keys = {column.key for column in columns}
    lines = []
    if "deviation" in keys:
        lines.append("sd: sample standard deviation over runs")
    if "drop" in keys:
        lines.append("drop: from the best dense runs of the same task, model and records; below 0 where pruning helped")
    if "removed" in keys:
        lines.append("% removed: of the prunable weights, counted in the saved file")
    if "arithmetic" in keys:
        lines.append("% arith: multiply-adds of the matrices that are left when what is empty is cut out (`prune export`)")
    if comparison.best():
        lines.append("green: best of its task, model and sparsity")
    if left_out:
        lines.append(f"too narrow for: {', '.join(column.header for column in left_out)}")
    return ["; ".join(lines)] if lines else []


def _unfinished(runs: Sequence[Run]) -> list[Text]:
    if not runs:
        return []
    verb = "run is" if len(runs) == 1 else "runs are"
    lines = [Text(f"{len(runs)} {verb} not in the table:")]
    for run in runs[:_MOST]:
        line = f" {run.name}: {run.problem}" if run.problem else f" {run.name}"
        lines.append(Text.assemble("  ", (run.state, _STYLES.get(run.state, "")), line))
    if len(runs) > _MOST:
        query = "SELECT name, state, problem FROM runs WHERE state != 'done'"
        lines.append(Text(f'  and {len(runs) - _MOST} more; all of them: --sql "{query}"'))
    return lines
