"""The kinds of language model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from prune_cli.errors import UserError
from prune_cli.plain import shortened

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Architecture = Literal["encoder", "decoder", "encoder-decoder"]
"""What a Transformer is made of: BERT, GPT-2 and T5 are an example of each."""

WITH_ARTICLE: Mapping[Architecture, str] = {
    "encoder": "an encoder",
    "decoder": "a decoder",
    "encoder-decoder": "an encoder-decoder",
}


USUAL: Mapping[str, Architecture] = {
    **dict.fromkeys(("bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"), "encoder"),
    **dict.fromkeys(("gpt2", "gpt_neox", "llama", "mistral", "opt", "qwen2", "qwen3"), "decoder"),
    **dict.fromkeys(("bart", "mbart", "mt5", "t5"), "encoder-decoder"),
}
"""Types that are told without importing transformers, which takes most of a second."""
_MOST_LAYERS = 1000


@contextlib.contextmanager
def readable(what: str, remedy: str) -> Iterator[None]:
    """Tell in one line what transformers raises, which is nearly anything, of files and sizes that cannot be.

    Args:
        what: What is read or made, to begin the line with.

    Raises:
        UserError: If something is raised within.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if "ignore_mismatched_sizes" in str(error):
            raise UserError(f"{what} cannot be loaded: weights and config.json are of different sizes. {remedy}") from error
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        named = "" if isinstance(error, OSError | ValueError) and first else f"{type(error).__name__}: "
        raise UserError(f"{what} cannot be loaded: {named}{shortened(first.rstrip('.'), 300)}. {remedy}") from error


def check_layers(config: PretrainedConfig, what: str) -> None:
    """Refuse a configuration that claims to have more layers than any model, before they are made.

    Raises:
        UserError: If it does, or has none.
    """
    layers = getattr(config, "num_hidden_layers", None)
    if isinstance(layers, int) and not 1 <= layers <= _MOST_LAYERS:
        raise UserError(f"{what} cannot be loaded: num_hidden_layers is {layers}, give 1 to {_MOST_LAYERS}")


def architecture_of(config: PretrainedConfig, otherwise: Architecture | None = None) -> Architecture:
    """What kind of model a configuration describes.

    Args:
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
    if not isinstance(values, Mapping) or "model_type" not in values:
        raise UserError("config.json is none of a model: it names no model_type")
    kind = str(values["model_type"])
    if kind in USUAL and "is_encoder_decoder" not in values:
        return USUAL[kind]

    from transformers import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        return None
    return architecture_of(CONFIG_MAPPING[kind](**{k: v for k, v in values.items() if k == "is_encoder_decoder"}))
