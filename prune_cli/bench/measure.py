"""Timing ways against each other: in turns, warm, medians and spread."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from prune_cli.bench.base import Arrays, Run
from prune_cli.exporting.source import Source
from prune_cli.training.evaluate import stacked

if TYPE_CHECKING:
    from prune_cli.heads.base import Head

PAUSE = 0.002
"""Seconds before each call, in which the threads of the one before come to rest."""


@dataclass(frozen=True)
class Load:
    """Some real records in one batch.

    Attributes:
        length: Tokens of the longest one, to which the others are padded.
    """

    batch: int
    length: int
    inputs: Arrays


@dataclass(frozen=True)
class Times:
    """Seconds of calls.

    Attributes:
        median: Of all.
        low: A quarter took less.
        high: A quarter took more.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Those of some calls, two at least."""
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high, len(seconds))


def loads(source: Source, places: Sequence[tuple[int, float]], most: int) -> list[Load]:
    """Batches of real records around some places in the order of their lengths.

    Args:
        places: Size of each batch, and its place: 0 for the shortest records to 1 for the longest.
    """
    singles = sorted(source.inputs(most, 1), key=lambda inputs: inputs["input_ids"].shape[1])
    loads_found: list[Load] = []
    for batch, share in places:
        end = min(len(singles), max(batch, round(share * len(singles))))
        joined = _joined(singles[max(0, end - batch) : end])
        loads_found.append(Load(min(batch, len(singles)), joined["input_ids"].shape[1], joined))
    return loads_found


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> Arrays:
    """Single records in one batch, padded on the right with zeros, which the mask covers."""
    widths = {name: max(part[name].shape[1] for part in parts) for name in parts[0]}
    return {
        name: np.concatenate([np.pad(part[name].numpy(), ((0, 0), (0, width - part[name].shape[1]))) for part in parts])
        for name, width in widths.items()
    }


def in_turns(
    ways: Mapping[str, Run], load: Load, *, seconds: float, least: int = 5, most: int = 60, seed: int = 0
) -> dict[str, Times]:
    """Time every way on one batch, each round in another order; a call that is timed follows one that is not.

    Args:
        least: Rounds at least, > 1.
        seed: Of the orders.
    """
    order = random.Random(seed)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():  # kernels are chosen, buffers made
        run(load.inputs)
    began = time.perf_counter()
    for round_ in range(most):
        if round_ >= least and time.perf_counter() - began > seconds:
            break
        for name in order.sample(list(ways), len(ways)):
            time.sleep(PAUSE)
            ways[name](load.inputs)
            start = time.perf_counter()
            ways[name](load.inputs)
            taken[name].append(time.perf_counter() - start)
    return {name: Times.of(each) for name, each in taken.items()}


@final
class _Module(nn.Module):
    """A runtime in the place of a model of transformers, for the heads."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, **inputs: Tensor) -> ModelOutput:
        outputs = self.run({name: value.numpy() for name, value in inputs.items()})
        return ModelOutput({name: torch.from_numpy(np.asarray(value)) for name, value in outputs.items()})


def metric_of(run: Run, source: Source, batch_size: int = 32) -> float | None:
    """The primary metric of a model in a runtime, on all records that it is of.

    Returns:
        The metric; None for a task whose models write texts, which runtimes are timed on alone.
    """
    task = source.task
    if writes(source):
        return None
    examples = source.evaluated()
    head: Head[Any] = task.head
    module = _Module(run)
    collate = head.collator(source.tokenizer)
    rows = examples.batches
    collected: list[list[np.ndarray]] = []
    for start in range(0, len(rows), batch_size):
        batch = collate([rows[place] for place in range(start, min(start + batch_size, len(rows)))])
        with torch.no_grad():
            outputs = head.outputs(module, batch)
            predicted = head.predictions(module, batch, outputs, source.tokenizer)
            collected.append([values.cpu().numpy() for values in predicted])
    predictions = examples.predictions(stacked(collected))
    return task.score(predictions, examples.records, task.evaluation_splits[0])[task.primary_metric]


def writes(source: Source) -> bool:
    """Whether the task's models write texts."""
    from prune_cli.heads.text import Text

    return isinstance(source.task.head, Text)


def dominated(ways: Sequence[tuple[float, float]]) -> Iterator[bool]:
    """For each pair of a cost and a gain whether another costs no more, gains no less, and is better in one of both.

    >>> list(dominated([(1.0, 0.8), (2.0, 0.9), (2.0, 0.8)]))
    [False, False, True]
    """
    for cost, gain in ways:
        yield any(c <= cost and g >= gain and (c < cost or g > gain) for c, g in ways)
