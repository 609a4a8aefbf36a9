"""Tensors of which each process holds a part, as `torch.distributed.fsdp.fully_shard` makes them of parameters.

A dimension is parted as `torch.chunk` parts it: the last processes may hold less of it, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from torch import Size, Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor, Shard


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of it."""
    return hasattr(tensor, "to_local")  # importing the class would cost every process a second


def held(tensor: Tensor) -> Tensor:
    """What this process holds; a view."""
    return cast("DTensor", tensor).to_local() if is_sharded(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of it; every process has to ask at the same time."""
    return cast("DTensor", tensor).full_tensor() if is_sharded(tensor) else tensor


def dimension(tensor: Tensor) -> int:
    """The dimension along which a sharded tensor is parted."""
    return int(cast("Shard", cast("DTensor", tensor).placements[0]).dim)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] torch does not say


def begin(tensor: Tensor) -> int:
    """Where the part of this process begins along that dimension; 0 where it holds all."""
    if not is_sharded(tensor):
        return 0
    mesh, size = cast("DTensor", tensor).device_mesh, tensor.shape[dimension(tensor)]
    return min(mesh.get_local_rank() * math.ceil(size / mesh.size()), size)


def fill(tensor: Tensor, values: Tensor) -> None:
    """Copy into what this process holds of a tensor.

    Args:
        values: Sharded alike, or all of them.
    """
    held(tensor).copy_(held(values) if is_sharded(values) else share(values, tensor))


def share(values: Tensor, like: Tensor) -> Tensor:
    """The part of some values that this process would hold if they were sharded as another tensor is; a view."""
    if not is_sharded(like):
        return values
    along = dimension(like)
    return values.narrow(along, begin(like), held(like).shape[along])


def joint(part: Tensor, like: Tensor, shape: Sequence[int] | None = None, along: int | None = None) -> Tensor:
    """The sharded tensor of the parts that the processes hold; the part itself where the other tensor is not sharded.

    Args:
        part: Of this process.
        like: Parted among the same processes.
        shape: Of the whole; None for that of `like`.
        along: The dimension that is parted; None for that of `like`.
    """
    if not is_sharded(like):
        return part
    from torch.distributed.tensor import DTensor, Shard

    mesh, size = cast("DTensor", like).device_mesh, Size(like.shape if shape is None else shape)
    strides = [math.prod(size[number + 1 :]) for number in range(len(size))]
    return DTensor.from_local(
        part.to(mesh.device_type).contiguous(),
        mesh,
        [Shard(dimension(like) if along is None else along)],
        run_check=False,
        shape=size,
        stride=tuple(strides),
    )
