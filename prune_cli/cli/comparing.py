"""What `prune compare` prints."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prune_cli.comparison.columns import columns
from prune_cli.comparison.forms import as_cell, as_csv, as_json, as_latex, as_markdown
from prune_cli.comparison.groups import compare, matching
from prune_cli.comparison.query import column_names, connect, row
from prune_cli.comparison.runs import done, find_runs
from prune_cli.comparison.screen import shown
from prune_cli.comparison.significance import in_words, summed_up
from prune_cli.console.printer import printer
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Form = Literal["table", "csv", "json", "markdown", "latex"]


def form_of(**asked: bool) -> Form:
    """The one form that was asked for; a table where none was.

    Raises:
        UserError: If several were.
    """
    given = [name for name, wanted in asked.items() if wanted]
    if len(given) > 1:
        raise UserError(f"{' and '.join(f'--{name}' for name in given)} do not go together: leave all but one out")
    return given[0] if given else "table"  # pyright: ignore[reportReturnType]  # the options are named after the forms


def show_comparison(
    paths: Sequence[Path],
    form: Form,
    console: Console,
    *,
    where: Sequence[str],
    by: Sequence[str],
    sort: Sequence[str],
    chosen: Sequence[str],
    best: bool,
    sql: str | None,
) -> None:
    """Print a comparison of the runs beneath some paths.

    Args:
        paths: See `find_runs`.
        where: See `compare`; so are `by`, `sort` and `best`.
        chosen: Columns to show instead of the usual ones.
        sql: A query of the table `runs` instead of a comparison.

    Raises:
        UserError: If there is no run, none has finished, or an option cannot work.
    """
    runs = find_runs(paths)
    rows = [row(run) for run in runs]
    database = connect(rows)
    if sql is not None:
        if where or by or sort or chosen or best:
            raise UserError("--sql says it all: leave --where, --by, --sort, --columns and --best out")
        _show_query(database, sql, form, console)
        return
    done(runs)
    comparison = compare(database, rows, where=where, by=by, sort=sort, best=best)
    table = columns(comparison, chosen, column_names(database))
    meant = matching(database, where)
    unfinished = [run for run in runs if run.state != "done" and str(run.path) in meant]
    if form == "table":
        console.print(shown(comparison, table, summed_up(comparison), unfinished, console.width))
        return
    text = {
        "csv": lambda: as_csv(comparison, table),
        "json": lambda: as_json(comparison, table, in_words(comparison), unfinished),
        "markdown": lambda: as_markdown(comparison, table),
        "latex": lambda: as_latex(comparison, table),
    }[form]()
    console.out(text, end="", highlight=False)
    if unfinished and form != "json":
        printer(stderr=True).print(f"{len(unfinished)} of {len(runs)} runs have not finished and are left out")


def _show_query(database: DuckDBPyConnection, sql: str, form: Form, console: Console) -> None:
    """Print what a query gives."""
    import duckdb

    if not sql.strip():
        raise UserError("--sql is empty: give a query, such as 'SELECT name, metric FROM runs'")
    if form in ("markdown", "latex"):
        raise UserError(f"--sql prints a table, --csv or --json: leave --{form} out")
    try:
        answer = database.execute(sql)
        if answer is None:  # comments alone
            raise UserError(f"--sql {sql} asks nothing: give a query, such as 'SELECT name, metric FROM runs'")
        names = [name for name, *_ in answer.description or ()]
        rows = answer.fetchall()
    except duckdb.Error as error:
        raise UserError(f"--sql: {str(error).strip()}") from None
    if form == "json":
        console.out(json.dumps([dict(zip(names, each, strict=True)) for each in rows], indent=2, default=str), highlight=False)
    elif form == "csv":
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([names, *(map(as_cell, each) for each in rows)])
        console.out(file.getvalue(), end="", highlight=False)
    else:
        console.print(_table(names, rows))


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for each in rows:
        table.add_row(*(Text(_cell(value)) for value in each))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
