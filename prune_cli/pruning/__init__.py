"""The engine: which weights, how important, how many, when. It knows torch alone.

It is a library too, for any loop in PyTorch (docs/library.md); criteria, schedules and patterns are in the modules of these
names.
"""

from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.scope import prunable_matrices

__all__ = ["Pruner", "prunable_matrices"]
