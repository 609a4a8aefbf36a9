"""Where the configuration and the studies lie, inside the package in a wheel, beside it in a checkout; and the cache."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    """The folder of that name inside the package, else beside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONF: Path = _find("conf")
"""Hydra's configuration: config.yaml and one folder a group."""

EXPERIMENTS: Path = _find("experiments")
"""One folder a study."""


def cache_folder() -> Path:
    """What is remembered from one run to the next, and may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "prune-lm"
