"""From the configuration of a model to a Hugging Face model and tokenizer."""

from __future__ import annotations

from prune_cli.models.architectures import WITH_ARTICLE, Architecture, architecture_of, readable, told_architecture
from prune_cli.models.fingerprints import fingerprint
from prune_cli.models.freezing import freeze
from prune_cli.models.heads import class_problems, in_order
from prune_cli.models.locations import Location, folder_problems, package_folder
from prune_cli.models.options import ModelConfig
from prune_cli.models.outline import outline
from prune_cli.models.pretrained import blank_copy, load_finetuned, load_model, load_tokenizer, silence
from prune_cli.models.random_init import random_model, random_tokenizer, trained_tokenizer
from prune_cli.models.vocabulary import other_token, unknown_share

__all__ = [
    "WITH_ARTICLE",
    "Architecture",
    "Location",
    "ModelConfig",
    "architecture_of",
    "blank_copy",
    "class_problems",
    "fingerprint",
    "folder_problems",
    "freeze",
    "in_order",
    "load_finetuned",
    "load_model",
    "load_tokenizer",
    "other_token",
    "outline",
    "package_folder",
    "random_model",
    "random_tokenizer",
    "readable",
    "silence",
    "told_architecture",
    "trained_tokenizer",
    "unknown_share",
]
