"""What stands in a compact model where transformers' own modules know one size alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Group(NamedTuple):
    """Heads of an attention that have the same sizes.

    Attributes:
        keys: Dimensions of a query and of a key.
        values: Dimensions of a value.
    """

    heads: int
    keys: int
    values: int

    @property
    def weight(self) -> int:
        """Dimensions that matrices make or read: those of queries, keys and values, and of values a second time."""
        return 2 * self.heads * (self.keys + self.values)


@final
class _Projections(nn.Module):
    """Queries, keys and values of a group, by a matrix each: one for all would have to be split, which runtimes copy for."""

    def __init__(self, inputs: int, group: Group) -> None:
        super().__init__()
        self.query = nn.Linear(inputs, group.heads * group.keys)
        self.key = nn.Linear(inputs, group.heads * group.keys)
        self.value = nn.Linear(inputs, group.heads * group.values)

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.query(hidden_states), self.key(hidden_states), self.value(hidden_states)


@final
class GroupedAttention(nn.Module):
    """Self-attention of an encoder whose heads have different sizes, for inference.

    Each group is an ordinary attention; what all give is put side by side.
    """

    is_causal = False

    def __init__(
        self,
        config: PretrainedConfig,
        groups: Sequence[Group],
        *,
        inputs: int,
        scaling: float,
        outputs: int | None = None,
    ) -> None:
        """Make it, with weights to be filled in.

        Args:
            config: The model's, which names the implementation of attention.
            inputs: Width of the hidden states.
            outputs: Width of the output projection; None where it stands elsewhere in the block.
        """
        super().__init__()
        self.config = config
        self.groups = [Group(*group) for group in groups]
        self.scaling = scaling
        self.projections = nn.ModuleList(_Projections(inputs, group) for group in self.groups)
        self.output: nn.Module | None = None
        if outputs is not None:
            self.output = nn.Linear(sum(group.heads * group.values for group in self.groups), outputs)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **options: Any) -> tuple[Tensor, None]:
        """Attend.

        Args:
            hidden_states: [batch, tokens, inputs].

        Returns:
            The joined heads, or their projection, [batch, tokens, width].
        """
        leading = hidden_states.shape[:-1]
        attend = ALL_ATTENTION_FUNCTIONS.get(self.config._attn_implementation, _eager)
        joined: list[Tensor] = []
        for group, projections in zip(self.groups, self.projections, strict=True):
            query, key, value = (
                attended.view(*leading, group.heads, -1).transpose(1, 2) for attended in projections(hidden_states)
            )
            attended, _ = attend(self, query, key, value, attention_mask, dropout=0.0, scaling=self.scaling)
            joined.append(attended.reshape(*leading, -1))
        whole = joined[0] if len(joined) == 1 else torch.cat(joined, dim=-1)
        return (whole if self.output is None else self.output(whole)), None


def _eager(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention operation by operation."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    return (scores.softmax(dim=-1) @ value).transpose(1, 2), None


@final
class Constant(nn.Module):
    """A linear layer whose every weight is zero: its bias, whatever comes in."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> Tensor:
        """T5 asks its output layer for a type."""
        return self.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """The bias at every token, [..., outputs]."""
        return self.bias.expand(*inputs.shape[:-1], -1)


@final
class Unread(nn.Module):
    """A linear layer whose result nobody reads, for what follows it is a `Constant`."""

    weight = torch.empty(0)  # transformers looks at the type of some, and gives some a first value
    bias = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Hand the inputs on."""
        return inputs
