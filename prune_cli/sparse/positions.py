"""Where the weights of a matrix are that are left, in a byte for each or a bit for every weight.

`bitmask` has a bit for every weight, the first in the highest bit of the first byte. `gaps` has a byte for every weight that is
left: how many removed ones stand before it since the last; 255 stands for 255 removed ones and no weight. `gaps+zstd` is that,
compressed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Encoding = Literal["bitmask", "gaps", "gaps+zstd"]
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

SKIP = 255
"""The byte for as many removed weights without one that is left."""
LEVEL = 3
"""Of zstd: higher ones gain a percent."""
WEIGHTS_A_BYTE = 256
"""Weights for each byte of positions at most: what a small file makes a reader allocate is bounded."""


def encode(positions: Positions, size: int) -> tuple[Encoding, Bytes]:
    """Write positions in the smallest of the encodings.

    Args:
        positions: Of the weights that are left, ascending.
    """
    import zstandard

    gaps = to_gaps(positions)
    packed = np.frombuffer(zstandard.ZstdCompressor(level=LEVEL).compress(gaps.tobytes()), dtype=np.uint8)
    mask = np.zeros(size, dtype=bool)
    mask[positions] = True
    options: list[tuple[Encoding, Bytes]] = [("bitmask", np.packbits(mask)), ("gaps", gaps), ("gaps+zstd", packed)]
    allowed = [option for option in options if size <= WEIGHTS_A_BYTE * len(option[1])]
    return min(allowed, key=lambda option: len(option[1]))


def decode(encoding: Encoding, data: Bytes, size: int, count: int) -> Positions:
    """Read positions.

    Returns:
        Their positions, ascending.

    Raises:
        ValueError: If the data are not those of so many weights in such a matrix. No more than a small multiple of the data, of
            `count` and of `size / 255` is allocated.
    """
    if size > WEIGHTS_A_BYTE * len(data):
        raise ValueError(f"{len(data)} bytes of positions are too few for {size} weights")
    if count > size:
        raise ValueError(f"{count} values in a matrix of {size} weights")
    if encoding == "bitmask":
        if len(data) != -(-size // 8):
            raise ValueError(f"a bitmask of {len(data)} bytes for {size} weights")
        positions = np.flatnonzero(np.unpackbits(data))
    elif encoding in ("gaps", "gaps+zstd"):
        positions = from_gaps(data if encoding == "gaps" else _unpacked(data, size, count))
    else:
        raise ValueError(f"positions={encoding} is no encoding of this version")
    if len(positions) != count or (count and positions[-1] >= size):
        raise ValueError(f"positions of {len(positions)} weights for {count} values, in a matrix of {size}")
    return positions


def to_gaps(positions: Positions) -> Bytes:
    """The bytes of `gaps`.

    >>> to_gaps(np.array([0, 3, 259])).tolist()
    [0, 2, 255, 0]
    """
    gaps = np.diff(positions, prepend=-1) - 1
    skips = gaps // SKIP
    written = np.full(len(gaps) + int(skips.sum()), SKIP, dtype=np.uint8)
    written[np.arange(len(gaps)) + np.cumsum(skips)] = gaps % SKIP
    return written


def from_gaps(data: Bytes) -> Positions:
    """The positions behind the bytes of `gaps`.

    >>> from_gaps(np.array([0, 2, 255, 0], dtype=np.uint8)).tolist()
    [0, 3, 259]
    """
    ends = np.add(data, 1, dtype=np.int64)
    skipped = data == SKIP
    if skipped.any():
        ends[skipped] = SKIP
        return np.cumsum(ends, out=ends)[~skipped] - 1
    np.cumsum(ends, out=ends)
    ends -= 1
    return ends


def _unpacked(data: Bytes, size: int, count: int) -> Bytes:
    """Undo zstd, to no more bytes than so many weights can have."""
    import zstandard

    most = count + size // SKIP
    try:
        unpacked = zstandard.ZstdDecompressor().stream_reader(data.data).read(most + 1)
    except zstandard.ZstdError as error:
        raise ValueError(f"positions that zstd cannot read: {error}") from error
    if len(unpacked) > most:
        raise ValueError(f"more than {most} gaps for {count} weights")
    return np.frombuffer(unpacked, dtype=np.uint8)
