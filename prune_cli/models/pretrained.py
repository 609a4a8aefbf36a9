"""Loading a pre-trained model and its tokenizer."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prune_cli.errors import UserError
from prune_cli.models.architectures import architecture_of, check_layers, readable
from prune_cli.models.heads import auto_class
from prune_cli.models.input_length import longest_input
from prune_cli.models.locations import Location, gguf_metadata, quantized

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.models.architectures import Architecture

log = logging.getLogger(__name__)

_REMEDY = "Are its files whole? Copy them again, or give another model"
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

    It cuts where the model has no more positions, whatever its own files say.

    Args:
        architecture: What the model is where transformers does not know.

    Raises:
        UserError: If it cannot be loaded, or is no language model's.
    """
    from transformers import AutoTokenizer

    source = _source(name, revision, trust_remote_code, gguf_file)
    with readable(f"the tokenizer of {name}", _REMEDY):
        tokenizer = AutoTokenizer.from_pretrained(str(name), **source)
    if gguf_file is None:
        config = _config(name, source)
        architecture = architecture_of(config, architecture)
        if (longest := longest_input(config)) is not None:
            tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
    else:
        architecture = Location(name=name, gguf_file=gguf_file).architecture() or architecture
        _complete(tokenizer, Path(name) / gguf_file)
    if architecture == "decoder":
        tokenizer.padding_side = "left"
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise UserError(f"the tokenizer of {name} has neither a padding token nor an end of texts: is it whole?")
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
        head: Kind of output; a head that the weights lack is made afresh, from the global random state.
        labels: Names of the classes in label order, empty where there are none; None to keep those that were saved.
        architecture: What it is where transformers does not know.

    Raises:
        UserError: If it cannot be loaded, or cannot have such a head.
    """
    import torch
    from transformers import GgufConfig

    from prune_cli.compaction.compact_layout import KEY

    source = _source(name, revision, trust_remote_code, gguf_file)
    config = _config(name, source, **({} if labels is None else head.options(labels)))
    if hasattr(config, KEY):
        raise UserError(
            f"{name} is a compact model, from which whole units are gone: it can be used, evaluated and exported, and be a"
            " teacher, but not be trained on. Give the model that it was made of"
        )
    auto = auto_class(head, architecture_of(config, architecture), str(name))
    # Otherwise a model of GGUF counts as quantized, which can neither be trained nor saved.
    unpacked = {} if gguf_file is None else {"quantization_config": GgufConfig(dequantize=True)}
    with readable(str(name), _REMEDY):
        model, load_report = auto.from_pretrained(
            str(name),
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=labels is not None and _has_other_classes(_config(name, source), labels),
            **source,
            **unpacked,
        )
    _refuse_other_weights(name, model, head, load_report, fine_tuned=labels is None)
    return model


def load_finetuned(folder: str | Path, head: Head[Any]) -> PreTrainedModel:
    """Load a model that was saved with the head of a task.

    Raises:
        UserError: If it cannot be loaded, or was saved with another head or none.
    """
    from prune_cli.runtime.compact import is_compact, load_compact
    from prune_cli.runtime.sparse import FILE, load_sparse

    if is_compact(folder):
        model = load_compact(folder)
        auto = auto_class(head, architecture_of(model.config), str(folder))
        needed = auto._model_mapping[type(model.config)].__name__
    elif (Path(folder) / FILE).is_file():
        model = load_sparse(folder)
        needed = auto_class(head, architecture_of(model.config), str(folder))._model_mapping[type(model.config)].__name__
    else:
        model = load_model(folder, head=head, labels=None)
        needed = type(model).__name__
    saved = model.config.architectures or []
    if needed not in saved:
        raise UserError(
            f"{folder} was saved as {' or '.join(saved) or 'a model without a head'}, and the task needs {needed}: give a model"
            " that was fine-tuned on this task"
        )
    return model


def _has_other_classes(saved: PretrainedConfig, labels: Sequence[str]) -> bool:
    """Whether a model was fine-tuned for another number of classes, so that its head does not fit."""
    classifies = any(name.endswith("Classification") for name in saved.architectures or [])
    return classifies and saved.num_labels != len(labels)


def _refuse_other_weights(
    name: str | Path, model: PreTrainedModel, head: Head[Any], report: Mapping[str, Any], *, fine_tuned: bool
) -> None:
    """Refuse weights that lack something, or have more layers than the configuration: it would be made up or dropped.

    Only a new head may be made, other than that of a language model, and a pooler, which some pre-trained models lack.
    """
    base = f"{model.base_model_prefix}."

    whole = "AutoModelForCausalLM" in head.auto_classes.values()
    has_head = fine_tuned and type(model).__name__ in (model.config.architectures or [])

    def is_made(key: str) -> bool:
        return not whole and ("pooler." in key or not (has_head or key.startswith(base)))

    other = [key for key, *_ in report["mismatched_keys"]]
    if wrong := [key for key in other if not is_made(key)]:
        raise UserError(f"{name} cannot be loaded: {sorted(wrong)[0]} is of another size than config.json says. {_REMEDY}")
    if other:
        log.warning("%s was fine-tuned for other classes: a new head is made for those of the task.", name)
    lacking = [key for key in report["missing_keys"] if not is_made(key)]
    layers = getattr(model.config, "num_hidden_layers", None) or math.inf
    dropped = [key for key in report["unexpected_keys"] if (_layer(key) or 0) >= layers]
    if lacking or dropped:
        which = f"lack {sorted(lacking)[0]}" if lacking else f"have {sorted(dropped)[0]} too"
        raise UserError(f"{name} cannot be loaded: its weights are not those of its config.json, they {which}. {_REMEDY}")


def _layer(key: str) -> int | None:
    """The number of the layer that a weight is in; None outside of them."""
    match = re.search(r"\.(\d+)\.", key)
    return None if match is None else int(match[1])


def blank_copy(model: PreTrainedModel, device: torch.device | None = None) -> PreTrainedModel:
    """Make a model of the same class and configuration whose weights are still to be filled in.

    Nothing that was put on the model itself comes along, such as a wrapper that somebody sets as its `forward`;
    and the random state stays as it was.

    Args:
        device: Where it is to lie; None for where the model lies.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        copied = type(model)(copy.deepcopy(model.config))
    return cast("PreTrainedModel", cast("nn.Module", copied).to(device or model.device))


