"""`prune eval`: a saved model on records, its own or others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from prune_cli.cli.showing import metrics_table
from prune_cli.config.overrides import spelt
from prune_cli.config.saved import saved_run
from prune_cli.console import outputs
from prune_cli.console.printer import importing, printer, results_alone
from prune_cli.data.records import source_of
from prune_cli.errors import UserError
from prune_cli.report.samples import rows


def show_evaluation(
    folder: Path,
    given: Sequence[str],
    config_dir: str | None,
    *,
    as_json: bool = False,
    predictions: Path | None = None,
) -> None:
    """Evaluate, and print all metrics and how many records they are of.

    Args:
        given: Overrides, and a file of records among them where not those of the run are meant.
        predictions: Where to write the records with their predictions, a JSON object a line.

    Raises:
        UserError: If model or records cannot be used.
    """
    if predictions is not None:
        outputs.check("--predictions", predictions)
    files = [word for word in given if "=" not in word and Path(word).expanduser().is_file()]
    if len(files) > 1:
        raise UserError(f"{' and '.join(files)}: one file at a time")
    overrides = [word for word in given if word not in files]
    for file in files:
        overrides += ["data=local", f"data.path={spelt(str(Path(file).expanduser()))}", "data.holdout=1"]
    config, model = saved_run(folder, overrides, config_dir, training=False)

    with importing():
        from prune_cli.run.saved import evaluate

    with results_alone():
        evaluated = evaluate(config, model, printer(stderr=True))
    counted = {split: len(records) for split, records in evaluated.records.items()}
    if predictions is not None:
        outputs.write(
            "--predictions",
            predictions,
            "".join(
                json.dumps(row, ensure_ascii=False) + "\n"
                for split, answers in evaluated.predictions.items()
                for row in rows(evaluated.task, split, evaluated.records[split].to_list(), answers)
            ),
        )
    if as_json:
        typer.echo(json.dumps({"model": str(model), "metrics": evaluated.metrics, "records": counted}))
        return
    console = printer()
    for split, records in evaluated.records.items():
        console.print(f"{len(records):,} records of {source_of(records)} ({split})", soft_wrap=True, highlight=False)
    console.print(metrics_table(evaluated.metrics, evaluated.task.primary_metric))
    if predictions is not None:
        printer(stderr=True).print(f"predictions in {predictions}", soft_wrap=True)
