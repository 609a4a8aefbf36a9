"""How long an input a model takes, by its table of positions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


def longest_input(config: PretrainedConfig) -> int | None:
    """The tokens for which a model has positions.

    Returns:
        Rows of its smallest table of positions, less those that padding or an offset takes, as in RoBERTa and BART; None for
        positions that are computed, which have no end.
    """
    import torch
    from torch import nn
    from transformers import AutoModel

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = AutoModel.from_config(copy.deepcopy(config))
    # Code of the model's own, or sizes that cannot be: whoever loads it tells what is wrong
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, ImportError):
        return None
    tables = [module for name, module in model.named_modules() if isinstance(module, nn.Embedding) and _is_of_positions(name)]
    return min(map(_rows, tables), default=None)


def _is_of_positions(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last == "wpe" or ("position" in last and "relative" not in last)


def _rows(table: nn.Embedding) -> int:
    offset: int = getattr(table, "offset", 0)  # of BART and OPT
    return table.num_embeddings - (offset or (0 if table.padding_idx is None else table.padding_idx + 1))
