"""Checkpoints that are either whole or not there, from which a run goes on exactly as if it had never stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, final

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.pruning.pruner import Pruner
    from prune_cli.training.teacher import Teacher

log = logging.getLogger(__name__)

_MANIFEST = "manifest.json"


@final
class Checkpoints:
    """The checkpoints of one run: model, optimizer, learning rate and random states by the Trainer; pruner and teacher by us.

    A weight costs 12 bytes (itself and two moments of Adam), a prunable one 12 more (8 without uncertainty, none for a
    criterion that is not smoothed), and 4 more a weight while a former student teaches.
    """

    def __init__(self, folder: Path, *, keep: int, pruner: Pruner, teacher: Teacher | None) -> None:
        """Name what is saved.

        Args:
            folder: Where the checkpoints lie, each a folder "checkpoint-<step>".
            keep: How many of the newest stay.
            pruner: Its averages, mask and cutoff are saved.
            teacher: Its weights and best metric are saved; None without one.
        """
        self.folder = folder
        self.staging_folder = folder / ".staging"
        self.keep = keep
        self.pruner = pruner
        self.teacher = teacher

    @contextlib.contextmanager
    def staging(self, step: int) -> Iterator[Path]:
        """Write a checkpoint: the caller fills the folder given, then all of it appears at once.

        Args:
            step: Steps finished.
        """
        shutil.rmtree(self.staging_folder, ignore_errors=True)
        filled = self.staging_folder / f"checkpoint-{step}"
        filled.mkdir(parents=True)
        yield filled
        _save_tensors(self.pruner.state_dict(), filled / "pruner.safetensors")
        if self.teacher is not None:
            _save_tensors(self.teacher.weights(), filled / "teacher.safetensors")
            (filled / "teacher.json").write_text(json.dumps(self.teacher.state()))
        sums = {path.name: _checksum(path) for path in sorted(filled.iterdir())}
        (filled / _MANIFEST).write_text(json.dumps(sums))
        for path in filled.iterdir():  # the disk must have it all before the rename says so
            _sync(path)
        final = self.folder / filled.name
        shutil.rmtree(final, ignore_errors=True)
        filled.replace(final)
        _sync(self.folder)
        for old in self._newest_first()[self.keep :]:
            shutil.rmtree(old)

    def latest(self) -> Path | None:
        """The newest whole checkpoint; torn ones are passed over with a warning."""
        for path in self._newest_first():
            if _whole(path):
                return path
            log.warning("%s is damaged; going back to the checkpoint before it", path)
        return None

    def restore(self, path: Path) -> None:
        """Give pruner and teacher their state back; the Trainer restores the rest itself.

        Args:
            path: A checkpoint that `latest` found.
        """
        self.pruner.load_state_dict(load_file(path / "pruner.safetensors"))
        if self.teacher is not None:
            state = json.loads((path / "teacher.json").read_text())
            self.teacher.load(state, load_file(path / "teacher.safetensors"))

    def _newest_first(self) -> list[Path]:
        paths = self.folder.glob("checkpoint-*")
        return sorted(paths, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _checksum(path: Path) -> list[int]:
    """Size in bytes and CRC-32: against torn and rotten files, not against malice."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return [path.stat().st_size, crc]


def _whole(path: Path) -> bool:
    try:
        sums = json.loads((path / _MANIFEST).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return all((path / name).is_file() and _checksum(path / name) == expected for name, expected in sums.items())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
