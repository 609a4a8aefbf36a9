"""Graphs of every architecture, whole and compact, compute what PyTorch does, for other lengths than that of the example too."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from prune_cli.compaction.compact import compact
from prune_cli.exporting.graphs import graphs
from prune_cli.exporting.onnx import write_onnx
from prune_cli.runtime import OnnxModel
from tests.compaction.architectures import ARCHITECTURES, batch, outputs, tiny
from tests.tiers import quick

WHOLE = ("bert", "gpt2", "t5", "deberta-v2")
"""One of each kind of attention; the others are compacted alone, which changes more."""


@pytest.mark.parametrize(
    ("name", "compacted"),
    quick(
        [("bert", True), ("gpt2", False)],
        [*((name, True) for name in ARCHITECTURES), *((name, False) for name in WHOLE)],
    ),
)
def test_a_graph_computes_the_same(name: str, compacted: bool, tmp_path: Path) -> None:
    model = tiny(name, 0.9)
    model.set_attn_implementation("eager")
    if compacted:
        compact(model)
    operations: list[str] = []
    for graph in graphs(model, batch(model)):
        write_onnx(graph, tmp_path / f"{graph.name}.onnx")
        operations += [node.op_type for node in onnx.load(tmp_path / f"{graph.name}.onnx").graph.node]
    assert model.config._attn_implementation == "eager"
    assert ("Attention" in operations) == ("deberta" not in name)  # which has one of its own
    longer = {key: torch.cat([value, value.flip(0)], dim=1) for key, value in batch(model).items()}
    longer["attention_mask"] = longer["attention_mask"].sort(descending=True).values
    alone = {key: value[:1, :3] for key, value in batch(model).items()}
    for inputs in (batch(model), longer, alone):
        expected = outputs(model, inputs)
        found = torch.from_numpy(OnnxModel(tmp_path)(**{key: value.numpy() for key, value in inputs.items()})["logits"])
        if expected.shape != found.shape:  # of a decoder those of real tokens
            found = found[inputs["attention_mask"].bool()]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
