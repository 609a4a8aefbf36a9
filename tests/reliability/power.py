"""A disk that remembers what it was told to keep: what is there after a power cut, for two disks that both keep their word.

A disk owes the content of a file once the file is synced, and the names in a folder once the folder is. Nothing else. So
after each change of the run's folder there are two extremes of what a power cut leaves:

- the eager disk has written down every name at once, and of content only what was synced: all else is zeros;
- the lazy disk has written down only the names of synced folders, and of content only what was synced: all else is empty.

What a run does is recorded through `os.fsync` and Python's audit events; writes of other code (safetensors, torch) show in
the content that a file has when it is synced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
Image = dict[str, bytes | None]
"""Content of files by their path, None for a folder."""


@dataclass(frozen=True)
class Cut:
    """A moment at which the power may go.

    Attributes:
        after: What was done last.
        images: What an eager and a lazy disk have.
    """

    after: str
    images: tuple[Image, Image]


class Disk:
    """What is owed of a folder.

    Files and folders are known by their number (inode); those that are owed are kept open, so that no other gets it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content: dict[int, bytes] = {}
        self.names: dict[int, dict[str, tuple[int, bool]]] = {}
        self.held: dict[int, int] = {}
        self.cuts: list[Cut] = []
        self._recording = False

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Remember every moment at which the power may go."""
        original: Callable[[int], None] = os.fsync

        def fsync(descriptor: int) -> None:
            original(descriptor)
            self._owe(descriptor)

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            # An event comes before what it tells of: the moment is that after the change before it
            if self._recording and event in CHANGES:
                self._cut(f"before {event} {' '.join(map(str, arguments[:2]))}")

        sys.addaudithook(watch)
        os.fsync = fsync
        self._recording = True
        try:
            yield
        finally:
            self._recording = False
            os.fsync = original
            self._cut("the end")
            for descriptor in self.held.values():
                os.close(descriptor)

    def _owe(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not self._recording or not path.is_relative_to(self.root):
            return
        status = os.fstat(descriptor)
        self._hold(path, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            entries = {entry.name: (entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in os.scandir(path)}
            for name, (inode, _) in entries.items():
                self._hold(path / name, inode)
            self.names[status.st_ino] = entries
        else:
            self.content[status.st_ino] = path.read_bytes()
        self._cut(f"sync of {path.relative_to(self.root)}")

    def _hold(self, path: Path, inode: int) -> None:
        if inode not in self.held:
            self.held[inode] = os.open(path, os.O_RDONLY)

    def _cut(self, after: str) -> None:
        recording, self._recording = self._recording, False  # looking is no change
        self.cuts.append(Cut(after, (self._eager(), self._lazy())))
        self._recording = recording

    def _eager(self) -> Image:
        image: Image = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_dir():
                image[name] = None
                continue
            now = path.read_bytes()
            owed = self.content.get(path.stat().st_ino)
            image[name] = now if owed == now else bytes(len(now))
        return image

    def _lazy(self) -> Image:
        image: Image = {}

        def walk(folder: int, prefix: str) -> None:
            for name, (inode, is_folder) in sorted(self.names.get(folder, {}).items()):
                image[prefix + name] = None if is_folder else self.content.get(inode, b"")
                if is_folder:
                    walk(inode, f"{prefix}{name}/")

        walk(self.root.stat().st_ino, "")
        return image


def written(image: Image, folder: Path) -> Path:
    """Make a folder that holds what an image says."""
    folder.mkdir(parents=True)
    for name, content in image.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)
    return folder


def distinct(cuts: list[Cut]) -> list[tuple[str, Image]]:
    """Every image once, with the moment at which it was there first; in order of time."""
    seen: dict[str, tuple[str, Image]] = {}
    for cut in cuts:
        for kind, image in zip(("eager", "lazy"), cut.images, strict=True):
            kept = {name: content for name, content in image.items() if not name.endswith(("run.log", ".lock"))}
            key = hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()
            seen.setdefault(key, (f"{kind} disk, {cut.after}", image))
    return list(seen.values())