def _source(name: str | Path, revision: str | None, trust_remote_code: bool, gguf_file: str | None) -> dict[str, Any]:
    """What every `from_pretrained` is told. A GGUF file goes by its whole path: it is looked for in the working folder first."""
    file = {} if gguf_file is None else {"gguf_file": str((Path(name) / gguf_file).absolute())}
    return {"revision": revision or "main", "trust_remote_code": trust_remote_code, **file}


def _config(name: str | Path, source: dict[str, Any], **options: Any) -> PretrainedConfig:
    from transformers import AutoConfig

    with readable(str(name), _REMEDY):
        config = AutoConfig.from_pretrained(str(name), **source, **options)
    check_layers(config, str(name))
    if (problem := quantized(vars(config))) is not None:
        raise UserError(f"{name}: {problem}")
    return config


def _complete(tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    """Set what transformers does not read from a GGUF file: the longest input, and the way some split numbers."""
    from tokenizers import pre_tokenizers

    metadata = gguf_metadata(file)
    tokenizer.model_max_length = metadata[f"{metadata['general.architecture']}.context_length"]
    if metadata.get("tokenizer.ggml.pre") in _EACH_DIGIT_ALONE:
        cast("Tokenizer", tokenizer.backend_tokenizer).pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def silence() -> None:
    """Let transformers neither warn nor show bars: what is worth telling we tell."""
    from transformers.utils import logging as messages

    messages.set_verbosity_error()
    messages.disable_progress_bar()
