"""Attention as the one operation that ONNX has for it, in place of the dozen that make it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 23
"""Of ONNX: the first with attention as an operation."""
_NAME = "one_operation"


@contextmanager
def as_one_operation(model: PreTrainedModel) -> Iterator[None]:
    """Have a model's attention exported as one operation each; architectures that do it their own way are left alone.

    Args:
        model: What is to be exported; it computes nothing of use meanwhile.
    """
    before = model.config._attn_implementation or "eager"
    if model._supports_sdpa:  # what transformers says of those that take their attention from a table
        model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What the table of transformers is asked for.

    The operation gets heads side by side, as the projections made them: then ONNX Runtime need not copy them apart.

    Args:
        module: That attends.
        query: [batch, heads, tokens, dimensions].
        key: The same, of as many heads or fewer that are shared.
        value: The same; dimensions may differ.
        attention_mask: What is added to the scores, [batch, 1, tokens, keys].
        position_bias: What T5 adds to them besides, [1, heads, tokens, keys].
        _: Dropout, and what other implementations want.

    Returns:
        [batch, tokens, heads, dimensions].
    """
    batch, heads, tokens, _size = query.shape
    side_by_side = [part.transpose(1, 2).flatten(2) for part in (query, key, value)]
    added = [each for each in (attention_mask, position_bias) if each is not None]
    node = torch.onnx.ops.symbolic(
        "Attention",
        [*side_by_side, *([sum(added[1:], added[0])] if added else [])],
        attrs={"q_num_heads": heads, "kv_num_heads": key.shape[1], "scale": scaling},
        dtype=query.dtype,
        shape=(batch, tokens, heads * value.shape[-1]),
        version=OPSET,
    )
    return node.view(batch, tokens, heads, -1), None


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, eager_mask)
