"""Models with random weights, and tokenizers made for them on the spot."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.models.architectures import architecture_of, check_layers, readable
from prune_cli.models.heads import auto_class

_WHERE = "model.random"
_REMEDY = "Give other sizes"
_FEWEST_WORDS = 8
"""Five special tokens, and a few words."""

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.models.architectures import Architecture


def random_tokenizer(config: Mapping[str, Any], texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """Make a tokenizer for a random model.

    Raises:
        UserError: If it is no language model's.
    """
    built = _config(config)
    if built.vocab_size < _FEWEST_WORDS:
        raise UserError(f"model.random.vocab_size is {built.vocab_size}: give at least {_FEWEST_WORDS}, for special tokens too")
    positions: int | None = getattr(built, "max_position_embeddings", None)  # T5 counts from token to token, without end
    return trained_tokenizer(texts, built.vocab_size, positions, architecture_of(built))


def random_model(
    config: Mapping[str, Any], *, head: Head[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """Make a model with random weights, from the global random state.

    Args:
        config: `model_type` and whatever that type's configuration takes.
        labels: Names of the classes in label order, empty where there are none.
        tokenizer: Its special tokens become the model's.

    Raises:
        UserError: If the model cannot have such a head.
    """
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    architecture = architecture_of(_config(config))
    if architecture == "encoder-decoder":
        # A text begins after padding, as T5's do; none is made to end, as BART's would be by another token's number.
        special |= {"decoder_start_token_id": tokenizer.pad_token_id, "forced_eos_token_id": None}
    auto = auto_class(head, architecture, f"model.random.model_type={config['model_type']}")
    built = _config({**special, **config, **head.options(labels)})
    with readable(_WHERE, _REMEDY):
        _refuse_too_large(auto, built)
        return auto.from_config(built)


def _config(values: Mapping[str, Any]) -> PretrainedConfig:
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = values["model_type"]
    if kind not in CONFIG_MAPPING:
        raise UserError(f"model.random.model_type={kind} is no architecture of transformers: give one such as bert")
    if wrong := [name for name, size in values.items() if isinstance(size, int) and size < 0]:
        raise UserError(f"model.random.{wrong[0]} is {values[wrong[0]]}: give no number below 0")
    with readable(_WHERE, _REMEDY):
        built = AutoConfig.for_model(**values)
        check_layers(built, _WHERE)
        return built


def _refuse_too_large(auto: Any, config: PretrainedConfig) -> None:
    """Make the model without its weights, which tells most of what cannot be, and count them."""
    import psutil
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        weights = sum(weight.numel() for weight in auto.from_config(copy.deepcopy(config)).parameters())
    if 4 * weights > (free := psutil.virtual_memory().available):
        raise UserError(f"{_WHERE} has {weights:,} weights, and {free / 2**30:.1f} GiB of memory are free: give smaller sizes")


def trained_tokenizer(
    texts: Sequence[str], vocab_size: int, max_length: int | None, architecture: Architecture
) -> PreTrainedTokenizerBase:
    """Make a tokenizer of whole words from the most frequent words of some texts.

    An encoder's takes words in lower case and encloses a text by `[CLS]` and `[SEP]`. The others' keep the case, and the
    blank before a word as part of it, so that decoding gives the text back; an encoder-decoder's ends a text with `</s>`, a
    decoder's adds nothing.

    Args:
        texts: What the vocabulary is counted from; ties go by alphabet, so equal texts give equal tokenizers.
        vocab_size: Words at most, four or five special tokens among them.
        max_length: Longest input of the model, in tokens; None for any.
    """
    if architecture == "encoder":
        return _encoders(texts, vocab_size, max_length)
    return _writers(texts, vocab_size, max_length, architecture)


def _encoders(texts: Sequence[str], vocab_size: int, max_length: int | None) -> PreTrainedTokenizerBase:
    from tokenizers import normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    counts = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text.lower()))
    tokenizer = _most_frequent(counts, special, vocab_size)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _writers(
    texts: Sequence[str], vocab_size: int, max_length: int | None, architecture: Architecture
) -> PreTrainedTokenizerBase:
    from tokenizers import Regex, decoders, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+|\s"), behavior="isolated")
    counts = Counter(word for text in texts for word, _ in words.pre_tokenize_str(text))
    tokenizer = _most_frequent(counts, ["<pad>", "<unk>", "<s>", "</s>"], vocab_size)
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.Fuse()
    if architecture == "encoder-decoder":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        padding_side="left" if architecture == "decoder" else "right",
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )


def _most_frequent(counts: Counter[str], special: Sequence[str], size: int) -> Tokenizer:
    """A vocabulary of special tokens, numbered from 0, and of the most frequent words; the second special token is for others."""
    from tokenizers import Tokenizer, models

    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: size - len(special)]
    vocab = {word: index for index, word in enumerate([*special, *frequent])}
    return Tokenizer(models.WordLevel(vocab, unk_token=special[1]))
