"""Positions in a bit or a byte a weight, there and back."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from prune_cli.sparse.positions import decode, encode, from_gaps, to_gaps


def _positions(size: int, sparsity: float, seed: int = 0) -> np.ndarray:
    return np.flatnonzero(np.random.default_rng(seed).random(size) >= sparsity)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 255, 256, 257, 65_536, 100_001])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9, 0.99, 0.9999, 1.0])
def test_there_and_back(size: int, sparsity: float) -> None:
    positions = _positions(size, sparsity)
    np.testing.assert_array_equal(from_gaps(to_gaps(positions)), positions)
    encoding, data = encode(positions, size)
    np.testing.assert_array_equal(decode(encoding, data, size, len(positions)), positions)


@pytest.mark.parametrize("positions", [[0], [254], [255], [256], [509], [510], [511], [0, 255, 511], [3, 4, 5000]])
def test_skips_at_their_borders(positions: list[int]) -> None:
    np.testing.assert_array_equal(from_gaps(to_gaps(np.array(positions))), positions)


@pytest.mark.parametrize(("sparsity", "expected"), [(0.3, "bitmask"), (0.9, "gaps+zstd"), (0.9999, "gaps+zstd")])
def test_the_smallest_encoding_is_taken(sparsity: float, expected: str) -> None:
    positions = _positions(65_536, sparsity)
    encoding, data = encode(positions, 65_536)
    assert encoding == expected or len(data) * 256 >= 65_536
    assert len(data) <= min(8_192, len(to_gaps(positions)))


def _gaps(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


def _packed(data: bytes) -> np.ndarray:
    return np.frombuffer(zstandard.ZstdCompressor().compress(data), dtype=np.uint8)


@pytest.mark.parametrize(
    ("encoding", "data", "size", "count", "message"),
    [
        ("gaps", _gaps(0, 0), 100, 3, "2 weights for 3 values"),
        ("gaps", _gaps(0, 200), 100, 2, "in a matrix of 100"),
        ("gaps", _gaps(0), 100_000, 1, "too few for 100000"),
        ("gaps", _gaps(0, 0, 0), 2, 3, "3 values in a matrix of 2"),
        ("bitmask", _gaps(255), 16, 8, "a bitmask of 1 bytes"),
        ("bitmask", _gaps(255), 7, 8, "8 values in a matrix of 7"),
        ("bitmask", _gaps(1), 7, 1, "in a matrix of 7"),
        ("gaps+zstd", _gaps(*range(20)), 100, 1, "zstd cannot read"),
        ("gaps+zstd", _packed(bytes(50_000)), 100, 4, "more than 4 gaps"),
        ("pickle", _gaps(0), 100, 1, "no encoding"),
    ],
)
def test_what_does_not_fit_is_refused(encoding, data: np.ndarray, size: int, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(encoding, data, size, count)
