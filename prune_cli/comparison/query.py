"""The one table that comparisons are made from: a row a run, in DuckDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prune_cli.artifacts.result import Result
from prune_cli.comparison.runs import Run
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

TABLE = "runs"
SHORT = 12  # characters of a hash that are shown
METRICS = "metrics."
_CHOICES = ("task", "model", "criterion", "schedule", "pattern", "regularization", "data")
_OF_RESULTS: Mapping[str, Callable[[Result], Any]] = {
    "primary_metric": lambda it: it.primary_metric,
    "metric": lambda it: it.metric,
    "best": lambda it: None if it.best_at_target is None else it.best_at_target.metric,
    "only_prediction": lambda it: it.only_prediction,
    "teacher_metric": lambda it: it.teacher_metric,
    "removed": lambda it: it.sparsity.measured,
    "zeros": lambda it: it.sparsity.zeros_in_file,
    "prunable": lambda it: it.sparsity.prunable,
    "parameters": lambda it: it.sparsity.parameters,
    "bytes": lambda it: sum(it.files.values()) if it.files else None,
    "arithmetic": lambda it: None if it.arithmetic is None else it.arithmetic.share,
    "steps": lambda it: it.steps,
    "seconds": lambda it: it.seconds.total,
    "steps_per_second": lambda it: it.steps_per_second,
    "peak_memory_bytes": lambda it: it.peak_memory_bytes,
    "precision": lambda it: it.precision,
    "processor": lambda it: it.machine.get("processor"),
    "git_commit": lambda it: it.git_commit,
    "records": lambda it: it.records.removeprefix("sha256:")[:SHORT] or None,
    "weights": lambda it: it.weights.removeprefix("sha256:")[:SHORT] or None,
}
"""Columns that a finished run fills."""


def row(run: Run) -> dict[str, Any]:
    """A run in columns: what it is and what came out by short names, then its metrics, then its whole configuration.

    Args:
        run: Finished or not; what is not known of it is left out.
    """
    result, config = run.outcome, run.config
    choices = config.get("choices") if result is None else result.choices
    columns: dict[str, Any] = {
        "name": run.name,
        "path": str(run.path),
        "state": run.state,
        "problem": run.problem,
        **{name: choices.get(name) if isinstance(choices, dict) else None for name in _CHOICES},
        "sparsity": config.get("sparsity"),
        "seed": config.get("seed"),
        **{name: None if result is None else part(result) for name, part in _OF_RESULTS.items()},
    }
    if result is not None:
        columns |= {"sparsity": result.sparsity.target, "seed": result.seed}
        columns |= {METRICS + name: value for name, value in result.metrics.items()}
    whole = flat({key: value for key, value in config.items() if key != "choices"})
    return {**columns, **{key: value for key, value in whole.items() if key not in columns}}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted keys; lists and empty tables stay whole.

    >>> flat({"trainer": {"epochs": 3}, "seed": 1})
    {'trainer.epochs': 3, 'seed': 1}
    """
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flattened |= flat(value, f"{prefix}{key}.")
        else:
            flattened[f"{prefix}{key}"] = value
    return flattened


def connect(rows: Sequence[Mapping[str, Any]]) -> DuckDBPyConnection:
    """Open a database in memory whose table `runs` has a row a run.

    Args:
        rows: Columns by name; one that a row lacks is null there.
    """
    import duckdb
    import pyarrow as pa

    names = dict.fromkeys(name for each in rows for name in each)
    columns = {name: _column([each.get(name) for each in rows]) for name in names}
    database = duckdb.connect(config={"enable_external_access": False})  # a query of runs reads runs
    database.register("given", pa.table(columns))
    database.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM given")
    return database


def column_names(database: DuckDBPyConnection) -> dict[str, str]:
    """The columns of the table with their types."""
    described = database.execute(f"DESCRIBE {TABLE}").fetchall()
    return {name: kind for name, kind, *_ in described}


def column(key: str, columns: Mapping[str, str]) -> str:
    """A column as it stands in a query.

    Raises:
        UserError: If there is none of this name.
    """
    if key not in columns:
        raise UserError(f"{key} is no column of these runs{did_you_mean(key, columns)} (`--sql 'DESCRIBE runs'` lists them)")
    return quoted(key)


def quoted(name: str) -> str:
    """A name as SQL has it.

    >>> quoted('trainer.epochs'), quoted('a"b')
    ('"trainer.epochs"', '"a""b"')
    """
    return '"' + name.replace('"', '""') + '"'


def condition(text: str, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """Put KEY=VALUE, or KEY=VALUE,VALUE, into SQL.

    Returns:
        A condition with a question mark a value, and the values.

    Raises:
        UserError: If it is of another form, names no column, or gives a value of another kind.

    >>> condition("sparsity=0.8,0.9", {"sparsity": "DOUBLE"})
    ('"sparsity" IN (?, ?)', [0.8, 0.9])
    """
    key, equals, given = text.partition("=")
    if not equals or not given:
        raise UserError(f"--where {text}: give KEY=VALUE, or KEY=VALUE,VALUE for any of several")
    name = column(key.strip(), columns)
    kind = columns[key.strip()]
    try:
        values = [_typed(value.strip(), kind) for value in given.split(",")]
    except ValueError:
        raise UserError(f"--where {text}: {key} holds {kind.lower()} values, and {given} is none") from None
    if None in values:  # null equals nothing in SQL
        others = [value for value in values if value is not None]
        among = f" OR {name} IN ({', '.join('?' * len(others))})" if others else ""
        return f"({name} IS NULL{among})", others
    return f"{name} IN ({', '.join('?' * len(values))})", values


def _typed(text: str, kind: str) -> Any:
    if text == "null":
        return None
    if kind in ("BIGINT", "DOUBLE"):
        return float(text)
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return text


def _column(values: Sequence[Any]) -> pa.Array:
    """Values of one kind as they are; of several kinds, lists and tables as JSON text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pa.array(values, pa.string())
    large = any(isinstance(value, int) and abs(value) > 2**62 for value in values)  # more than Arrow's numbers hold
    for type_, arrow in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64()), ({str}, pa.string())):
        if kinds <= type_ and not (large and int in type_):
            return pa.array(values, arrow)
    texts = [value if value is None or isinstance(value, str) else json.dumps(value, default=str) for value in values]
    return pa.array(texts, pa.string())
