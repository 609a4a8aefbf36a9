"""Names for people: of metrics, and of the matrices of a Transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from prune_cli.artifacts.result import Result

_METRICS = {
    "f1": "F1",
    "f1_macro": "macro F1",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "r2": "R²",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "pearson_spearman": "mean of Pearson and Spearman",
    "bleu": "BLEU",
    "chrf_plus_plus": "chrF++",
    "ter": "TER",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
}
_BLOCK = re.compile(r"^(?P<stack>.*?)\.(?P<block>\d+)\.(?P<matrix>.+?)(?:\.weight)?$")
_FILLERS = {"self", "dense"}


def way(result: Result) -> str:
    """What a run made of the model, in one word."""
    return "pruned" if result.sparsity.target > 0 else "dense"


def metric_label(name: str) -> str:
    """What a metric is called in a figure or a table.

    >>> metric_label("f1"), metric_label("accuracy_mismatched")
    ('F1', 'accuracy mismatched')
    """
    return _METRICS.get(name, name.replace("_", " "))


def run_title(result: Result) -> str:
    """What a run is, for the heading of a figure."""
    choices, target = result.choices, result.sparsity.target
    how = f"{100 * target:g}% removed by {choices['criterion']}" if target > 0 else "dense"
    return f"{choices['model']} on {choices['task']}, {how}, seed {result.seed}"


def primary_first(metrics: Mapping[str, float | None], primary_metric: str) -> dict[str, float | None]:
    """Order the metrics of a run: the primary one, the others, the loss.

    >>> primary_first({"loss": 0.5, "accuracy": 0.75, "f1": 0.8}, "f1")
    {'f1': 0.8, 'accuracy': 0.75, 'loss': 0.5}
    """
    return dict(sorted(metrics.items(), key=lambda item: (item[0] != primary_metric, item[0] == "loss")))


def block_and_matrix(names: Sequence[str]) -> list[tuple[str, str]] | None:
    """Split the names of prunable matrices into Transformer block and matrix within it.

    Args:
        names: Names of weights in a model, in its order.

    Returns:
        Block and matrix of each name, together as unique as the names; None if one of them lies in no block.

    >>> block_and_matrix(["bert.layer.0.attention.self.query.weight", "bert.layer.0.output.dense.weight"])
    [('0', 'attention.query'), ('0', 'output')]
    >>> block_and_matrix(["encoder.block.0.q.weight", "decoder.block.0.q.weight"])
    [('encoder 0', 'q'), ('decoder 0', 'q')]
    """
    matches = [_BLOCK.match(name) for name in names]
    matched = [match for match in matches if match is not None]
    if len(matched) < len(names):
        return None
    stacks = {match["stack"] for match in matched}
    blocks = [_block(match["stack"], match["block"], several_stacks=len(stacks) > 1) for match in matched]
    short = list(zip(blocks, [_without_fillers(match["matrix"]) for match in matched], strict=True))
    if len(set(short)) == len(names):
        return short
    return list(zip(blocks, [match["matrix"] for match in matched], strict=True))


def _block(stack: str, block: str, *, several_stacks: bool) -> str:
    if not several_stacks:
        return block
    parts = stack.split(".")
    return f"{next((part for part in parts if part in ('encoder', 'decoder')), stack)} {block}"


def _without_fillers(matrix: str) -> str:
    parts = [part for part in matrix.split(".") if part not in _FILLERS]
    return ".".join(parts) or matrix
