"""What a model is, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prune_cli.files import checksum
from prune_cli.models import Location, fingerprint
from prune_cli.models.fingerprints import _memory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"w" * (1 << 20))
    return made


def test_a_large_file_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(Location(name=folder))
    hashed: list[str] = []
    monkeypatch.setattr("prune_cli.models.fingerprints.checksum", lambda path: hashed.append(path.name) or checksum(path))
    assert fingerprint(Location(name=folder)) == first
    assert hashed == ["config.json"]
    weights = folder / "model.safetensors"
    times = weights.stat()
    weights.write_bytes(b"v" * (1 << 20))  # the same size
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # and, as `cp -p` leaves it, the same time
    assert fingerprint(Location(name=folder)) != first
    assert hashed == ["config.json", "config.json", "model.safetensors"]


@pytest.mark.parametrize("memory", ["", "garbage", "[]", "{}"])
def test_a_broken_memory_costs_time_alone(folder: Path, memory: str) -> None:
    first = fingerprint(Location(name=folder))
    _memory().write_text(memory)
    assert fingerprint(Location(name=folder)) == first


def test_a_memory_that_cannot_be_written_costs_time_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert fingerprint(Location(name=folder)) == fingerprint(Location(name=folder))


def test_a_hub_model_is_taken_at_its_word() -> None:
    assert fingerprint(Location(name="owner/name", revision="abc")) == "hub:owner/name@abc"
    assert fingerprint(Location(name="owner/name")) == "hub:owner/name@newest"


def test_of_a_gguf_file_the_file_counts(folder: Path) -> None:
    (folder / "a.gguf").write_bytes(b"a")
    one = fingerprint(Location(name=folder, gguf_file="a.gguf"))
    (folder / "config.json").write_text("{ }")
    assert fingerprint(Location(name=folder, gguf_file="a.gguf")) == one
    (folder / "a.gguf").write_bytes(b"b")
    assert fingerprint(Location(name=folder, gguf_file="a.gguf")) != one
