"""Measure runs in every runtime, side by side, and say what came out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from prune_cli.artifacts import environment
from prune_cli.bench.base import Candidate, Run, Runtime
from prune_cli.bench.measure import Load, dominated, in_turns, loads, metric_of
from prune_cli.bench.memory import peak_memory
from prune_cli.compaction.compact import arithmetic
from prune_cli.errors import UserError
from prune_cli.exporting.source import Source
from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime.folders import class_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORMAT = 1
RECORDS = 400
"""Records that batches are chosen from, at most."""
QUICK = ("eager", "onnxruntime", "onnxruntime_int8")
PLACES = ((1, 0.5), (8, 0.5), (1, 0.9), (8, 0.9), (32, 0.5))
"""Batches by size and place among the records by length; the first two where it is to be quick."""
SECONDS, SECONDS_QUICK = 12, 5
"""For which rounds are begun on each batch."""
_DENSE = 0.01
"""Zeros, as a share of the prunable weights, below which a model counts as dense: some are zero by chance."""
SAVED, COMPACT = "saved", "compact"
Note = Callable[[str], None]
Way = Mapping[str, Any]


def bench(sources: Mapping[str, Source], runtimes: Mapping[str, Runtime], *, quick: bool, note: Note) -> dict[str, Any]:
    """Measure.

    Args:
        sources: Runs of one task by name; the sparsity of each is counted.
        runtimes: By name; those that lack something here are left out.

    Returns:
        The result, for JSON: the machine, and of every way run, form, runtime, metric, bytes and times.

    Raises:
        UserError: If the runs are of several tasks, or no runtime can be used.
    """
    tasks = {source.task.name for source in sources.values()}
    if len(tasks) > 1:
        raise UserError(f"the runs are of the tasks {', '.join(sorted(tasks))}: bench runs of one task at a time")
    lacking = {name: why for name, runtime in runtimes.items() if (why := runtime.lacking()) is not None}
    if len(lacking) == len(runtimes):
        raise UserError(*(f"{name}: {why}" for name, why in lacking.items()))
    first = next(iter(sources.values()))
    chosen = loads(first, PLACES[:2] if quick else PLACES, RECORDS)
    usable = {name: runtime for name, runtime in runtimes.items() if name not in lacking}
    with TemporaryDirectory(prefix="prune-bench-") as folder:
        ways, failed = _measured(sources, usable, chosen, Path(folder), quick=quick, note=note)
    if not ways:
        raise UserError(*(f"{way}: {why}" for way, why in failed.items()))
    task = first.task
    front = [not beaten for beaten in dominated([(latency(way), _metric(way)) for way in ways])]
    return {
        "format": FORMAT,
        "task": task.name,
        "primary_metric": task.primary_metric,
        "quick": quick,
        "machine": environment.machine(),
        "versions": environment.versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "lacking": lacking | failed,
        "ways": [{**way, "front": best} for way, best in zip(ways, front, strict=True)],
        "verdict": verdict(ways, front),
    }


def _measured(
    sources: Mapping[str, Source],
    runtimes: Mapping[str, Runtime],
    chosen: Sequence[Load],
    folder: Path,
    *,
    quick: bool,
    note: Note,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every way, prepared and measured, and why others could not be."""
    largest = max(chosen, key=lambda load: load.batch * load.length)
    ways: list[dict[str, Any]] = []
    ready: dict[str, Run] = {}
    failed: dict[str, str] = {}
    for name, source in sources.items():
        model = source.model()
        counted, sparsity = arithmetic(model), _sparsity(model, class_of(source.folder))
        forms = [SAVED] if counted is None or counted.share == 1 else [SAVED, COMPACT]
        example = next(iter(source.inputs(8, 8)))
        for form in forms:
            candidate = Candidate(source, folder / str(len(ways)), compacted=form == COMPACT, example=example)
            for kind, runtime in runtimes.items():
                note(f"{name}, {form}: {kind}")
                try:
                    run, size = runtime.prepare(candidate)
                    for load in chosen:  # some graphs take texts of one length alone
                        run(load.inputs)
                    metric = metric_of(run, source)
                except UserError as error:
                    failed[f"{kind} of {name}, {form}"] = str(error)
                    continue
                memory = None if quick else peak_memory(runtime, candidate, largest.inputs)
                way = f"{name} | {form} | {kind}"
                ready[way] = run
                ways.append(
                    {
                        "run": name,
                        "path": str(source.folder),
                        "sparsity": sparsity,
                        "form": form,
                        "runtime": kind,
                        "arithmetic": counted.share if counted is not None and form == COMPACT else 1.0,
                        "bytes": size,
                        "memory_bytes": memory,
                        "metric": metric,
                        "times": [],
                    }
                )
    for load in chosen:
        note(f"timing {len(ready)} ways in turns: {load.batch} records of at most {load.length} tokens")
        timed = in_turns(ready, load, seconds=SECONDS_QUICK if quick else SECONDS, least=5 if quick else 3)
        for way, times in zip(ways, timed.values(), strict=True):
            way["times"].append({"batch": load.batch, "length": load.length, **asdict(times)})
    return ways, failed


