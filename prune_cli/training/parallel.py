"""One model on several devices: a copy on each, or a part on each.

What is computed with the model is computed inside the forward pass of what torch wraps around it, be it a loss of several
passes, an evaluation or a generated text. So torch gathers weights and gradients whatever of the model is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

import torch
from torch import nn

from prune_cli.pruning.scope import prunable_matrices, transformer_blocks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.fsdp import FSDPModule
    from transformers import PreTrainedModel

    from prune_cli.pruning.matrices import Matrix

T = TypeVar("T")


@final
class _Whole(nn.Module):
    """A model whose forward pass is whatever is computed with it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[[], Any]) -> Any:
        return compute()


@final
class Passes:
    """Computes with a model that lies on one device, or on several.

    Attributes:
        sharded: Whether each device holds a part of the model, so that all processes have to compute as often as each other.
    """

    def __init__(self, wrapped: nn.Module | None = None, *, sharded: bool = False, keeps: bool = False) -> None:
        """Begin.

        Args:
            wrapped: What torch has wrapped around the model; None on one device.
            keeps: Keep what was gathered of embeddings and output layer, until `rest` is called: a loss may use them later on.
        """
        self._wrapped, self.sharded, self._keeps = wrapped, sharded, keeps

    def __call__(self, compute: Callable[[], T]) -> T:
        """Compute something with the model; after what has gradients, the backward pass gives back what was gathered."""
        if self._wrapped is None:
            return compute()
        computed = self._wrapped(compute)
        if not (self._keeps or torch.is_grad_enabled()):
            self.rest()
        return computed

    def rest(self) -> None:
        """Give back what was gathered."""
        if self.sharded:
            cast("FSDPModule", self._wrapped).reshard()

    def adding(self) -> AbstractContextManager[object]:
        """Let gradients add up on each device, of a part of a step that is not its last one."""
        return nullcontext() if self._wrapped is None or self.sharded else cast("Any", self._wrapped).no_sync()


def copied(model: PreTrainedModel, loss: Callable[[], Tensor]) -> Passes:
    """The same model on each device; gradients are the means of those of all devices.

    A first loss tells which weights models do not use, as many do not, for which torch would wait; and in which order it joins
    gradients, which it chooses after the first one: a run that is resumed adds them up in the same order.

    Args:
        loss: Of any record.
    """
    from torch.nn.parallel import DistributedDataParallel

    module = cast("nn.Module", model)
    drops = any("layerdrop" in name and value for name, value in vars(model.config).items())  # some steps use fewer layers
    with torch.random.fork_rng([] if model.device.type == "cpu" else [model.device]):
        module.train()
        loss().backward()
        unused = any(parameter.grad is None for parameter in module.parameters() if parameter.requires_grad)
        module.zero_grad()
        wrapped = DistributedDataParallel(
            _Whole(module), find_unused_parameters=unused or drops, gradient_as_bucket_view=True, forward_sync_buffers=False
        )
        wrapped(loss).backward()
        module.zero_grad()
    return Passes(wrapped)


def sharded(model: PreTrainedModel, device: str, count: int, *, keeps: bool = False) -> Passes:
    """A part of each weight on each device; matrices keep their rows whole.

    Args:
        device: Kind of the devices, of which each process has chosen one.
        count: Of processes.
        keeps: See `Passes`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Shard

    mesh = init_device_mesh(device, (count,))
    along = {id(matrix.parameter): matrix.along for matrix in prunable_matrices(model)}
    wrapped = _Whole(cast("nn.Module", model))
    for module in (*transformer_blocks(cast("nn.Module", model)).values(), wrapped):
        fully_shard(module, mesh=mesh, shard_placement_fn=lambda parameter: Shard(along.get(id(parameter), 0)))
    cast("Any", model)._is_fsdp_managed_module = True  # so that `generate` goes on until the texts of all processes are written
    return Passes(wrapped, sharded=True, keeps=keeps)


def shard_problems(matrices: Sequence[Matrix], together: int, count: int) -> Iterator[str]:
    """Why a model cannot be sharded.

    Args:
        together: Rows that a pattern does not part, > 0.
        count: Of processes, > 1.
    """
    for matrix in matrices:
        size, rows = matrix.parameter.shape[matrix.along], -(-matrix.shape[0] // count)
        why = ""
        if matrix.along > 0 and size % count:
            why = f"its {size} outputs, in which it is stored otherwise than most, cannot be parted evenly"
        elif rows % together:
            why = f"there would be {rows} rows a process, and the pattern keeps {together} together"
        if why:
            yield (
                f"trainer.sharding=full over {count} processes does not go with {matrix.name}: {why}. Give another number of"
                " processes, or leave trainer.sharding out"
            )
            return
