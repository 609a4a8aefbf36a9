"""Read a sparse file with numpy and safetensors (and zstandard, where positions are compressed): all tensors, one by one.

Nothing in a file is trusted: safetensors checks that its parts lie side by side within it, a checksum that they are those that
were written, and every count is compared with what it counts before anything of a matrix's size is allocated.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from prune_cli.sparse.positions import decode

FORMAT = "prune-lm sparse"
VERSION = "1"
POSITIONS, VALUES, SCALES = "#positions", "#values", "#scales"
TYPES: Mapping[str, Any] = {
    "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I8": np.int8, "U8": np.uint8, "I64": np.int64, "I32": np.int32,
    "BOOL": np.bool_,
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")
_LARGEST_SCALE = np.finfo(np.float32).max / 128
Array = npt.NDArray[Any]


class BrokenFile(ValueError):
    """A file that is no sparse file, or no longer the one that was written."""


@dataclass(frozen=True)
class SparseFile:
    """An open file.

    Attributes:
        known: Its list of matrices as it stands there.
        header: For each stored tensor its type, shape and place.
        matrices: For each pruned matrix its `shape`, how its `positions` are written, and `values`, the type of its values.
        start: Where the tensors begin.
        checksum: What `crc32` should give.
    """

    path: Path
    known: str
    data: npt.NDArray[np.uint8]
    header: Mapping[str, Mapping[str, Any]]
    matrices: Mapping[str, Mapping[str, Any]]
    start: int
    checksum: str

    def verify(self) -> None:
        """Compare the checksum.

        Raises:
            BrokenFile: If it is another.
        """
        if crc32(self.known, self.data[self.start :].data) != self.checksum:
            raise BrokenFile(f"{self.path} is damaged, its checksum is another: copy or export it again")

    def stored(self, name: str) -> Array:
        """A stored tensor, not copied."""
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        kind = TYPES[entry["dtype"]]
        return self.data[self.start + begin : self.start + end].view(kind).reshape(entry["shape"])

    def names(self) -> list[str]:
        """The model's tensors."""
        parts = {name + part for name in self.matrices for part in (POSITIONS, VALUES, SCALES)}
        return [*self.matrices, *(name for name in self.header if name not in parts)]

    def tensor(self, name: str) -> Array:
        """A tensor of the model; what was stored in half precision or as int8 is float32 again.

        Raises:
            BrokenFile: If what is stored is not that of such a tensor.
        """
        try:
            if name not in self.matrices:
                return _float32(self.stored(name), self.header[name]["dtype"])
            return self._matrix(name, self.matrices[name])
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenFile(f"{name}: {error}") from error

    def _matrix(self, name: str, about: Mapping[str, Any]) -> Array:
        *stack, columns = about["shape"]
        rows = math.prod(stack)
        size = rows * columns
        kind = self.header[name + VALUES]["dtype"]
        stored = self.stored(name + VALUES).reshape(-1)
        if min(about["shape"]) < 1 or about["values"] != kind or kind not in (*FLOATS, "I8"):
            raise ValueError(f"{about} and values of type {kind}")
        positions = decode(about["positions"], self.stored(name + POSITIONS).reshape(-1), size, len(stored))
        values = _float32(stored, kind)
        if kind == "I8":
            scales = self.stored(name + SCALES)
            if scales.shape != (rows,) or scales.dtype != np.float32:
                raise ValueError(f"scales of shape {scales.shape} for {rows} rows")
            if not (np.abs(scales) <= _LARGEST_SCALE).all():
                raise ValueError("scales that are no numbers, or too large")
            values = values.astype(np.float32) * scales[positions // columns]
        matrix = np.zeros(size, dtype=np.float32)
        matrix[positions] = values
        return matrix.reshape(about["shape"])


def opened(path: str | Path, *, verify: bool = True) -> SparseFile:
    """Open a file.

    Raises:
        BrokenFile: If it is none, or its content is not what was written.
    """
    try:
        with safe_open(path, "np") as checked:
            about = checked.metadata() or {}
    except SafetensorError as error:
        raise BrokenFile(f"{path}: {error}") from error
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise BrokenFile(f"{path} is no sparse file of version {VERSION}: {str(about.get('version'))[:20]}")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int(data[:8].view(np.uint64)[0])
    matrices, checksum = str(about.get("matrices")), str(about.get("crc32"))
    file = SparseFile(Path(path), matrices, data, _header(data[8:start].tobytes()), _matrices(matrices, path), start, checksum)
    if verify:
        file.verify()
    return file


def _header(text: bytes) -> dict[str, Any]:
    return {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}


def _matrices(text: str, path: str | Path) -> dict[str, Any]:
    try:
        matrices = json.loads(text)
        sound = all(map(_is_matrix, matrices.values()))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BrokenFile(f"{path}: its list of matrices cannot be read: {str(error)[:200]}") from error
    if not sound:
        raise BrokenFile(f"{path}: its list of matrices cannot be read: one is not described by shape, positions, values")
    return matrices


def _is_matrix(about: Mapping[str, Any]) -> bool:
    shape = about["shape"]
    return set(about) == {"shape", "positions", "values"} and len(shape) > 1 and all(type(side) is int for side in shape)


def crc32(matrices: str, data: bytes | memoryview) -> str:
    """CRC-32 of the list of matrices, then of all tensors as they lie in the file, in hexadecimal digits."""
    return f"{zlib.crc32(data, zlib.crc32(matrices.encode())):08x}"


def _float32(values: Array, kind: str) -> Array:
    if kind == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if kind == "F16" else values
