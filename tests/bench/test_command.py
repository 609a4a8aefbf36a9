"""`prune bench`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prune_cli.bench import bench
from prune_cli.bench.picture import named
from prune_cli.bench.tracked import bench_summary
from prune_cli.cli.app import app
from prune_cli.errors import UserError
from tests.event_files import texts
from tests.tiers import exhaustive
from tests.whole_runs import do


@exhaustive
def test_a_table_a_result_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(bench, "SECONDS_QUICK", 0.2)
    pruned = do(tmp_path, "sparsity=0.95").folder
    dense = do(tmp_path, "sparsity=0").folder
    done = CliRunner().invoke(
        app,
        [
            "bench",
            str(pruned),
            str(dense),
            "--quick",
            "--runtime",
            "eager,onnxruntime_int8",
            "-o",
            str(tmp_path / "out"),
            "tracking=[tensorboard]",
        ],
    )
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out" / "bench.json").read_text())
    forms = [(way["run"], way["form"], way["runtime"]) for way in result["ways"]]
    assert forms == [
        (pruned.name, "saved", "eager"),
        (pruned.name, "saved", "onnxruntime_int8"),
        (pruned.name, "compact", "eager"),
        (pruned.name, "compact", "onnxruntime_int8"),
        (dense.name, "saved", "eager"),
        (dense.name, "saved", "onnxruntime_int8"),
    ]
    by_form = dict(zip(forms, result["ways"], strict=True))
    assert by_form[pruned.name, "compact", "eager"]["bytes"] < by_form[pruned.name, "saved", "eager"]["bytes"]
    assert by_form[pruned.name, "compact", "eager"]["metric"] == by_form[pruned.name, "saved", "eager"]["metric"]
    assert any(way["front"] for way in result["ways"])
    assert all(0 < time["low"] <= time["median"] <= time["high"] for way in result["ways"] for time in way["times"])
    assert "dense int8 alone" in done.output
    assert (tmp_path / "out" / "bench.png").stat().st_size > 10_000
    assert "| onnxruntime_int8 |" in texts(tmp_path / "out" / "tensorboard")["bench"]


def test_what_trackers_are_told() -> None:
    times = [{"batch": 1, "length": 8, "median": 0.25, "low": 0.2, "high": 0.3, "count": 5}]
    way = {
        "run": "a",
        "form": "saved",
        "runtime": "eager",
        "sparsity": 0.9,
        "arithmetic": 1.0,
        "metric": 0.5,
        "bytes": 8,
    }
    slow = {**way, "memory_bytes": 9, "front": True, "times": times}
    quick = {**slow, "form": "compact", "times": [{**times[0], "median": 0.125}]}
    best = {**slow, "front": False, "times": [{**times[0], "median": 0.0625}]}
    told = bench_summary({"ways": [slow, quick, best]}, Path("bench.png"))
    assert told.values == {"ways": 3, "fastest": "a, compact, eager", "fastest_seconds": 0.125, "metric": 0.5}
    columns, rows = told.tables["bench"]
    assert [dict(zip(columns, row, strict=True))["seconds 1 x 8"] for row in rows] == [0.25, 0.125, 0.0625]
    assert told.pictures == [Path("bench.png")]


def test_what_cannot_be_measured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "empty")])
    assert isinstance(done.exception, UserError)
    assert "no run folder" in str(done.exception)
    done = CliRunner().invoke(app, ["bench", "tracking=wandb"])
    assert "which run?" in str(done.exception)
    (tmp_path / "file").touch()
    run = do(tmp_path, "sparsity=0", "trainer.max_steps=2", "trainer.warmup=0").folder
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["bench", str(run), "--runtime", "onnxruntime"])
    assert isinstance(done.exception, UserError)
    assert "pip install 'prune-lm[onnx]'" in str(done.exception)
    done = CliRunner().invoke(app, ["bench", str(run), "-o", str(tmp_path / "file")])
    assert str(done.exception) == f"--output {tmp_path / 'file'} cannot be written: File exists"


def test_names_in_the_picture_do_not_cover_one_another() -> None:
    said = [("a", 0.100, 0.8), ("b", 0.105, 0.8), ("b", 0.5, 0.8), ("c", 0.105, 0.7), ("d", 0.2, None)]
    ways = [{"runtime": name, "metric": metric, "times": [{"median": time}]} for name, time, metric in said]
    assert named(ways) == {(100.0, 0.8): ["a", "b"], (105.0, 0.7): ["c"], (200.0, 0.0): ["d"]}
