"""Files that survive a power cut, and how to tell that they have.

What was written is on the disk only once it is synced, and a name only once its folder is. So the order is always: the
data, the folder that names them, what promises them, its folder; and only then may what they replace be removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shutil
import sys
from collections.abc import Iterable, Set
from pathlib import Path
from typing import TypedDict

from filelock import FileLock, Timeout


class Checksum(TypedDict):
    """What a file must be to count as whole."""

    bytes: int
    sha256: str


def checksum(path: Path) -> Checksum:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def sources_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over source files, wherever they lie.

    Args:
        paths: The files, in any order.
    """
    digest = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: (path.name, path)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def class_sources(cls: type, without: Set[str]) -> set[Path]:
    """The files that a class, and those that it builds on, are written in.

    Args:
        cls: A class.
        without: Top-level packages that do not count, beside the standard library.
    """
    known = {*sys.stdlib_module_names, *without}
    owners = [owner for owner in cls.__mro__ if owner.__module__.partition(".")[0] not in known]
    return {Path(path) for owner in owners if (path := inspect.getsourcefile(owner)) is not None}


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all that is in a folder is on the disk, then the folder itself."""
    for path in folder.iterdir():
        if path.is_dir():
            sync_tree(path)
        else:
            sync(path)
    sync(folder)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; when this returns it is on the disk.

    Args:
        path: The file.
        text: Its new content, written as UTF-8.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:  # a full disk, most likely, which is not to be filled with halves
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock file now; one that has died holds none.

    Args:
        lock: The file, which need not exist. What cannot be opened, in somebody else's folder, counts as free.
    """
    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True
    except PermissionError:
        return False


def _as_umask_has_it(folder: Path) -> None:
    """Let files be read by whom new files of this process are; safetensors keeps them to their owner."""
    probe = folder / ".umask"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)


def put_folder(temporary: Path, final: Path) -> None:
    """Put a folder that was filled elsewhere into its place; when this returns it is on the disk.

    Args:
        temporary: The filled folder, on the same file system.
        final: Its place; what stands there is removed first.
    """
    _as_umask_has_it(temporary)
    sync_tree(temporary)
    shutil.rmtree(final, ignore_errors=True)
    temporary.replace(final)
    sync(final.parent)
