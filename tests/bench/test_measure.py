"""Timing in turns, and the metric of a model in another runtime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from prune_cli.bench.base import Arrays, Candidate, Runtime
from prune_cli.bench.bench import verdict
from prune_cli.bench.graphs import OnnxRuntime, OpenVino
from prune_cli.bench.measure import Load, Times, dominated, in_turns, loads, metric_of
from prune_cli.bench.memory import peak_memory
from prune_cli.bench.pytorch import PyTorch
from prune_cli.cli.benching import runtimes
from prune_cli.cli.exporting import source_of
from prune_cli.config.option_files import names
from prune_cli.config.saved import saved_run
from prune_cli.errors import UserError
from prune_cli.exporting.source import Source
from prune_cli.paths import CONF
from prune_cli.run.saved import evaluate
from tests.tiers import exhaustive, quick
from tests.whole_runs import do


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return do(tmp_path_factory.mktemp("runs"), "sparsity=0.9").folder


@pytest.fixture(scope="module")
def source(run: Path) -> Source:
    return source_of(run, [])


def test_every_runtime_of_the_folder_can_be_built() -> None:
    assert list(runtimes([], None)) == names("runtime", [CONF])
    with pytest.raises(UserError, match="did you mean onnxruntime"):
        runtimes(["onnxruntim"], None)


def test_a_users_own_runtime_is_found(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "mine.yaml").write_text("# Mine\n_target_: prune_cli.bench.pytorch.PyTorch\nprecision: fp32\n")
    assert runtimes(["mine"], str(tmp_path)) == {"mine": PyTorch()}


def test_calls_are_made_in_turns_each_after_a_warm_one() -> None:
    calls: list[str] = []

    def way(name: str):
        def run(_: Arrays) -> Arrays:
            calls.append(name)
            return {}

        return run

    load = Load(1, 4, {})
    timed = in_turns({name: way(name) for name in "abc"}, load, seconds=0, least=4)
    assert all(times.count == 4 for times in timed.values())
    rounds = [calls[3:][start : start + 6] for start in range(0, 24, 6)]
    assert all(Counter(each) == {"a": 2, "b": 2, "c": 2} for each in rounds)
    assert all(one == other for each in rounds for one, other in zip(each[::2], each[1::2], strict=True))
    assert len({tuple(each) for each in rounds}) > 1


def test_times_are_quartiles() -> None:
    assert Times.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Times(median=3.0, low=2.0, high=4.0, count=5)


def test_batches_are_real_records_with_their_padding(source: Source) -> None:
    found = loads(source, [(1, 0.0), (8, 0.5), (8, 1.0)], 40)
    assert [load.inputs["input_ids"].shape[0] for load in found] == [1, 8, 8]
    assert all(load.inputs["input_ids"].shape[1] == load.length for load in found)
    assert found[0].length < found[1].length <= found[2].length
    assert not found[2].inputs["attention_mask"].all()
    assert np.all(found[2].inputs["input_ids"][found[2].inputs["attention_mask"] == 0] == 0)


def _example(source: Source):
    return next(iter(source.inputs(8, 8)))


WAYS = [(False, PyTorch()), (False, OnnxRuntime()), (True, PyTorch()), (True, OpenVino())]


@pytest.mark.parametrize(("compacted", "runtime"), quick(WAYS[1:3], WAYS), ids=str)
def test_the_metric_is_that_of_prune_eval_in_every_runtime(
    compacted: bool, runtime: Runtime, source: Source, run: Path, tmp_path: Path
) -> None:
    config, model = saved_run(run, [])
    expected = evaluate(config, model, Console(quiet=True)).metrics[source.task.primary_metric]
    candidate = Candidate(source, tmp_path, compacted=compacted, example=_example(source))
    called, size = runtime.prepare(candidate)
    assert metric_of(called, source) == pytest.approx(expected, abs=1e-12)
    assert size > 0


@exhaustive
def test_the_peak_is_that_of_a_process_of_its_own(source: Source, tmp_path: Path) -> None:
    candidate = Candidate(source, tmp_path, compacted=False, example=_example(source))
    inputs = {name: value.numpy() for name, value in _example(source).items()}
    OnnxRuntime().prepare(candidate)
    assert peak_memory(OnnxRuntime(), candidate, inputs) > 0  # of what is loaded here nothing goes along


@exhaustive
@pytest.mark.parametrize("task", ["ner", "squad"])
def test_the_metric_of_other_kinds_of_tasks(task: str, tmp_path: Path) -> None:
    outcome = do(tmp_path, f"task={task}", "sparsity=0.9", "trainer.max_steps=20", "task.evaluation_records=null")
    source = source_of(outcome.folder, [])
    config, model = saved_run(outcome.folder, [])
    expected = evaluate(config, model, Console(quiet=True)).metrics[source.task.primary_metric]
    called, _ = OnnxRuntime().prepare(Candidate(source, tmp_path / "files", compacted=True, example=_example(source)))
    assert metric_of(called, source) == pytest.approx(expected, abs=1e-12)


def _way(run: str, runtime: str, milliseconds: float, metric: float, sparsity: float, form: str = "saved") -> dict[str, Any]:
    times = [{"batch": 1, "length": 8, "median": milliseconds / 1000}]
    return {"run": run, "runtime": runtime, "form": form, "metric": metric, "sparsity": sparsity, "times": times}


def _front(ways: list[dict[str, Any]]) -> list[bool]:
    return [not beaten for beaten in dominated([(way["times"][0]["median"], way["metric"]) for way in ways])]


def test_the_verdict_says_when_dense_int8_alone_is_better() -> None:
    dense = _way("d", "onnxruntime_int8", 2, 0.9, 0.0)
    pruned = [_way("p", "eager", 9, 0.88, 0.9), _way("p", "onnxruntime_int8", 2.5, 0.87, 0.9)]
    said = verdict([dense, *pruned], _front([dense, *pruned]))
    assert said[0] == "no other way beats: d, saved, onnxruntime_int8: 0.9000 in 2.0 ms"
    assert "dense int8 alone is the better choice: d, saved, onnxruntime_int8" in said[1]


def test_the_verdict_compares_with_dense_int8_where_it_is_not() -> None:
    ways = [_way("d", "openvino_int8", 3, 0.9, 0.0), _way("p", "openvino_int8", 2, 0.89, 0.9)]
    ways.append(_way("p", "openvino_int8", 1, 0.89, 0.9, "compact"))
    said = verdict(ways, _front(ways))
    assert said[1].startswith("dense int8 alone: d,")
    assert "the fastest pruned way: p, compact" in said[1]
    assert said[2] == "p, openvino_int8: compact is 2.00 times as fast as saved, at 1 records of at most 8 tokens"
    assert "is open: give a dense run too" in verdict(ways[1:], [True, True])[1]
