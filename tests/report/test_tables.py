"""No number is lost in 80 columns."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from prune_cli.artifacts.result import Layer, Result
from prune_cli.report.tables import layer_table, runs_table, summary_table

MakeResult = Callable[..., Result]


def printed(table: RenderableType, width: int = 80) -> str:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text  # rich's sign for what it cut
    return text


def test_summary(make_result: MakeResult) -> None:
    text = printed(summary_table(make_result(teacher_metric=0.86712, teacher_records=200), Path("runs/mrpc-minilm")))
    for line in (
        r"dense teacher +F1 0\.8671, of 200 records",
        r"pruned +F1 0\.8426",
        r" accuracy 0\.7574",
        r" loss 0\.5124",
        r"best at the target +F1 0\.8474 at step 1,050",
        r"sparsity +90\.0000% of the prunable weights removed \(target 90%\)",
        r"zeros counted +9,555,149 of 10,616,832, in the saved file \(= mask\)",
        r"keep ratio +10\.0000%, 1,061,683 weights kept",
        r"of the whole model +42\.07% of 22,713,986 parameters removed",
        r"file +model/model\.safetensors, 90\.9 MB",
        r"time +24 min 33 s, of which 1 min 13 s evaluating",
        r"speed +1,140 steps, 0\.81 a second",
        r"peak memory +1\.93 GB",
        r"folder +runs/mrpc-minilm",
    ):
        assert re.search(line, text), line


def test_summary_without_teacher_and_without_evaluation_at_the_target(make_result: MakeResult) -> None:
    text = printed(summary_table(make_result(best_at_target=None), Path("runs")))
    assert re.search(r"dense teacher +none", text)
    assert re.search(r"best at the target +no evaluation there", text)


def test_summary_says_when_file_and_mask_disagree(make_result: MakeResult) -> None:
    text = printed(summary_table(make_result(zeros=9_555_150), Path("runs")))
    assert "9,555,150 of 10,616,832" in text
    assert "the mask chose 9,555,149" in " ".join(text.split())


def test_summary_of_a_large_model_in_a_deep_folder(make_result: MakeResult) -> None:
    folder = Path("/home/someone/[projects]") / "a-rather-long-name-of-a-folder" / "mrpc-deberta_v3_base-sensitivity-s0.9"
    text = printed(summary_table(make_result(prunable=301_989_888), folder))
    assert "271,790,899 of 301,989,888" in text
    assert str(folder) in re.sub(r"\s*\n\s+", "", text)


def test_layers(layers: list[Layer]) -> None:
    text = printed(layer_table(layers))
    assert re.search(r"^ 1 +intermediate +16 x 4 +64 +48 +75\.00", text, re.MULTILINE)
    assert re.search(r"^ all +384 +240 +62\.50", text, re.MULTILINE)
    assert "(% removed)" in text


def test_layers_with_large_counts_and_long_names(layers: list[Layer]) -> None:
    large: dict[str, Any] = {"weights": 16_777_216, "zeros": 15_938_355, "sparsity": 0.95, "shape": [4096, 4096]}
    flat = [replace(layer, name=layer.name.replace("layer.", "layer_" * 5), **large) for layer in layers]
    text = printed(layer_table(flat))
    assert len(re.findall(r"4,096 x 4,096 +16,777,216 +15,938,355 +95\.00", text)) == 12
    assert "201,326,592" in text and "191,260,260" in text


def test_runs_that_differ_in_sparsity_only(make_result: MakeResult) -> None:
    text = printed(runs_table([make_result(sparsity=0.0, best_at_target=None), make_result(sparsity=0.95)]))
    assert "task mrpc, model minilm, criterion pins, regularization self, metric f1" in text
    assert re.search(r"^ 1 +0\.00 +42 +0\.8426 +- +0 +24 min 33 s", text, re.MULTILINE)
    assert re.search(r"^ 2 +95\.00 +42 +0\.8426 +0\.8474 +10,085,990 +24 min 33 s", text, re.MULTILINE)
    assert "  2 mrpc-minilm-pins-s0.95-1a2b3c4d" in text
    assert "% of the prunable weights removed" in text


def test_runs_that_differ_in_everything(make_result: MakeResult) -> None:
    runs = [
        make_result(task="mrpc", model="deberta_v3_base", criterion="sensitivity", regularization="teacher"),
        make_result(task="stsb", primary_metric="pearson_spearman", prunable=301_989_888, seed=123),
        make_result(task="rte", model="bert_large", primary_metric="accuracy", sparsity=1.0),
    ]
    text = printed(runs_table(runs))
    assert re.search(r" 123 +0\.8426 +0\.8474 +271,790,899 +24 min 33 s", text)
    assert re.search(r"100\.00 +42 +0\.8426 +0\.8474 +10,616,832 +24 min 33 s", text)
    for word in ("deberta_v3_base", "sensitivity", "teacher", "pearson_spearman", "bert_large"):
        assert word in text
    for number, run in enumerate(runs, start=1):
        assert f"  {number} {run.name}" in text


@pytest.mark.parametrize("width", [80, 120])
def test_one_run(make_result: MakeResult, width: int) -> None:
    assert "mrpc-minilm-pins-s0.9-1a2b3c4d" in printed(runs_table([make_result()]), width)