def _sparsity(model: PreTrainedModel, cls: type[PreTrainedModel]) -> float:
    """What is gone of the prunable weights: zeros, and what a compact model has no place for."""
    with torch.device("meta"):
        whole = sum(weight.numel() for weight in prunable_weights(cls(copy.deepcopy(model.config))).values())
    return 1 - sum(int((weight != 0).sum()) for weight in prunable_weights(model).values()) / whole


def latency(way: Way) -> float:
    """Median seconds for one record of middling length."""
    return way["times"][0]["median"]


def _metric(way: Way) -> float:
    return 0.0 if way["metric"] is None else way["metric"]


def verdict(ways: Sequence[Way], front: Sequence[bool]) -> list[str]:
    """What follows, in words.

    Args:
        front: Of each way whether no other is faster at one record and at least as good, or better and at least as fast.
    """
    best = [way for way, there in zip(ways, front, strict=True) if there]
    sentences = ["no other way beats: " + "; ".join(_told(way) for way in sorted(best, key=latency))]
    dense = [way for way in ways if way["sparsity"] < _DENSE and "int8" in way["runtime"]]
    pruned = [way for way in ways if way["sparsity"] >= _DENSE]
    if pruned and not dense:
        sentences.append("whether dense int8 alone would do is open: give a dense run too, and a runtime with int8")
    elif pruned:
        chosen = min(dense, key=lambda way: (-_metric(way), latency(way)))
        better = [way for way in pruned if latency(way) < latency(chosen) or _metric(way) > _metric(chosen)]
        if better:
            quickest = min(pruned, key=latency)
            sentences.append(f"dense int8 alone: {_told(chosen)}; the fastest pruned way: {_told(quickest)}")
        else:
            sentences.append(f"dense int8 alone is the better choice: {_told(chosen)}; no pruned way is faster, none is better")
    for way in ways:
        if way["form"] == COMPACT:
            whole = next(
                (each for each in ways if (each["run"], each["runtime"], each["form"]) == (way["run"], way["runtime"], SAVED)),
                None,
            )
            if whole is None:
                continue
            before, after = whole["times"][-1], way["times"][-1]
            sentences.append(
                f"{way['run']}, {way['runtime']}: compact is {before['median'] / after['median']:.2f} times as fast as saved, at"
                f" {after['batch']} records of at most {after['length']} tokens"
            )
    return sentences


def _told(way: Way) -> str:
    metric = "" if way["metric"] is None else f" {way['metric']:.4f}"
    return f"{way['run']}, {way['form']}, {way['runtime']}:{metric} in {1000 * latency(way):.1f} ms"
