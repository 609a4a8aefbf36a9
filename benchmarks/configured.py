"""Where the records of benchmarks lie, and the configuration of a run of theirs."""

from __future__ import annotations

import os
from pathlib import Path

from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig

DATA = Path(os.environ.get("PRUNE_DATA", "../shared/data"))
"""A folder a task."""


def configured(*overrides: str) -> RunConfig:
    """A run as `prune run` composes it, without a tracker."""
    with composer() as composed:
        cfg = composed(["tracking=none", *overrides])
    return RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg))
