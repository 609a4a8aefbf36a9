"""What a model makes of a batch: its decisions, and what its blocks put out, which a student can learn from beside the logits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from torch import nn
from torch.nn.functional import pad

from prune_cli.pruning.scope import transformer_blocks

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from prune_cli.heads.base import Batch, Head, Stack
    from prune_cli.heads.decisions import Decisions

Kind = Literal["hidden", "attention"]
"""Of state: what the Transformer blocks put out, or the attention inside of them."""


class State(NamedTuple):
    """What one module put out.

    Attributes:
        values: [rows, tokens, width].
        mask: Which of the tokens are no padding, [rows, tokens].
    """

    values: Tensor
    mask: Tensor


class Reading(NamedTuple):
    """What a model made of a batch.

    Attributes:
        states: By kind, one a module in the order in which they computed; empty for kinds that nobody wanted.
    """

    decisions: Decisions
    states: Mapping[Kind, list[State]]


def read(model: nn.Module, head: Head[Any], batch: Batch, kinds: Collection[Kind] = ()) -> Reading:
    """Let a model read a batch.

    Hooks are there only in the meantime: what is computed again in the backward pass is not recorded again.
    """
    states: dict[Kind, list[State]] = {kind: [] for kind in kinds}
    with ExitStack() as hooks:
        for kind, states_of_kind in states.items():
            modules = _modules(model, kind)
            two = any(".encoder." in name for name in modules) and any(".decoder." in name for name in modules)
            for name, module in modules.items():
                stack: Stack = "whole" if not two else "target" if ".decoder." in name else "source"
                hooks.callback(module.register_forward_hook(_into(states_of_kind, head, batch, stack)).remove)
        outputs = head.outputs(model, batch)
    return Reading(head.decisions(outputs, batch), states)


def _into(collected: list[State], head: Head[Any], batch: Batch, stack: Stack) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that records what a module puts out."""

    def record(_: nn.Module, __: Any, output: Any) -> None:
        values = cast("Tensor", output[0] if isinstance(output, tuple) else output)
        mask = head.token_mask(batch, stack)[:, : values.shape[1]]
        collected.append(State(values, pad(mask, (0, values.shape[1] - mask.shape[1]))))

    return record


def distance(student: Sequence[State], teacher: Sequence[State]) -> Tensor:
    """How far a student's states are from its teacher's, each layer measured by the teacher's own size (SquareHead).

        distance = sum over rows and layers of sum (s - t)^2 / sum t^2

    The inner sums go over the width and over the tokens of a row that are no padding. Kurtic et al. 2023 (arXiv:2310.06927,
    section 3) normalize over a whole batch; over each row, batches add up to a larger one, whatever else is in them.

    Args:
        teacher: Those of the same modules, without gradient.

    Returns:
        A scalar.

    >>> mask = torch.tensor([[True, False]])
    >>> taught = State(torch.tensor([[[3.0, 4.0], [9.0, 9.0]]]), mask)
    >>> distance([State(torch.zeros(1, 2, 2), mask)], [taught]), distance([taught], [taught])
    (tensor(1.), tensor(0.))
    """
    layers = [_ratio(mine, theirs) for mine, theirs in zip(student, teacher, strict=True)]
    return torch.stack(layers).sum()


def _ratio(student: State, teacher: State) -> Tensor:
    """Of one layer, [rows]; 0 where the teacher puts out nothing, as an attention does whose every head is removed."""
    mask = student.mask.unsqueeze(-1)
    taught = teacher.values.float()
    apart = ((student.values.float() - taught) * mask).square().sum((1, 2))
    size = (taught * mask).square().sum((1, 2))
    return torch.where(size > 0, apart / size.clamp_min(torch.finfo(size.dtype).tiny), 0.0)


def state_problems(student: PreTrainedModel, teacher: PreTrainedModel, kinds: Collection[Kind]) -> Iterator[str]:
    """Why a student cannot learn from the states of another model.

    Args:
        student: With weights or without.
    """
    for kind in kinds:
        mine, theirs = (len(_modules(model, kind)) for model in (student, teacher))
        if not mine:
            yield f"regularization.{kind}: {type(student).__name__} has no module that is called its attention, set it to 0"
        elif mine != theirs or student.config.hidden_size != teacher.config.hidden_size:
            yield (
                f"regularization.{kind} compares {mine} layers of width {student.config.hidden_size} with the first teacher's"
                f" {theirs} of width {teacher.config.hidden_size}: give a teacher of the same form, or 0"
            )


def _modules(model: nn.Module, kind: Kind) -> dict[str, nn.Module]:
    """The modules whose outputs are the states of a kind, by name with a dot before it and one behind."""
    blocks = {f".{name}.": block for name, block in transformer_blocks(model).items()}
    if kind == "hidden":
        return blocks
    return {f"{block}{name}.": module for block, layer in blocks.items() for name, module in _attentions(layer)}


def _attentions(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The attention of a block, known by the name that transformers gives its class, with its output projection."""
    attentions: list[str] = []
    for name, module in cast("Iterator[tuple[str, nn.Module]]", block.named_modules()):
        if name and "Attention" in type(module).__name__ and not name.startswith(tuple(attentions)):
            attentions.append(f"{name}.")
            yield name, module
