"""What `prune predict` reads and prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from prune_cli.errors import UserError
from prune_cli.report.samples import told

if TYPE_CHECKING:
    from prune_cli.tasks.base import Prediction, Task

STDIN = Path("-")


def given_rows(task: Task, texts: Sequence[str], file: Path | None) -> list[Mapping[str, Any]]:
    """The records to predict: one from the command line, or those of a file or of standard input.

    Args:
        task: Names the columns that a prediction needs.
        texts: One a column.
        file: Has a record a line: a JSON object or, for a task with one column, a plain text. "-" for standard input, which
            is also read where there is neither file nor text.

    Raises:
        UserError: If there are too few or too many texts, or a line is no record.
    """
    wanted = ", ".join(task.inputs)
    if texts and file is not None:
        raise UserError("give either texts or --file, not both")
    if texts:
        if len(texts) != len(task.inputs):
            raise UserError(
                f"task {task.name} takes {len(task.inputs)} ({wanted}), and {len(texts)} came: put quotes around each"
            )
        return [dict(zip(task.inputs, texts, strict=True))]
    if file is None and sys.stdin.isatty():
        raise UserError(f"nothing to predict: give {wanted} as text, or --file FILE with a record a line")
    name, lines = _lines(file or STDIN)
    rows = [_row(task, line, f"{name}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise UserError(f"{name} has no records")
    return rows


def show_predictions(predictions: Sequence[Prediction], *, json_lines: bool) -> None:
    """Print predictions.

    Args:
        predictions: One a record.
        json_lines: A JSON object a line, for programs; else for people.
    """
    if json_lines:
        for prediction in predictions:
            sys.stdout.write(json.dumps(prediction, ensure_ascii=False) + "\n")
        return
    console = Console(highlight=False)
    for prediction in predictions:
        for name, value in prediction.items():
            console.print(f"[bold]{name}[/bold]", end="  ")
            console.print(told(value), markup=False, soft_wrap=True)


def _lines(file: Path) -> tuple[str, list[str]]:
    try:
        if file == STDIN:
            return "standard input", sys.stdin.read().splitlines()
        return str(file), file.expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8: {error}") from error


def _row(task: Task, line: str, where: str) -> Mapping[str, Any]:
    if not line.lstrip().startswith("{"):
        if len(task.inputs) != 1:
            raise UserError(f"{where}: task {task.name} needs {', '.join(task.inputs)}: give a JSON object with them")
        return {task.inputs[0]: line}
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: broken JSON, {error.msg} at column {error.colno}") from error
