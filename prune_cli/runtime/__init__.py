"""Exported models, loaded without Trainer, Hydra or W&B: torch, transformers and what reads the files are all that this needs."""

from __future__ import annotations

from prune_cli.runtime.compact import load_compact
from prune_cli.runtime.sparse import load_sparse

__all__ = ["load_compact", "load_sparse"]
