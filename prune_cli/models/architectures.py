"""The kinds of language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from prune_cli.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Architecture = Literal["encoder", "decoder", "encoder-decoder"]
"""What a Transformer is made of: BERT, GPT-2 and T5 are an example of each."""

WITH_ARTICLE: Mapping[Architecture, str] = {
    "encoder": "an encoder",
    "decoder": "a decoder",
    "encoder-decoder": "an encoder-decoder",
}


def architecture_of(config: PretrainedConfig, otherwise: Architecture | None = None) -> Architecture:
    """What kind of model a configuration describes.

    Args:
        config: The model's.
        otherwise: What it is where transformers does not know, as with code that comes with the model.

    Raises:
        UserError: If nobody knows.
    """
    from transformers.models.auto import modeling_auto

    if config.is_encoder_decoder:
        return "encoder-decoder"
    if config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    if config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "decoder"
    if otherwise is None:
        raise UserError(
            f"model_type={config.model_type}: transformers has no language model of this type. If it is one, give "
            "model.architecture=encoder, decoder or encoder-decoder"
        )
    return otherwise


def told_architecture(values: Mapping[str, Any]) -> Architecture | None:
    """What kind of model the content of a config.json describes.

    Args:
        values: `model_type`, and `is_encoder_decoder` where it is not the type's own.

    Returns:
        The kind; None for a type that transformers does not know.

    Raises:
        UserError: If it is no language model.
    """
    from transformers import CONFIG_MAPPING

    kind = str(values.get("model_type"))
    if kind not in CONFIG_MAPPING:
        return None
    return architecture_of(CONFIG_MAPPING[kind](**{k: v for k, v in values.items() if k == "is_encoder_decoder"}))
