"""The same numbers in every form, and nothing that a name holds gets out of its cell."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from prune_cli.comparison.columns import Column, columns
from prune_cli.comparison.forms import as_csv, as_json, as_latex, as_markdown
from prune_cli.comparison.groups import Comparison, compare
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import find_runs
from prune_cli.comparison.screen import shown
from prune_cli.errors import UserError
from tests.made_runs import made_run

HOSTILE = r"a|b_c&d%e\f{g}~h^i<b>#$"
Compared = tuple[Comparison, list[Column]]


@pytest.fixture
def compared(tmp_path: Path) -> Compared:
    for seed in (1, 2, 3):
        made_run(tmp_path, sparsity=0.0, seed=seed, metric=0.85)
        made_run(tmp_path, seed=seed, metric=0.8 + seed / 300, name=f"good-{seed}")
        made_run(tmp_path, criterion="magnitude", model=HOSTILE, seed=seed, metric=0.7, name=f"other-{seed}")
        made_run(tmp_path, criterion="magnitude", seed=seed, metric=0.7, name=f"bad-{seed}")
    rows = [row(run) for run in find_runs([tmp_path])]
    comparison = compare(connect(rows), rows)
    return comparison, columns(comparison)


def on_screen(comparison: Comparison, table: list[Column], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(shown(comparison, table, ["a finding"], [], width))
    return console.export_text()


def test_the_csv_round_trips(compared: Compared) -> None:
    comparison, table = compared
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison, table))))
    assert [float(row["mean"]) for row in rows] == [group.mean for group in comparison.groups]
    assert [row["model"] for row in rows] == [group.values["model"] for group in comparison.groups]


def test_no_text_is_a_formula_or_a_second_line(tmp_path: Path) -> None:
    for number, model in enumerate(("=1+1", "@sum", "a\nb")):
        made_run(tmp_path, model=model, metric=-0.5, name=f"run-{number}")
    rows = [row(run) for run in find_runs([tmp_path])]
    comparison = compare(connect(rows), rows)
    table = columns(comparison)
    told = list(csv.DictReader(io.StringIO(as_csv(comparison, table))))
    assert {row["model"] for row in told} == {"'=1+1", "'@sum", "a\nb"}
    assert {row["mean"] for row in told} == {"-0.5"}
    assert len(as_markdown(comparison, table).splitlines()) == 5
    assert "a b &" in as_latex(comparison, table)


def test_the_numbers_are_the_same_in_all_forms(compared: Compared) -> None:
    comparison, table = compared
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison, table))))
    assert [group["mean"] for group in json.loads(as_json(comparison, table, [], []))["groups"]] == [
        float(row["mean"]) for row in rows
    ]
    rounded = [f"{float(row['mean']):.4f}" for row in rows]
    assert len(set(rounded)) > 1
    for text in (as_markdown(comparison, table), as_latex(comparison, table), on_screen(comparison, table, 200)):
        lines = [line for line in text.splitlines() if re.search(r"\b0\.\d{4}\b", line)]
        assert [re.findall(r"\b0\.\d{4}\b", line)[0] for line in lines] == rounded


def test_the_best_of_a_panel_is_in_bold(compared: Compared) -> None:
    comparison, table = compared
    assert as_markdown(comparison, table).count("**") == 2 and "**0.8067**" in as_markdown(comparison, table)
    assert re.findall(r"textbf{([^}]*)} \$\\pm\$ (\S+)", as_latex(comparison, table)) == [("0.8067", "0.0033")]


def test_markdown_keeps_a_hostile_name_in_its_cell(compared: Compared) -> None:
    (line,) = [line for line in as_markdown(*compared).splitlines() if "h^i" in line]
    assert len(re.findall(r"(?<!\\)\|", line)) == len(compared[1]) + 1
    assert "<b>" not in line


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_the_latex_compiles(compared: Compared, tmp_path: Path) -> None:
    body = as_latex(*compared)
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_screen_and_no_number_is_cut(width: int, compared: Compared) -> None:
    text = on_screen(*compared, width)
    assert max(map(len, text.splitlines())) <= width
    assert "0.8067" in text and "+0.0433" in text and "…" not in text
    assert ("too narrow for" in text) == (width < 120)


def test_chosen_columns(compared: Compared) -> None:
    comparison, _ = compared
    table = columns(comparison, ["mean", "metrics.loss"], ["metrics.loss"])
    assert [column.key for column in table] == ["model", "sparsity", "criterion", "mean", "metrics.loss"]
    assert as_csv(comparison, table).splitlines()[1].endswith(",0.5")
    with pytest.raises(UserError, match=r"--columns metrics\.los is not known: did you mean metrics\.loss"):
        columns(comparison, ["metrics.los"], ["metrics.loss"])


def test_equal_ones_stand_out_together_or_not_at_all(tmp_path: Path) -> None:
    for task, metrics in (("a", (0.8, 0.80001, 0.7)), ("b", (0.5, 0.5, 0.5))):
        for criterion, metric in zip(("pins", "magnitude", "random"), metrics, strict=True):
            made_run(tmp_path, task=task, criterion=criterion, metric=metric)
    rows = [row(run) for run in find_runs([tmp_path])]
    comparison = compare(connect(rows), rows)
    assert sorted(comparison.groups[number].values["criterion"] for number in comparison.best()) == [
        "magnitude",
        "pins",
    ]
