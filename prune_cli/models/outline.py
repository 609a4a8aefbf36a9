"""A model without its weights, by which a run can be checked before anything is loaded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from prune_cli.errors import UserError
from prune_cli.models.architectures import architecture_of
from prune_cli.models.heads import auto_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prune_cli.heads.base import Head
    from prune_cli.models.architectures import Architecture
    from prune_cli.models.options import ModelConfig


def outline(model: ModelConfig, head: Head[Any]) -> PreTrainedModel | None:
    """Make the model that a run starts from on no device: its modules and shapes are there, its weights are not.

    Returns:
        The outline; None where the model's configuration is not on this machine, or cannot be read.
    """
    import torch
    from transformers import AutoConfig

    try:
        if model.random is not None:
            config = AutoConfig.for_model(**model.random)
        else:
            place = model.location()
            config = AutoConfig.from_pretrained(
                str(place.name),
                revision=place.revision or "main",
                trust_remote_code=model.trust_remote_code,
                local_files_only=True,
                **({} if place.gguf_file is None else {"gguf_file": place.gguf_file}),
            )
        auto = auto_class(head, architecture_of(config, cast("Architecture | None", model.architecture)), "the model")
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return auto.from_config(copy.deepcopy(config), trust_remote_code=model.trust_remote_code)
    except (UserError, OSError, ValueError, KeyError, TypeError):  # whoever loads it tells what is wrong
        return None
