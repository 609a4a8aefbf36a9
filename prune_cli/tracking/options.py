"""The options of the group `tracking`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where runs are logged beside the run folder."""

    trackers: dict[str, Any] = field(default_factory=dict)
    """A class by `_target_` for each, filled in by the options of the group: tracking=wandb, or tracking=[wandb,tensorboard]."""
    project: str = "prune-lm"
    """What runs are gathered under."""
    entity: str | None = None
    """W&B user or team; null for the default of the login."""
    group: str | None = None
    """Runs that belong together; null for "<task>-<model>"."""
    tags: list[str] = field(default_factory=list)
    """Tags beside task, model, criterion and sparsity."""
    artifacts: bool = False
    """Hand the pruned model and the pictures over at the end, where the tracker takes files."""
    timeout: float = 30.0
    """Seconds that a tracker may take to start, and to finish; then the run goes on without it, > 0."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each tracker tells its own."""
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            yield f"timeout is {self.timeout:g}: give a number of seconds above 0"
