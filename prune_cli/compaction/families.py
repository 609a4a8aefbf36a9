"""Where attention and feed-forwards stand in the blocks of each architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class AttentionNames:
    """An attention in a block, by names relative to it.

    Attributes:
        module: What splits the projections into heads.
        query: Projection to the queries; the same name as `key` and `value` where one matrix makes all three.
        output: Projection of the joined heads.
        heads: Attribute of `module` with the number of heads; None where it follows from the shapes.
        size: Attributes of `module` with the dimensions of a head.
        width: Attributes of `module` with the dimensions of all heads.
        rotary: Whether queries and keys are rotated by their position, and keys shared by heads.
        positions: Projections of relative positions that meet queries and keys dimension by dimension, where a block has them;
            empty where the query's and the key's own serve for that; None where positions do not come this way.
        removable: Whether a block may have fewer heads than others.
        encoder: Whether it may be replaced by `GroupedAttention`: no cache, no positions of its own.
    """

    module: str
    query: str
    key: str
    value: str
    output: str
    heads: str | None = None
    size: tuple[str, ...]
    width: tuple[str, ...] = ()
    rotary: bool = False
    positions: tuple[str, ...] | None = None
    removable: bool = True
    encoder: bool = False


@dataclass(frozen=True, kw_only=True)
class FeedForwardNames:
    """A feed-forward in a block, by names relative to it.

    Attributes:
        up: Projection to the neurons; behind the activation where there is a gate.
        down: Projection from them.
        activation: Module or function between them.
        gate: Projection that the activation is applied to, whose result multiplies that of `up`; None for none.
    """

    up: str
    down: str
    activation: str
    gate: str | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """The blocks of an architecture; a name that a block lacks is passed over.

    Attributes:
        attention: Its attentions.
        feed_forward: Its feed-forwards.
        adds: Whether a block only adds to what it reads what these put out, each behind a norm of its own, so that one that
            puts out zeros can be left out; and all blocks stand in one list.
    """

    attention: tuple[AttentionNames, ...]
    feed_forward: tuple[FeedForwardNames, ...] = field(default=())
    adds: bool = False


def _attention(module: str, projections: str, output: str, **options: Any) -> AttentionNames:
    """An attention whose projections to queries, keys and values lie in the module that splits them into heads."""
    query, key, value = (f"{module}.{name}" for name in projections.split())
    return AttentionNames(module=module, query=query, key=key, value=value, output=output, **options)


def _bart(module: str) -> AttentionNames:
    projections, output = "q_proj k_proj v_proj", f"{module}.out_proj"
    return _attention(module, projections, output, heads="num_heads", size=("head_dim",))


def _t5(module: str) -> AttentionNames:
    sizes = {"size": ("key_value_proj_dim",), "width": ("inner_dim",)}
    # not removable: all blocks add the position bias of the first, one a head
    return _attention(module, "q k v", f"{module}.o", heads="n_heads", removable=False, **sizes)


_OF_BERT = (FeedForwardNames(up="intermediate.dense", down="output.dense", activation="intermediate.intermediate_act_fn"),)
_BERT = Family(
    attention=(
        _attention(
            "attention.self",
            "query key value",
            "attention.output.dense",
            size=("attention_head_size",),
            encoder=True,
        ),
    ),
    feed_forward=_OF_BERT,
)
_LLAMA = Family(
    attention=(_attention("self_attn", "q_proj k_proj v_proj", "self_attn.o_proj", size=("head_dim",), rotary=True),),
    feed_forward=(FeedForwardNames(gate="mlp.gate_proj", up="mlp.up_proj", down="mlp.down_proj", activation="mlp.act_fn"),),
    adds=True,
)
FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "distilbert": Family(
        attention=(
            _attention("attention", "q_lin k_lin v_lin", "attention.out_lin", size=("attention_head_size",), encoder=True),
        ),
        feed_forward=(FeedForwardNames(up="ffn.lin1", down="ffn.lin2", activation="ffn.activation"),),
    ),
    "deberta-v2": Family(
        attention=(
            _attention(
                "attention.self",
                "query_proj key_proj value_proj",
                "attention.output.dense",
                heads="num_attention_heads",
                size=("attention_head_size",),
                width=("all_head_size",),
                positions=("attention.self.pos_query_proj", "attention.self.pos_key_proj"),
            ),
        ),
        feed_forward=_OF_BERT,
    ),
    "gpt2": Family(
        attention=(
            _attention(
                "attn",
                "c_attn c_attn c_attn",
                "attn.c_proj",
                heads="num_heads",
                size=("head_dim",),
                width=("split_size",),
            ),
        ),
        feed_forward=(FeedForwardNames(up="mlp.c_fc", down="mlp.c_proj", activation="mlp.act"),),
        adds=True,
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "bart": Family(
        attention=(_bart("self_attn"), _bart("encoder_attn")),
        feed_forward=(FeedForwardNames(up="fc1", down="fc2", activation="activation_fn"),),
    ),
    "t5": Family(
        attention=(_t5("layer.0.SelfAttention"), _t5("layer.1.EncDecAttention")),
        feed_forward=tuple(
            names
            for place in ("layer.1.DenseReluDense", "layer.2.DenseReluDense")
            for names in (
                FeedForwardNames(up=f"{place}.wi", down=f"{place}.wo", activation=f"{place}.act"),
                FeedForwardNames(gate=f"{place}.wi_0", up=f"{place}.wi_1", down=f"{place}.wo", activation=f"{place}.act"),
            )
        ),
    ),
}
"""By `model_type` of transformers."""
