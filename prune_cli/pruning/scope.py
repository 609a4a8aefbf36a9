"""Which weights may be pruned: the matrices inside the stack of Transformer blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from torch import nn

from prune_cli.pruning.matrices import Matrix


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of `prunable_matrices`, all of them, by their name in the model.

    Args:
        model: Any model of transformers, or alike.
    """
    return {matrix.name: matrix.parameter for matrix in prunable_matrices(model)}


def prunable_matrices(model: nn.Module, include: str | None = None, exclude: str | None = None) -> list[Matrix]:
    """Find the two-dimensional weights of the Transformer blocks, in the model's own order.

    A block stack is an `nn.ModuleList`, as in every architecture of transformers; embeddings inside one (the relative
    positions of T5) are left alone, and so are routers, which choose experts. Biases and norms have one dimension; embeddings,
    pooler and head lie outside. A weight that is shared counts once. For BERT-base that is 84,934,656 weights.

    Args:
        model: Any model of transformers, or alike.
        include: Regular expression; only weights whose name it finds are taken. None for all.
        exclude: Regular expression; weights whose name it finds are left alone. None for none.

    Returns:
        The matrices, by position.

    Raises:
        ValueError: If none is left.
    """
    stacks = _stacks(model)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    embeddings |= {id(weight) for m in model.modules() if "Router" in type(m).__name__ for weight in m.parameters()}
    weights = {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.startswith(stacks)
        and name.endswith("weight")
        and parameter.ndim == 2
        and id(parameter) not in embeddings
    }
    chosen = {
        name: parameter
        for name, parameter in weights.items()
        if (include is None or re.search(include, name)) and not (exclude is not None and re.search(exclude, name))
    }
    if not chosen:
        raise ValueError(
            f"no weight is left to prune: {len(weights)} matrices lie in the Transformer blocks, and none of them fits"
            f" model.include={include!r} and model.exclude={exclude!r}"
        )
    matrices: list[Matrix] = []
    start = 0
    for name, parameter in chosen.items():
        matrices.append(Matrix(name, model.get_submodule(name.rpartition(".")[0]), start))
        start += parameter.numel()
    return matrices


def unreached(model: nn.Module) -> int:
    """How many weights of the Transformer blocks are in tensors of three dimensions, such as stacks of experts, and not pruned.

    Args:
        model: Any model of transformers, or alike.
    """
    stacks = _stacks(model)
    return sum(p.numel() for name, p in model.named_parameters() if name.startswith(stacks) and p.ndim == 3)


def _stacks(model: nn.Module) -> tuple[str, ...]:
    modules = cast("Iterator[tuple[str, nn.Module]]", model.named_modules())  # its own type is partly unknown
    return tuple(f"{name}." for name, module in modules if isinstance(module, nn.ModuleList))
