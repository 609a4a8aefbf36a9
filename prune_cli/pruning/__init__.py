"""The engine: which weights, how important, how many, when. It knows torch alone.

It is a library too, for any loop in PyTorch (docs/library.md); criteria, schedules and patterns are in the modules of these
names.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prune_cli.pruning.pruner import Pruner
    from prune_cli.pruning.scope import prunable_matrices

__all__ = ["Pruner", "prunable_matrices"]

_PLACES = {"Pruner": "pruner", "prunable_matrices": "scope"}


def __getattr__(name: str) -> object:
    """Load torch once the engine is asked for, and not for a module beside it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
