from __future__ import annotations

import ctypes
import sys

import psutil
import pytest

from prune_cli.training import heap


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc"
)
def test_freed_memory_between_used_memory_is_given_back() -> None:
    piece = 100_000  # below the size of which glibc asks the system for each
    pieces = [b"\1" * piece for _ in range(2000)]
    kept = pieces[::10]
    del pieces
    process = psutil.Process()
    before = process.memory_info().rss
    heap.trim()
    assert before - process.memory_info().rss > 1000 * piece
    assert all(each == b"\1" * piece for each in kept)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("not asked"))
    heap.trim()
