"""What kind of model a type is."""

from __future__ import annotations

import pytest
from transformers import CONFIG_MAPPING

from prune_cli.errors import UserError
from prune_cli.models.architectures import USUAL, architecture_of, told_architecture


@pytest.mark.parametrize("kind", USUAL)
def test_what_is_known_by_heart_is_what_transformers_says(kind: str) -> None:
    assert told_architecture({"model_type": kind}) == architecture_of(CONFIG_MAPPING[kind]())


def test_others_are_asked_of_transformers() -> None:
    assert told_architecture({"model_type": "albert"}) == "encoder"
    assert told_architecture({"model_type": "bert", "is_encoder_decoder": True}) == "encoder-decoder"
    assert told_architecture({"model_type": "somebodys"}) is None
    with pytest.raises(UserError, match="no language model of this type"):
        told_architecture({"model_type": "vit"})
    with pytest.raises(UserError, match="names no model_type"):
        told_architecture({"hidden_size": 3})
