"""The source of a class: what it computes changes with it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Set
from pathlib import Path


def sources_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over source files, wherever they lie."""
    digest = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: (path.name, path)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def class_sources(cls: type, without: Set[str]) -> set[Path]:
    """The files that a class, and those that it builds on, are written in.

    Args:
        without: Top-level packages that do not count, beside the standard library.
    """
    others = {*sys.stdlib_module_names, *without}
    owners = [owner for owner in cls.__mro__ if owner.__module__.partition(".")[0] not in others]
    return {Path(path) for owner in owners if (path := inspect.getsourcefile(owner)) is not None}
