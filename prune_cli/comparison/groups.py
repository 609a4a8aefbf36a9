"""Runs that differ in nothing but their seed, taken together: mean, deviation, and the drop from dense."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.comparison.query import METRICS, TABLE, column, column_names, condition
from prune_cli.config.option_files import GROUPS
from prune_cli.config.schema import CHOICES, ELSEWHERE, USUAL
from prune_cli.errors import UserError
from prune_cli.marks import counts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = Mapping[str, Any]

SHOWN = 4
"""Digits of a metric that are shown."""
SETTING = ("task", "model", "data", "records", "weights")
"""What must be the same for two metrics to be compared at all."""
PRUNING = ("criterion", "schedule", "pattern")
"""Groups that a dense run does not ask."""
_FIRST = ("task", "model", "sparsity", "criterion", "regularization")
"""Keys by which groups stand in order, before the others."""
_TEACHER = "regularization.first_teacher"
_NOT_KEYS = ("seed", CHOICES, *ELSEWHERE)
_HASH = re.compile(r"-[0-9a-f]{8}$")


class NothingLeft(UserError):
    """No finished run fulfils the conditions of a comparison."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that are the same but for their seed.

    Attributes:
        runs: Their rows, at least one.
        dense: The best group without pruning of the same task, model and records; None where there is none.
    """

    values: Mapping[str, Any]
    runs: Sequence[Row]
    dense: Group | None = field(default=None, repr=False)

    @property
    def metric(self) -> str:
        """Name of the primary metric."""
        return self.runs[0]["primary_metric"]

    @cached_property
    def metric_of_seed(self) -> dict[int, float]:
        """The metric by seed; the mean where a seed has several runs."""
        by_seed: dict[int, list[float]] = {}
        for run in self.runs:
            by_seed.setdefault(run["seed"], []).append(run["metric"])
        return {seed: statistics.fmean(values) for seed, values in by_seed.items()}

    @cached_property
    def mean(self) -> float:
        """Mean of the metric over runs."""
        return self.mean_of("metric") or 0.0

    @cached_property
    def deviation(self) -> float | None:
        """Sample standard deviation of the metric over runs; None for a single one."""
        return statistics.stdev(run["metric"] for run in self.runs) if len(self.runs) > 1 else None

    @property
    def pruned(self) -> bool:
        """Whether anything was to be removed."""
        return self.runs[0]["sparsity"] != 0

    @property
    def drop(self) -> float | None:
        """How much metric pruning costs, against the best dense group; negative where the pruned one is better."""
        return None if self.dense is None or not self.pruned else self.dense.mean - self.mean

    def mean_of(self, column: str) -> float | None:
        """Mean of a column over the runs that have it; None where none has."""
        values = [run[column] for run in self.runs if run.get(column) is not None]
        return statistics.fmean(values) if values else None

    def told(self, column: str) -> Any:
        """What a column says of all runs: the one value, or the mean of numbers, or all values."""
        values = list(dict.fromkeys(run.get(column) for run in self.runs))
        if len(values) == 1:
            return values[0]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values if value is not None):
            return self.mean_of(column)
        return ", ".join(map(str, values))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups of runs, and what all of them have in common.

    Attributes:
        by: The keys that tell groups apart.
        common: What every run has: of the keys by which runs may differ, those that are said by one word.
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    common: Mapping[str, Any]

    def panels(self) -> list[list[Group]]:
        """Groups whose metrics may be compared directly: of one task, model, metric and sparsity."""
        return grouped(self.groups, _panel)

    def best(self) -> set[int]:
        """Positions of the best groups of each panel, equal ones by what is shown; none where all are equal."""
        at = {id(group): number for number, group in enumerate(self.groups)}
        places: set[int] = set()
        for panel in self.panels():
            shown = {id(group): round(group.mean, SHOWN) for group in panel}
            leading = {at[which] for which, mean in shown.items() if mean == max(shown.values())}
            places |= leading if len(leading) < len(panel) else set()
        return places


def compare(
    database: DuckDBPyConnection,
    rows: Sequence[Row],
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    sort: Sequence[str] = (),
    best: bool = False,
) -> Comparison:
    """Compare the finished runs of a database.

    Args:
        database: With the table `runs`.
        rows: The same runs; here what a run does not say is not there, where the table has null.
        where: Conditions, KEY=VALUE, all of which must hold.
        by: Keys that tell groups apart; without any, all in which the runs differ, but for the seed.
        sort: Columns to order by, or `mean`; a leading minus turns the order around.

    Raises:
        NothingLeft: If no finished run fulfils the conditions.
        UserError: If a key is no column.
    """
    columns = column_names(database)
    chosen = matching(database, where, "state = 'done'")
    for key in (*by, *(name.lstrip("-") for name in sort if name.lstrip("-") != "mean")):
        column(key, columns)
    rows = [row for row in rows if row["path"] in chosen]
    if not rows:
        raise NothingLeft(f"no finished run has {' and '.join(where)}: leave a --where out" if where else "no run has finished")
    keys = tuple(by) or differing(rows)
    groups = [Group(values=dict(zip(keys, values, strict=True)), runs=runs) for values, runs in _by_values(rows, keys)]
    groups = _with_dense(groups)
    for name in reversed(sort or [key for key in (*_FIRST, *keys) if key in keys]):
        groups.sort(key=lambda group: _order(group, name.lstrip("-")), reverse=name.startswith("-"))
    if best:
        kept = {id(max(panel, key=lambda group: group.mean)) for panel in grouped(groups, _panel)}
        groups = [group for group in groups if id(group) in kept]
    common = {
        name: rows[0][name]
        for name in ("task", "model", "data", *PRUNING, "regularization", "sparsity")
        if name not in keys and len({row[name] for row in rows}) == 1 and rows[0][name] is not None
    }
    return Comparison(by=keys, groups=tuple(groups), common=common)


def matching(database: DuckDBPyConnection, where: Sequence[str], *more: str) -> set[str]:
    """The paths of the runs that meet some conditions.

    Raises:
        UserError: If a key is no column.
    """
    columns = column_names(database)
    conditions = [condition(text, columns) for text in where]
    clauses = " AND ".join(["true", *more, *(clause for clause, _ in conditions)])
    values = [value for _, given in conditions for value in given]
    return {path for (path,) in database.execute(f"SELECT path FROM {TABLE} WHERE {clauses}", values).fetchall()}


def differing(rows: Sequence[Row]) -> tuple[str, ...]:
    """The keys by which runs differ, those first that people choose first.

    What changes no result does not count, nor does the seed; where something lies counts by its content. A key that
    follows from the option its group took, such as the metrics of a task, is said by the option.
    """
    by_content = ("records", "weights")
    keys = [*_FIRST[:3], *PRUNING, "regularization", "data", *by_content]
    keys += [key for key in dict.fromkeys(key for row in rows for key in row) if "." in key and _counts(key)]
    differing = []
    for key in dict.fromkeys(keys):
        asked = [row for row in rows if row["sparsity"] != 0] if key.partition(".")[0] in PRUNING else rows
        asked = [row for row in asked if key in row]  # other options do not say it
        values = [said(row, key) for row in asked]
        unknown = key in by_content and None in values
        if not unknown and len(set(values)) > 1 and not _follows(key, values, asked):
            differing.append(key)
    return tuple(differing)


def grouped(groups: Iterable[Group], key: Callable[[Group], Any]) -> list[list[Group]]:
    """Collect groups of equal key, in their order."""
    by_key: dict[Any, list[Group]] = {}
    for group in groups:
        by_key.setdefault(key(group), []).append(group)
    return list(by_key.values())


def _counts(key: str) -> bool:
    """Whether a key of the configuration can be what two runs differ in."""
    group, _, name = key.partition(".")
    if key.startswith(METRICS) or group in _NOT_KEYS or key == "data.path" or key.endswith("._target_"):
        return False
    if group in USUAL:
        marked = {own.name for own in fields(USUAL[group]) if not counts(own.metadata)}
        return name.partition(".")[0] not in marked
    return True


def said(row: Row, key: str) -> Any:
    """What a run says of a key: nothing about pruning where it is dense, of a teacher which run it came from."""
    if key.partition(".")[0] in PRUNING and row["sparsity"] == 0:
        return None
    value = row.get(key)
    if isinstance(value, list | dict):
        return str(value)
    if key == _TEACHER and isinstance(value, str):
        folder = Path(value)
        return _HASH.sub("", folder.parent.name if folder.name == "model" else folder.name)  # of any seed
    return value


def _follows(key: str, values: Sequence[Any], rows: Sequence[Row]) -> bool:
    """Whether a key says no more than the options that were chosen."""
    group = {"records": "task", "weights": "model"}.get(key, key.partition(".")[0])
    if key == group or group not in GROUPS:
        return False
    of_choice: dict[Any, Any] = {}
    return all(
        of_choice.setdefault((said(row, group), said(row, "data") if key == "records" else None), value) == value
        for row, value in zip(rows, values, strict=True)
    )


def _by_values(rows: Sequence[Row], keys: Sequence[str]) -> Iterable[tuple[tuple[Any, ...], list[Row]]]:
    by_values: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        # Of another metric, or dense and pruned ones: never one number.
        apart = (row["task"], row["primary_metric"], row["sparsity"] == 0)
        by_values.setdefault((*(said(row, key) for key in keys), *apart), []).append(row)
    return [(values[: len(keys)], members) for values, members in by_values.items()]


def _setting(group: Group) -> tuple[Any, ...]:
    return (*(group.runs[0].get(name) for name in SETTING), group.metric)


def _panel(group: Group) -> tuple[Any, ...]:
    return (*_setting(group), group.told("sparsity"))


def _with_dense(groups: Sequence[Group]) -> list[Group]:
    """Tell each group the best dense one of its setting: a weak baseline would flatter pruning."""
    best: dict[Any, Group] = {}
    for group in groups:
        setting = _setting(group)
        if not group.pruned and (setting not in best or group.mean > best[setting].mean):
            best[setting] = group
    return [Group(values=group.values, runs=group.runs, dense=best.get(_setting(group))) for group in groups]


def _order(group: Group, name: str) -> tuple[Any, ...]:
    value = group.mean if name == "mean" else group.values[name] if name in group.values else group.told(name)
    number = isinstance(value, int | float)
    return (value is not None, not number, value if number else 0, "" if number else str(value))
