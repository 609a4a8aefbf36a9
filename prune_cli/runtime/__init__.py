"""Exported models, loaded without Trainer, Hydra or W&B: torch and transformers are all that this needs."""

from __future__ import annotations

from prune_cli.compaction.compact import load_compact

__all__ = ["load_compact"]
