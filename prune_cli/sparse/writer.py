"""Write a model's tensors into a sparse file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from prune_cli.sparse.positions import encode
from prune_cli.sparse.reader import FORMAT, POSITIONS, SCALES, VALUES, VERSION, crc32

Dtype = Literal["fp32", "fp16", "bf16"]
TORCH: Mapping[Dtype, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int8: "I8"}
_WORTH_IT = 0.25
"""Zeros, as a share of a matrix, from which on its positions cost less than its zeros in every precision."""


def write_sparse(
    tensors: Iterable[tuple[str, Tensor]], path: Path, *, dtype: Dtype = "fp32", int8: bool = False
) -> dict[str, int]:
    """Write tensors; matrices and stacks of matrices with many zeros by positions and values, the others as they are.

    Args:
        tensors: Names and values, in float32 where they are no whole numbers.
        dtype: Of the values, and of all other numbers; fp32 is lossless, bit for bit.
        int8: Write the values of pruned matrices as int8, with a scale for each row.

    Returns:
        Bytes of the pruned matrices as they were in float32 (`dense`) and as they are written (`sparse`).

    Raises:
        ValueError: If a value has no finite place in the type asked for, or a tensor is of a type that the format has not.
    """
    stored: dict[str, Tensor] = {}
    matrices: dict[str, dict[str, object]] = {}
    size = {"dense": 0, "sparse": 0}
    for name, tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        if values.ndim >= 2 and values.dtype == torch.float32 and (split := _sparse(values)) is not None:
            positions, kept = split
            encoding, data = encode(positions, values.numel())
            parts = {name + POSITIONS: torch.from_numpy(data.copy())}
            if int8:
                rows = torch.from_numpy(positions // values.shape[-1])
                scales = (values.abs().amax(-1).flatten() / 127).clamp(min=torch.finfo(torch.float32).tiny)
                parts |= {name + VALUES: (kept / scales[rows]).round().to(torch.int8), name + SCALES: scales}
            else:
                parts[name + VALUES] = _narrowed(kept, dtype, name)
            stored |= parts
            kind = _NAMES[parts[name + VALUES].dtype]
            matrices[name] = {"shape": list(values.shape), "positions": encoding, "values": kind}
            size["dense"] += 4 * values.numel()
            size["sparse"] += sum(part.numel() * part.element_size() for part in parts.values())
        else:
            stored[name] = _narrowed(values, dtype, name) if values.dtype == torch.float32 else values
    matrix_list = json.dumps(matrices, sort_keys=True)
    _save(stored, path, {"format": FORMAT, "version": VERSION, "matrices": matrix_list})
    return size


def _sparse(matrix: Tensor) -> tuple[np.ndarray, Tensor] | None:
    """Positions and values of what is not zero, a negative zero being something; None where there are few zeros."""
    flat = matrix.reshape(-1)
    positions = np.flatnonzero(flat.view(torch.int32).numpy())
    if len(positions) > (1 - _WORTH_IT) * flat.numel():
        return None
    return positions, flat[torch.from_numpy(positions)]


def _narrowed(values: Tensor, dtype: Dtype, name: str) -> Tensor:
    narrow = values.to(TORCH[dtype])
    if not torch.equal(narrow.isfinite(), values.isfinite()):
        raise ValueError(f"{name} holds a value that {dtype} has no place for: take bf16 or fp32")
    return narrow


def _save(stored: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write the file, whose checksum is that of the bytes in the order in which safetensors lays them out."""
    metadata["crc32"] = "0" * 8  # as long as the checksum, so that the header keeps its length
    save_file(stored, path, metadata)
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length)
        checksum = crc32(metadata["matrices"], file.read())
        place = header.index(b'"crc32":"00000000"')
        file.seek(8 + place + len(b'"crc32":"'))
        file.write(checksum.encode())
