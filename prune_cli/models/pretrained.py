"""Loading a pre-trained model and its tokenizer."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prune_cli.models.architectures import architecture_of
from prune_cli.models.heads import auto_class
from prune_cli.models.locations import Location, gguf_metadata

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.models.architectures import Architecture

log = logging.getLogger(__name__)

_EACH_DIGIT_ALONE = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Pre-tokenizers of llama.cpp that cut out every digit before they split like GPT-2."""


def load_tokenizer(
    name: str | Path,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    gguf_file: str | None = None,
    architecture: Architecture | None = None,
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model; a decoder's pads on the left, and with the end where it has no padding token.

    Args:
        name: Folder or hub id.
        revision: Commit on the hub.
        trust_remote_code: Run code that comes with it.
        gguf_file: GGUF file in the folder that holds it.
        architecture: What the model is where transformers does not know.

    Raises:
        UserError: If it is no language model's.
    """
    from transformers import AutoTokenizer

    source = _source(name, revision, trust_remote_code, gguf_file)
    tokenizer = AutoTokenizer.from_pretrained(str(name), **source)
    if gguf_file is None:
        architecture = architecture_of(_config(name, source), architecture)
    else:
        architecture = Location(name=name, gguf_file=gguf_file).architecture() or architecture
        _complete(tokenizer, Path(name) / gguf_file)
    if architecture == "decoder":
        tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        log.info("the tokenizer of %s has no padding token: its end of a text pads, masked", name)
    return tokenizer


def load_model(
    name: str | Path,
    *,
    head: Head[Any],
    labels: Sequence[str] | None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    gguf_file: str | None = None,
    architecture: Architecture | None = None,
) -> PreTrainedModel:
    """Load a model with the head of a task, in float32, from safetensors or GGUF.

    Args:
        name: Folder or hub id.
        head: Kind of output; a head that the weights lack is made afresh, from the global random state.
        labels: Names of the classes in label order, empty where there are none; None to keep those that were saved.
        revision: Commit on the hub.
        trust_remote_code: Run code that comes with the model.
        gguf_file: GGUF file in the folder that holds it.
        architecture: What it is where transformers does not know.

    Raises:
        UserError: If the model cannot have such a head.
    """
    import torch
    from transformers import GgufConfig

    source = _source(name, revision, trust_remote_code, gguf_file)
    config = _config(name, source, **({} if labels is None else head.options(labels)))
    auto = auto_class(head, architecture_of(config, architecture), str(name))
    # Otherwise a model of GGUF counts as quantized, which can neither be trained nor saved.
    unpacked = {} if gguf_file is None else {"quantization_config": GgufConfig(dequantize=True)}
    return auto.from_pretrained(
        str(name), config=config, dtype=torch.float32, use_safetensors=True, **source, **unpacked
    )


def blank_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Make a model of the same class and configuration, on the same device, whose weights are still to be filled in.

    Nothing that was put on the model itself comes along, such as the autocast wrapper that accelerate sets as its `forward`;
    and the random state stays as it was.

    Args:
        model: The pattern.
    """
    import torch

    with torch.random.fork_rng():
        made = type(model)(copy.deepcopy(model.config))
    return cast("PreTrainedModel", cast("nn.Module", made).to(model.device))


def _source(name: str | Path, revision: str | None, trust_remote_code: bool, gguf_file: str | None) -> dict[str, Any]:
    """What every `from_pretrained` is told. A GGUF file goes by its whole path: it is looked for in the working folder first."""
    file = {} if gguf_file is None else {"gguf_file": str((Path(name) / gguf_file).absolute())}
    return {"revision": revision or "main", "trust_remote_code": trust_remote_code, **file}


def _config(name: str | Path, source: dict[str, Any], **options: Any) -> PretrainedConfig:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(name), **source, **options)


def _complete(tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    """Set what transformers does not read from a GGUF file: the longest input, and the way some split numbers."""
    from tokenizers import pre_tokenizers

    metadata = gguf_metadata(file)
    tokenizer.model_max_length = metadata[f"{metadata['general.architecture']}.context_length"]
    if metadata.get("tokenizer.ggml.pre") in _EACH_DIGIT_ALONE:
        cast("Tokenizer", tokenizer.backend_tokenizer).pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
