"""Blocks that add nothing to what they read: without them the model is a plain one of fewer layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import nn

from prune_cli.compaction.families import FAMILIES
from prune_cli.pruning.scope import transformer_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def silent_blocks(model: PreTrainedModel) -> list[str]:
    """The names of blocks whose attention and feed-forward put out zeros, whatever they read; one block always stays."""
    family = FAMILIES[model.config.model_type]
    if not family.adds or getattr(model.config, "scale_attn_by_inverse_layer_idx", False):  # by the block's number
        return []
    names = list(transformer_blocks(model))
    ends = [names.output for names in family.attention] + [names.down for names in family.feed_forward]
    silent = [name for name in names if all(_zero(model.get_submodule(f"{name}.{end}")) for end in ends)]
    return silent if len(silent) < len(names) else silent[1:]


def without_blocks(model: PreTrainedModel, names: list[str]) -> None:
    """Take blocks out of a model, in place; its configuration then says that it has fewer."""
    if not names:
        return
    stack = names[0].rpartition(".")[0]
    gone = {int(name.rpartition(".")[2]) for name in names}
    blocks = cast("nn.ModuleList", model.get_submodule(stack))
    kept = [number for number in range(len(blocks)) if number not in gone]
    for place, number in enumerate(kept):
        for module in blocks[number].modules():
            if hasattr(module, "layer_idx"):  # where its keys and values lie in a cache
                cast("Any", module).layer_idx = place
    model.set_submodule(stack, nn.ModuleList([blocks[number] for number in kept]), strict=True)
    model.config.num_hidden_layers = len(kept)
    if (types := getattr(model.config, "layer_types", None)) is not None:
        model.config.layer_types = [types[number] for number in kept]


def _zero(layer: nn.Module) -> bool:
    """Whether a layer puts out zeros whatever it reads."""
    return all(not bool(parameter.any()) for parameter in layer.parameters())
