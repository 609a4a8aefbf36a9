"""What `prune predict` reads and prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress
from rich.text import Text

from prune_cli.console import outputs
from prune_cli.console.printer import importing, printer, results_alone
from prune_cli.data.asking import CONTEXT, STDIN, Placed, placed_rows
from prune_cli.data.records import ID
from prune_cli.errors import UserError
from prune_cli.report.samples import told

if TYPE_CHECKING:
    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Prediction, Task


def given_rows(task: Task, texts: Sequence[str], file: Path | None, context: str | None = None) -> list[Placed]:
    """The records to predict: one from the command line, or those of a file or of standard input.

    Args:
        file: See `placed_rows`; standard input is read where there is neither file nor text.
        context: The column `context` of every record that has none.

    Raises:
        UserError: If there are too few or too many texts, or the file cannot be used.
    """
    if context is not None and CONTEXT not in task.inputs:
        raise UserError(f"--context: task {task.name} has no context, it takes {', '.join(task.inputs)}")
    given = {} if context is None else {CONTEXT: context}
    columns = [name for name in task.inputs if name not in given]
    wanted = ", ".join(columns)
    if texts and file is not None:
        raise UserError("give either texts or --file, not both")
    if texts:
        if len(texts) != len(columns):
            hint = ", or give --context" if CONTEXT in columns else ""
            raise UserError(
                f"task {task.name} takes {len(columns)} ({wanted}), and {len(texts)} came: put quotes around each{hint}"
            )
        return [("the text", {**dict(zip(columns, texts, strict=True)), **given})]
    if file is None and (sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()):
        raise UserError(f"nothing to predict: give {wanted} as text, or --file FILE with records")
    return placed_rows(task, file or STDIN, given)


def predictions(config: RunConfig, model: Path, rows: Sequence[Placed]) -> list[Prediction]:
    """Predict, with a progress bar on the error stream where there is more to do than one batch.

    A prediction has the `id` of its record, where that has one.
    """
    with importing():
        from prune_cli.run.saved import predict

    collected: list[Prediction] = []
    with (
        results_alone(),
        Progress(console=printer(stderr=True), transient=True, disable=len(rows) <= config.trainer.eval_batch_size) as bar,
    ):
        shown = bar.add_task("predicting", total=len(rows))
        for part in predict(config, model, [row for _, row in rows], [place for place, _ in rows]):
            asked = rows[len(collected) : len(collected) + len(part)]
            collected += [
                {ID: row[ID], **prediction} if ID in row else prediction for (_, row), prediction in zip(asked, part, strict=True)
            ]
            bar.update(shown, completed=len(collected))
    return collected


def show_predictions(predicted: Sequence[Prediction], *, json_lines: bool, output: Path | None = None) -> None:
    """Print predictions, or write them to a file.

    Args:
        json_lines: A JSON object a line, for programs; else for people.
        output: File for JSON lines.

    Raises:
        UserError: If it cannot be written.
    """
    lines = "".join(json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predicted)
    if output is not None:
        outputs.write("--output", output, lines)
        printer(stderr=True).print(f"{len(predicted)} predictions in {output}", soft_wrap=True)
    elif json_lines:
        sys.stdout.write(lines)
    else:
        console = printer(highlight=False)
        for name, value in _parts(predicted):
            console.print(Text(name, style="bold"), end="  ")
            console.print(value, soft_wrap=True)


def _parts(predicted: Sequence[Prediction]) -> Iterator[tuple[str, str]]:
    """The parts of predictions for people; of a list of objects, such as entities, one line each."""
    for prediction in predicted:
        for name, value in prediction.items():
            if isinstance(value, list) and value and isinstance(value[0], Mapping):
                yield from ((name, told(member)) for member in value)
            else:
                yield name, "none" if value in (None, "", []) else told(value)
