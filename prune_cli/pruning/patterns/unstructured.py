"""Single weights anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from prune_cli.pruning.patterns.ranking import Ranking


@final
@dataclass(frozen=True, kw_only=True)
class Unstructured(Ranking):
    """Single weights anywhere: all prunable weights compete in one ranking."""

    @property
    def anywhere(self) -> bool:
        """See `Pattern`."""
        return True
