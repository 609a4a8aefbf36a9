"""What a model is, wherever it lies: a hash of the files that are loaded from it."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from prune_cli.files import checksum, write_text
from prune_cli.paths import cache_folder

if TYPE_CHECKING:
    from prune_cli.models.locations import Location

log = logging.getLogger(__name__)

LOADED = (".safetensors", ".gguf", ".json", ".txt", ".model", ".tiktoken", ".py", ".jinja")
"""Endings of what makes a model or a tokenizer; cards, pickles and other formats of the same weights are not read."""
_LARGE = 1 << 20  # bytes, from which a file's hash is remembered


def fingerprint(location: Location) -> str:
    """Say what lies at a location: equal exactly when the same would be loaded.

    Args:
        location: A folder, a GGUF file in one, or an id on the hub, which is taken at its word.

    Returns:
        A hash for files, `hub:NAME@REVISION` for the hub.
    """
    folder = Path(location.name).expanduser()
    if not folder.is_dir():
        return f"hub:{location.name}@{location.revision or 'newest'}"
    files = [folder / location.gguf_file] if location.gguf_file else sorted(folder.iterdir())
    digest = hashlib.sha256()
    for path in files:
        if path.suffix in LOADED and not path.name.startswith(".") and path.is_file():
            digest.update(f"{path.name}:{_hashed(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _hashed(path: Path) -> str:
    """SHA-256 of a file; that of a large one is remembered for as long as the file is the same."""
    status = path.stat()
    if status.st_size < _LARGE:
        return checksum(path)["sha256"]
    # The time of the last change of any kind, which no copying sets back
    key, seen = str(path.resolve()), [status.st_size, status.st_ctime_ns, status.st_ino]
    memory = _memory()
    remembered = _remembered(memory)
    if remembered.get(key, [None])[:-1] != seen:
        remembered[key] = [*seen, checksum(path)["sha256"]]
        _remember(memory, remembered)
    return remembered[key][-1]


def _memory() -> Path:
    return cache_folder() / "checksums.json"


def _remembered(memory: Path) -> dict[str, list]:
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or torn: hashing again is all that is lost
        return {}
    return remembered if isinstance(remembered, dict) else {}


def _remember(memory: Path, fingerprints: dict[str, list]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_text(memory, json.dumps(fingerprints))
    except OSError as error:  # a home that cannot be written costs time alone
        log.debug("%s cannot be written: %s", memory, error)
