"""Whatever stands in a result, every command tells of it, and none falls over it."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prune_cli.cli.showing import run_shown
from prune_cli.comparison.columns import columns
from prune_cli.comparison.diff import differences
from prune_cli.comparison.forms import as_csv, as_json, as_latex, as_markdown
from prune_cli.comparison.groups import compare
from prune_cli.comparison.payload import payload
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import find_runs
from prune_cli.comparison.screen import shown
from prune_cli.comparison.significance import in_words
from prune_cli.errors import UserError
from tests.made_runs import made_run
from tests.tiers import quick


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested values; of a list, in its first item."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


GONE = "gone"
ODD = [None, [], "x<b>", "[/red]", {}, -1, 10**30, math.nan, math.inf, 0.5, True, [5], {"a": [1]}, {"a": None}, GONE]


@pytest.mark.parametrize("wrong", quick(["x<b>"], ODD), ids=repr)
def test_any_value_of_a_result_may_be_wrong(wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for criterion in ("pins", "magnitude"):
        made_run(tmp_path, criterion=criterion, layers=2)
    file = made_run(tmp_path, seed=2, name="the broken one", layers=2) / "result.json"
    whole = json.loads(file.read_text())
    for *above, last in places(whole):
        changed = copy.deepcopy(whole)
        inner = changed
        for key in above:
            inner = inner[key]
        inner[last] = wrong
        if wrong == GONE:
            del inner[last]
        file.write_text(json.dumps(changed))
        runs = find_runs([tmp_path])
        rows = [row(run) for run in runs]
        comparison = compare(connect(rows), rows)
        table = columns(comparison)
        for form in (as_csv, as_markdown, as_latex):
            assert form(comparison, table)
        left_out = [run for run in runs if run.state != "done"]
        assert json.loads(as_json(comparison, table, in_words(comparison), left_out))
        Console(file=io.StringIO(), width=80).print(shown(comparison, table, [], left_out, 80))
        json.dumps(payload(runs, comparison, [""] * len(runs)), allow_nan=False)
        differences(runs[0], runs[-1])
        with monkeypatch.context() as patch:
            if above[:1] != ["config"]:  # of which alone the command is made, in a third of a second
                patch.setattr("prune_cli.config.command.commands", lambda *_, **__: [""])
            try:
                Console(file=io.StringIO(), markup=False).print(run_shown(file.parent))
            except UserError as error:
                assert "is broken" in str(error) or "was written by another version" in str(error)
