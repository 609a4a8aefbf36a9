"""Which weights may be pruned: the matrices inside the stack of Transformer blocks.

Classes of transformers, which is not known here, go by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from prune_cli.pruning.matrices import Matrix

_INPUTS_FIRST = ("Conv1D", "Llama4TextExperts")
"""Layers that store [in, out] without telling so."""
_OF_HEADS: Mapping[str, Mapping[str, bool]] = {
    "XLNetRelativeAttention": {"q": True, "k": True, "v": True, "r": True, "o": False},
    "FunnelRelMultiheadAttention": {"r_kernel": True},
}
"""Projections with a dimension for heads, and whether it is of outputs, which are then stored last."""


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of `prunable_matrices`, all of them, by their name; views."""
    return {matrix.name: matrix.local() for matrix in prunable_matrices(model)}


def prunable_matrices(model: nn.Module, include: str | None = None, exclude: str | None = None) -> list[Matrix]:
    """Find the weight matrices of the Transformer blocks, in the model's own order.

    A block stack is an `nn.ModuleList`, as in every architecture of transformers; embeddings inside one (the relative
    positions of T5) are left alone, and so are routers, which choose experts, and their gates. Each expert of a stack is a
    matrix. Biases and norms have one dimension; embeddings, pooler and head lie outside. A weight that is shared counts once.
    For BERT-base that is 84,934,656 weights.

    Args:
        include: Regular expression; only weights whose name it finds are taken. None for all.
        exclude: Regular expression; weights whose name it finds are left alone. None for none.

    Returns:
        The matrices, by position.

    Raises:
        ValueError: If none is left.
    """
    there = list(_matrices(model))
    chosen: list[Matrix] = []
    start = 0
    for matrix in there:
        excluded = exclude is not None and re.search(exclude, matrix.name)
        if (include is None or re.search(include, matrix.name)) and not excluded:
            chosen.append(replace(matrix, start=start))
            start += matrix.size
    if not chosen:
        fits = f", and none of them fits model.include={include!r} and model.exclude={exclude!r}" if there else ""
        raise ValueError(f"no weight is left to prune: {len(there)} matrices lie in the Transformer blocks{fits}")
    return chosen


def transformer_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The Transformer blocks by their names: the members of every `nn.ModuleList` that lies in no other."""
    blocks: dict[str, nn.Module] = {}
    for name, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):
        if isinstance(module, nn.ModuleList) and not name.startswith(tuple(f"{block}." for block in blocks)):
            blocks |= {f"{name}.{number}": block for number, block in enumerate(module)}
    return blocks


def unreached(model: nn.Module) -> float:
    """The share of the Transformer blocks' weights that are in no matrix, such as the kernels of convolutions.

    Args:
        model: Any model of transformers, or alike. Its routers, biases and embeddings do not count.

    Returns:
        From 0 to 1.
    """
    weights = {
        id(parameter): parameter.numel() for name, _, parameter in _candidates(model) if parameter.ndim > 1 and "bias" not in name
    }
    reached = {id(matrix.parameter) for matrix in _matrices(model)}
    return sum(count for weight, count in weights.items() if weight not in reached) / max(1, sum(weights.values()))


def _matrices(model: nn.Module) -> Iterator[Matrix]:
    """All matrices that may be pruned, each as if it were the first."""
    for name, module, parameter in _candidates(model):
        last = name.rpartition(".")[2]
        kind = type(module).__name__
        inputs_first = kind in _INPUTS_FIRST or bool(getattr(module, "is_transposed", False))
        if parameter.ndim == 2 and last == "weight":
            yield Matrix(name, module, 0, inputs_first=inputs_first)
        elif parameter.ndim == 3 and "Experts" in kind:
            for number in range(len(parameter)):
                yield Matrix(f"{name}.{number}", module, 0, number, inputs_first)
        elif last in (projections := _OF_HEADS.get(kind, {})):
            yield Matrix(name, module, 0, inputs_first=projections[last])


def _candidates(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """The parameters of the Transformer blocks, but those of embeddings and routers, with the layers that they belong to."""
    modules = dict(cast("Iterator[tuple[str, nn.Module]]", model.named_modules()))  # its own type is partly unknown
    blocks = tuple(f"{name}." for name in transformer_blocks(model))
    left = {id(module.weight) for module in modules.values() if isinstance(module, nn.Embedding)}
    left |= {id(parameter) for router in _routers(modules.values()) for parameter in router.parameters()}
    for name, parameter in model.named_parameters():
        if name.startswith(blocks) and id(parameter) not in left:
            yield name, modules[name.rpartition(".")[0]], parameter


def _routers(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """What chooses experts: layers that are called so, and gates beside experts."""
    for module in modules:
        if "Router" in type(module).__name__:
            yield module
        children = dict(module.named_children())
        if any(name == "experts" or "Experts" in type(child).__name__ for name, child in children.items()):
            yield from (child for name, child in children.items() if name.endswith(("gate", "router")))
