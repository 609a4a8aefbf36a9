"""Files that survive a power cut, and how to tell that they have.

What was written is on the disk only once it is synced, and a name only once its folder is. So the order is always: the
data, the folder that names them, what promises them, its folder; and only then may what they replace be removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import psutil
from filelock import FileLock, Timeout

_OWN = ".prune-{pid}-{token}.tmp{suffix}"
"""Name of what a process is filling: its number tells others whether it is still at it."""
_LONGEST_SUFFIX = 20


class Checksum(TypedDict):
    """What a file must be to count as whole."""

    bytes: int
    sha256: str


def checksum(path: Path) -> Checksum:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


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


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all, whoever else writes there; when this is left it is on the disk.

    A symbolic link stays, and the file that it leads to is written. What is no regular file (a pipe, a device) is written
    into, and not replaced.

    Yields:
        A file to fill, with the same ending.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (filled := Path(folder) / f"output{path.suffix}")
            with filled.open("rb") as source, path.open("wb") as stream:
                shutil.copyfileobj(source, stream)
        return
    path = resolved(path)
    temporary = _own_name(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:  # after Ctrl-C and on a full disk, which is not to be filled with halves
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync(path.parent)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Fill a folder that is there whole or not at all, whoever else fills it; when this is left it is on the disk.

    Args:
        folder: Its place; what stands there is replaced. Of a symbolic link, what it leads to.

    Yields:
        An empty folder to fill.
    """
    folder = resolved(folder)
    temporary = _own_name(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        put_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; when this returns it is on the disk."""
    with written(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def resolved(path: Path) -> Path:
    """What a path leads to, whole.

    Raises:
        OSError: If links lead around in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def is_stream(path: Path) -> bool:
    """Whether a path leads to a pipe, a device, or a file that this process has open."""
    opened = path in (Path("/dev/stdout"), Path("/dev/stderr")) or path.parts[:3] == ("/", "dev", "fd")
    return opened or (path.exists() and not path.is_file() and not path.is_dir())


def _own_name(path: Path) -> Path:
    """A name beside a path that no other process takes; what processes that were killed have left there goes."""
    if path.parent.is_dir():
        for left in path.parent.glob(_OWN.format(pid="*", token="*", suffix="*")):
            if (pid := left.name.split("-")[1]).isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(_OWN.format(pid=os.getpid(), token=secrets.token_hex(4), suffix=path.suffix[:_LONGEST_SUFFIX]))


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock file now; one that has died holds none.

    Args:
        lock: The file, which need not exist. What is none, or cannot be opened, in somebody else's folder, counts as free.
    """
    if not lock.is_file():
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
        final: Its place; what stands there is moved away, then removed.
    """
    _as_umask_has_it(temporary)
    sync_tree(temporary)
    old = _own_name(final)
    while True:  # another process may put its own there in between
        with contextlib.suppress(FileNotFoundError):
            final.rename(old)
        try:
            temporary.replace(final)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(old, ignore_errors=True)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)
