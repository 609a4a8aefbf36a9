"""A comparison as text for other programs and for papers: CSV, JSON, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from prune_cli.comparison.columns import NOTHING, Column
from prune_cli.comparison.groups import Comparison
from prune_cli.comparison.runs import Run

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_DEVIATION, _MEAN = "deviation", "mean"


def as_csv(comparison: Comparison, columns: Sequence[Column]) -> str:
    """Numbers as exact as they are, a line a group, with a heading."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    writer.writerows([as_cell(column.value(group)) for column in columns] for group in comparison.groups)
    return file.getvalue()


def as_cell(value: Any) -> Any:
    """A value of a CSV file, where spreadsheets compute what begins as a formula does: a quote before a text keeps it one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_json(comparison: Comparison, columns: Sequence[Column], findings: Sequence[str], unfinished: Sequence[Run]) -> str:
    """All that the other forms say, with the runs of each group and those that have not finished."""
    values: dict[str, Any] = {
        "common": dict(comparison.common),
        "groups": [
            {
                **{column.key: column.value(group) for column in columns},
                "metric": group.metric,
                "of": [{key: run[key] for key in ("path", "seed", "metric")} for run in group.runs],
            }
            for group in comparison.groups
        ],
        "findings": list(findings),
        "unfinished": [{"path": str(run.path), "state": run.state, "problem": run.problem} for run in unfinished],
    }
    return json.dumps(values, indent=2, default=str) + "\n"


def as_markdown(comparison: Comparison, columns: Sequence[Column]) -> str:
    """A table of GitHub's Markdown, the best of each task, model and sparsity in bold."""
    best = comparison.best()
    lines = [
        [_markdown(column.header) for column in columns],
        ["---" if column.words else "---:" for column in columns],
    ]
    for number, group in enumerate(comparison.groups):
        cells = [(_markdown(column.text(group)), column.best and number in best) for column in columns]
        lines.append([f"**{text}**" if bold else text for text, bold in cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(comparison: Comparison, columns: Sequence[Column]) -> str:
    """A table of LaTeX's booktabs, mean and deviation in one column, the best of each task, model and sparsity in bold."""
    best = comparison.best()
    joined = {_MEAN, _DEVIATION} <= {column.key for column in columns}
    shown = [column for column in columns if not (joined and column.key == _DEVIATION)]
    deviation = next((column for column in columns if column.key == _DEVIATION), None)
    lines = [" & ".join(_latex(column.header) for column in shown)]
    for number, group in enumerate(comparison.groups):
        cells = []
        for column in shown:
            text = _latex(column.text(group)) if column.words else _latex_number(column.text(group))
            text = rf"\textbf{{{text}}}" if column.best and number in best else text
            if joined and column.key == _MEAN and deviation is not None and deviation.value(group) is not None:
                text += rf" $\pm$ {deviation.text(group)}"
            cells.append(text)
        lines.append(" & ".join(cells))
    heading, *rows = [line + r" \\" for line in lines]
    kinds = "".join("l" if column.words else "r" for column in shown)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            heading,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _markdown(text: str) -> str:
    text = " ".join(text.split())
    escaped = "".join(f"\\{sign}" if sign in "\\|*_`[]" else sign for sign in text)
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _latex_number(text: str) -> str:
    if text == NOTHING:
        return "--"
    return f"${text}$" if text[0] in "+-" else _latex(text)
