"""Keeping parts of a model from training."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def freeze(model: nn.Module, kinds: Collection[str]) -> None:
    """Keep some kinds of module from training, in place.

    A weight that is shared with another module, as an embedding often is with the output layer, does not train there either.

    Args:
        kinds: "embeddings"; "norms", which are whatever class has Norm in its name.
    """
    from torch import nn

    for module in model.modules():
        embeds = isinstance(module, nn.Embedding) and "embeddings" in kinds
        norms = "Norm" in type(module).__name__ and "norms" in kinds
        if embeds or norms:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
