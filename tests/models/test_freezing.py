"""What is kept from training, and nothing else."""

from __future__ import annotations

import pytest

from prune_cli.models import freeze
from tests.compaction.architectures import ARCHITECTURES, tiny


@pytest.mark.parametrize("name", ["bert", "llama", "t5"])
def test_embeddings_and_norms_do_not_train(name: str) -> None:
    assert name in ARCHITECTURES
    model = tiny(name, 0.0)
    every = {each for each, weight in model.named_parameters() if weight.requires_grad}
    freeze(model, ())
    assert {each for each, weight in model.named_parameters() if weight.requires_grad} == every
    freeze(model, ("norms",))
    norms = {each for each, weight in model.named_parameters() if not weight.requires_grad}
    assert norms == {each for each in every if "norm" in each.lower()}
    freeze(model, ("embeddings",))
    embeddings = {each for each, weight in model.named_parameters() if not weight.requires_grad} - norms
    assert embeddings
    assert all("embed" in each or each in ("shared.weight",) or "relative_attention_bias" in each for each in embeddings)
