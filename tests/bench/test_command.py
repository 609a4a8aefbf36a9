"""`prune bench`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prune_cli.bench import base, bench
from prune_cli.cli.app import app
from prune_cli.errors import UserError
from tests.whole_runs import do


@pytest.mark.slow
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
        ],
    )
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out" / "bench.json").read_text())
    forms = [(way["run"], way["form"], way["runtime"]) for way in result["ways"]]
    assert forms == [
        (pruned.name, "as saved", "eager"),
        (pruned.name, "as saved", "onnxruntime_int8"),
        (pruned.name, "compact", "eager"),
        (pruned.name, "compact", "onnxruntime_int8"),
        (dense.name, "as saved", "eager"),
        (dense.name, "as saved", "onnxruntime_int8"),
    ]
    by_form = dict(zip(forms, result["ways"], strict=True))
    assert by_form[pruned.name, "compact", "eager"]["bytes"] < by_form[pruned.name, "as saved", "eager"]["bytes"]
    assert by_form[pruned.name, "compact", "eager"]["metric"] == by_form[pruned.name, "as saved", "eager"]["metric"]
    assert any(way["front"] for way in result["ways"])
    assert all(0 < time["low"] <= time["median"] <= time["high"] for way in result["ways"] for time in way["times"])
    assert "dense int8 alone" in done.output
    assert (tmp_path / "out" / "bench.png").stat().st_size > 10_000


def test_what_cannot_be_measured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "empty")])
    assert isinstance(done.exception, UserError)
    assert "no run folder" in str(done.exception)
    run = do(tmp_path, "sparsity=0", "trainer.max_steps=2", "trainer.warmup=0").folder
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["bench", str(run), "--runtime", "onnxruntime"])
    assert isinstance(done.exception, UserError)
    assert "pip install 'prune-lm[onnx]'" in str(done.exception)
