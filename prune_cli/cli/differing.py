"""What `prune diff` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from prune_cli.comparison.diff import LAYERS, Line, differences
from prune_cli.comparison.runs import find_runs, only

_LAYERS = 6
"""Matrices that are told one by one."""


def show_differences(one: Path, other: Path, console: Console, *, as_json: bool) -> None:
    """Print what differs between two runs.

    Args:
        one: A run folder, or a result that a study keeps.

    Raises:
        UserError: If a path holds no run, or several.
    """
    runs = [only(find_runs([path]), path) for path in (one, other)]
    lines = differences(*runs)
    if as_json:
        rows = [{"part": line.part, "name": line.name, "one": line.one, "other": line.other} for line in lines]
        console.out(json.dumps(rows, indent=2, default=str), highlight=False)
        return
    names = [Text.assemble((letter, "bold"), f"  {run.path}") for letter, run in zip("AB", runs, strict=True)]
    if not lines:
        console.print(Group(*names, Text("The two runs say the same.")))
        return
    console.print(Group(*names, _table(lines)))


def _table(lines: list[Line]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what", overflow="fold")
    table.add_column("A", overflow="fold")
    table.add_column("B", overflow="fold")
    table.add_column("B - A", justify="right", no_wrap=True)
    layers = sorted((line for line in lines if line.part == LAYERS), key=lambda line: -abs(line.change or 0))
    hidden = layers[_LAYERS:]
    part = ""
    for line in lines:
        if line in hidden:
            continue
        if line.part != part:
            part = line.part
            table.add_section()
            table.add_row(Text(part, style="bold"))
        change = "" if line.change is None else _signed(line.change)
        table.add_row(Text(f"  {line.name}"), Text(_told(line.one)), Text(_told(line.other)), change)
    if hidden:
        table.add_row(Text(f"  and {len(hidden)} matrices more, which differ less (--json)", style="dim"))
    return table


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "null" if value is None else str(value)


def _signed(change: float) -> str:
    return f"{change:+,}" if isinstance(change, int) else f"{change:+.4g}"
