"""Patterns: which weights compete with each other. A file here and a YAML in conf/pattern make one."""

from prune_cli.pruning.patterns.base import Importance, Mask, Pattern, Rows
from prune_cli.pruning.patterns.block import Block
from prune_cli.pruning.patterns.floor import Floor
from prune_cli.pruning.patterns.nm import NofM
from prune_cli.pruning.patterns.ranking import Ranking
from prune_cli.pruning.patterns.uniform import Uniform
from prune_cli.pruning.patterns.units import Units
from prune_cli.pruning.patterns.unstructured import Unstructured

__all__ = [
    "Block",
    "Floor",
    "Importance",
    "Mask",
    "NofM",
    "Pattern",
    "Ranking",
    "Rows",
    "Uniform",
    "Units",
    "Unstructured",
]
