"""Blocks and matrices are read off the names of every architecture."""

from __future__ import annotations

import pytest

from prune_cli.report.names import block_and_matrix


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["bert.encoder.layer.11.attention.self.key.weight"], [("11", "attention.key")]),
        (["bert.encoder.layer.0.attention.output.dense.weight"], [("0", "attention.output")]),
        (["distilbert.transformer.layer.3.ffn.lin1.weight"], [("3", "ffn.lin1")]),
        (["transformer.h.2.mlp.c_fc.weight"], [("2", "mlp.c_fc")]),
        (["deberta.encoder.layer.1.attention.self.query_proj.weight"], [("1", "attention.query_proj")]),
        (
            ["encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.SelfAttention.q.weight"],
            [("encoder 0", "layer.0.SelfAttention.q"), ("decoder 0", "layer.0.SelfAttention.q")],
        ),
        # what is left out elsewhere stays where it tells two matrices apart
        (["h.0.self.q.weight", "h.0.dense.q.weight"], [("0", "self.q"), ("0", "dense.q")]),
    ],
)
def test_block_and_matrix(names: list[str], places: list[tuple[str, str]]) -> None:
    assert block_and_matrix(names) == places


def test_a_matrix_outside_of_blocks_leaves_the_names_as_they_are() -> None:
    assert block_and_matrix(["h.0.q.weight", "projection.weight"]) is None
