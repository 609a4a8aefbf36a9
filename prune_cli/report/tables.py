"""Tables of runs for the screen, within 80 columns. Sparsity always is the fraction removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from prune_cli.artifacts.result import Layer, Result
from prune_cli.report.names import block_and_matrix, metric_label, primary_first, way
from prune_cli.report.numbers import duration, four_digits, percent, size
from prune_cli.report.samples import one_line

SHOWN_LENGTH = 120  # characters of a text in a table of samples


def summary_table(result: Result, folder: Path) -> Table:
    """What came out of one run, for its end."""
    choices, sparsity, seconds = result.choices, result.sparsity, result.seconds
    metric, teacher, best = metric_label(result.primary_metric), result.teacher_metric, result.best_at_target
    zeros, prunable = sparsity.zeros_in_file, sparsity.prunable
    by_mask = "= mask" if zeros == sparsity.zeros_by_mask else f"the mask chose {sparsity.zeros_by_mask:,}"

    table = Table(title=result.name, box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_row("task, model", f"{choices['task']}, {choices['model']}")
    table.add_row("method", f"{choices['criterion']}, regularization {choices['regularization']}, seed {result.seed}")
    table.add_section()
    of = f", of {result.teacher_records:,} records"
    table.add_row("dense teacher", "none" if teacher is None else f"{metric} {teacher:.4f}{of}")
    if (taught := result.taught_steps) is not None:  # a plain run has none
        words = f"{taught:,} of {result.steps:,} steps had a teacher"
        table.add_row(
            "taught",
            f"{words}{_cached(result.teacher_cached)}" if taught else f"{words}: trainer.eval_steps is too large",
            style=None if taught else "yellow",
        )
    for name, value in primary_first(result.metrics, result.primary_metric).items():
        primary = name == result.primary_metric
        table.add_row(
            way(result) if primary else "",
            f"{metric_label(name)} {four_digits(value)}",
            style="bold" if primary else None,
        )
    table.add_row(
        "best at the target",
        "no evaluation there"
        if best is None
        else f"{metric} {best.metric:.4f} at step {best.step:,}, of {best.records:,} records",
    )
    if (kept := result.kept_step) != result.steps:
        table.add_row("kept", f"the weights of step {kept:,}, the best on the validation records (trainer.keep=best)")
    if (only := result.only_prediction) is not None:
        table.add_row("", Text(f"it says the same of all records ({one_line(only, 40)})", style="yellow"))
    table.add_section()
    table.add_row(
        "sparsity",
        f"{percent(zeros / prunable, 4)}% of the prunable weights removed (target {100 * sparsity.target:g}%)",
    )
    table.add_row("zeros counted", f"{zeros:,} of {prunable:,}, in the saved file ({by_mask})")
    table.add_row("keep ratio", f"{percent(1 - zeros / prunable, 4)}%, {prunable - zeros:,} weights kept")
    table.add_row("of the whole model", f"{percent(sparsity.of_model, 2)}% of {sparsity.parameters:,} parameters removed")
    if (counted := result.arithmetic) is not None:
        table.add_row(
            "compact",
            f"{percent(counted.share, 2)}% of the matrices' multiply-adds left, once cut out by prune export",
        )
    table.add_section()
    for name, count in result.files.items():
        table.add_row("file", f"{name}, {size(count)} (zeros are stored too; a small one: prune export --format sparse)")
    table.add_row("time", f"{duration(seconds.total)}, of which {duration(seconds.evaluate)} evaluating")
    table.add_row("speed", f"{result.steps:,} steps, {result.steps_per_second:.2f} a second of training")
    table.add_row("peak memory", size(result.peak_memory_bytes))
    table.add_row("folder", Text(str(folder)))
    table.add_row("", "model/ figures/ history.jsonl result.json config.yaml")
    return table


def _cached(share: float | None) -> str:
    return f", {share:.0%} of its answers were kept from before" if share else ""


def samples_table(samples: Sequence[Mapping[str, Any]]) -> Table:
    """Some records, what was expected of them and what came out: the same, or other."""
    table = Table(title="predictions beside what was expected", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("record", overflow="fold", ratio=3)
    table.add_column("expected", overflow="fold", ratio=2)
    table.add_column("predicted", overflow="fold", ratio=2)
    for sample in samples:
        asked = [f"{name}: {value}" for name, value in sample.items() if name not in ("expected", "predicted", "right")]
        texts = [one_line(text, SHOWN_LENGTH) for text in (sample["expected"], sample["predicted"])]
        record = Text("\n".join(one_line(text, SHOWN_LENGTH) for text in asked))
        mark = Text("✓", style="green") if sample["right"] else Text("≠", style="yellow")
        table.add_row(mark, record, *map(Text, texts))
    return table


def layer_table(layers: Sequence[Layer]) -> Table:
    """Sparsity of every prunable matrix, with the total."""
    places = block_and_matrix([layer.name for layer in layers])
    zeros, weights = sum(layer.zeros for layer in layers), sum(layer.weights for layer in layers)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    if places is not None:
        table.add_column("block", "all", no_wrap=True)
    table.add_column("matrix", "all" if places is None else "", overflow="fold")
    table.add_column("shape", justify="right", no_wrap=True)
    table.add_column("weights", f"{weights:,}", justify="right", no_wrap=True)
    table.add_column("zeros", f"{zeros:,}", justify="right", no_wrap=True)
    table.add_column("sparsity\n(% removed)", percent(zeros / weights, 2), justify="right", no_wrap=True)
    for number, layer in enumerate(layers):
        table.add_row(
            *((layer.name,) if places is None else places[number]),
            " x ".join(f"{length:,}" for length in layer.shape),
            f"{layer.weights:,}",
            f"{layer.zeros:,}",
            percent(layer.sparsity, 2),
        )
    return table


def runs_table(results: Sequence[Result]) -> Group:
    """One line a run, to compare the runs of a sweep: above it what all have in common, below it their folders."""
    choices = {name: [result.choices[name] for result in results] for name in ("task", "model", "criterion", "regularization")}
    choices["metric"] = [result.primary_metric for result in results]
    differing = [name for name, values in choices.items() if len(set(values)) > 1]
    common = [f"{name} {values[0]}" for name, values in choices.items() if name not in differing]

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    if differing:
        table.add_column(", ".join(differing), overflow="fold")
    for name in ("sparsity", "seed", "metric", "best", "zeros", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, result in enumerate(results):
        best = result.best_at_target
        table.add_row(
            str(number + 1),
            *([", ".join(choices[name][number] for name in differing)] if differing else []),
            percent(result.sparsity.measured, 2),
            str(result.seed),
            f"{result.metric:.4f}",
            "-" if best is None else f"{best.metric:.4f}",
            f"{result.sparsity.zeros_in_file:,}",
            duration(result.seconds.total),
        )
    folders = [Text(f"{number:>3} {result.name}", overflow="fold") for number, result in enumerate(results, start=1)]
    alike = [str(number) for number, result in enumerate(results, start=1) if result.only_prediction is not None]
    warned = [Text(f"the same is predicted of all records in {', '.join(alike)}", style="yellow")] if alike else []
    meaning = "sparsity: % of the prunable weights removed, counted in the saved file; best: at\nthe target sparsity"
    return Group(Text(", ".join(common)), table, *warned, Text(meaning, style="dim"), *folders)
