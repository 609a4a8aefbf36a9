"""Patterns: which weights compete with each other. A class here and a YAML in conf/pattern make one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from prune_cli.pruning.selection import Cutoff, Scores, find_cutoff


@final
@dataclass(frozen=True, kw_only=True)
class Unstructured:
    """Single weights anywhere: all prunable weights compete in one ranking.

    Attributes:
        regrow: Let pruned weights train on between two selections, as published, so that they may come back; False holds
            them at zero until the next selection.
    """

    regrow: bool = True

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types: nothing can be."""
        return iter(())

    def select(self, scores: Callable[[], Iterator[Scores]], remove: int) -> Cutoff | None:
        """Find the line below which exactly `remove` scores lie; None where nothing is to be removed."""
        return find_cutoff(scores, remove)
