"""A compact model, made from a pruned one, and what is left of its arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prune_cli.compaction.blocks import silent_blocks, without_blocks
from prune_cli.compaction.changes import changes, has_rules
from prune_cli.compaction.compact_layout import KEY, VERSION, CompactLayout, make_module, put
from prune_cli.compaction.families import FAMILIES
from prune_cli.errors import UserError
from prune_cli.pruning.scope import prunable_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Arithmetic:
    """Multiply-adds of the matrices in the Transformer blocks for one token; attention's own products are not among them.

    Attributes:
        dense: Of the model as it is saved, zeros and all.
        left: After compaction.
    """

    dense: int
    left: int

    @property
    def share(self) -> float:
        """What is left, 0 to 1."""
        return self.left / self.dense


def arithmetic(model: PreTrainedModel) -> Arithmetic | None:
    """Count what compaction would leave, without making it.

    Returns:
        The counts; None for an architecture that there are no rules for, and for a model that is compact.
    """
    if not has_rules(model):
        return None
    weights = prunable_weights(model)
    dense = sum(weight.numel() for weight in weights.values())
    gone = tuple(f"{name}." for name in silent_blocks(model))
    dropped = sum(weight.numel() for name, weight in weights.items() if name.startswith(gone)) if gone else 0
    cut = sum(each.after - each.before for each in changes(model) if not gone or not each.entry["name"].startswith(gone))
    return Arithmetic(dense, dense - dropped + cut)


def compact(model: PreTrainedModel) -> Arithmetic:
    """Make a model compact, in place: its outputs stay the same but for rounding. It is for inference from then on.

    Blocks that add nothing go as a whole. Where nothing else can be cut out, it stays a plain model of transformers.

    Args:
        model: Pruned, its removed weights zero. Its configuration afterwards tells the layout, where there is one.

    Returns:
        What was there and what is left.

    Raises:
        UserError: If there are no rules for its architecture, or it is compact already.
    """
    if hasattr(model.config, KEY):
        raise UserError("the model is compact already: there is nothing to cut out")
    if not has_rules(model):
        raise UserError(
            f"compaction has no rules for {model.config.model_type}; it knows {', '.join(FAMILIES)}. Take another form, such as"
            " --format sparse, or leave --compact out"
        )
    dense = sum(weight.numel() for weight in prunable_weights(model).values())
    without_blocks(model, silent_blocks(model))
    left = sum(weight.numel() for weight in prunable_weights(model).values())
    layout = CompactLayout(version=VERSION, modules=[])
    for change in changes(model):
        left += change.after - change.before
        if change.entry["kind"] == "sizes":
            put(model, change.entry)
        else:
            module = make_module(change.entry, model.config)
            module.load_state_dict(change.tensors, assign=True)
            put(model, change.entry, module.eval())
        layout["modules"].append(change.entry)
    if layout["modules"]:  # else its configuration says all there is to say
        model.config.__dict__[KEY] = layout
    model.requires_grad_(requires_grad=False).eval()
    return Arithmetic(dense, left)


@torch.no_grad()
def answers(model: PreTrainedModel) -> Tensor:
    """What a model puts out for a few words, to compare it with what it becomes.

    Returns:
        Its first output; the shape depends on the head.
    """
    words = torch.linspace(0, model.config.vocab_size - 1, 12, device=model.device).long()[None]
    inputs = {"input_ids": words} | ({"decoder_input_ids": words} if model.config.is_encoder_decoder else {})
    return model(**inputs)[0]


def compact_class(cls: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The class of transformers whose models are compact from the start, as their configuration tells."""

    def __init__(self: PreTrainedModel, config: Any, *inputs: Any, **options: Any) -> None:
        cls.__init__(self, config, *inputs, **options)
        for entry in getattr(config, KEY)["modules"]:
            put(self, entry)

    # By its own name, which is what transformers writes into a configuration
    return type(cls.__name__, (cls,), {"__init__": __init__, "__module__": cls.__module__})
