"""Exported models, without Trainer, Hydra or W&B.

`load_compact` and `load_sparse` give models of transformers; `OnnxModel` and `OpenVinoModel` need neither it nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prune_cli.runtime.compact import load_compact
    from prune_cli.runtime.onnx import OnnxModel
    from prune_cli.runtime.openvino import OpenVinoModel
    from prune_cli.runtime.sparse import load_sparse

__all__ = ["OnnxModel", "OpenVinoModel", "load_compact", "load_sparse"]

_HOMES = {"OnnxModel": "onnx", "OpenVinoModel": "openvino", "load_compact": "compact", "load_sparse": "sparse"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: torch is not needed for all of it."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
