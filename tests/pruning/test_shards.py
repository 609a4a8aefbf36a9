"""Selection over three and four processes that hold uneven rows, or none, of each matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard

from prune_cli.pruning.criteria import Criterion, Fisher, Magnitude, Movement, Obert, Pins, Random, SoftMovement, Wanda
from prune_cli.pruning.layout import ModelLayout, Part
from prune_cli.pruning.patterns import Block, Floor, NofM, Pattern, Uniform, Units, Unstructured
from prune_cli.pruning.peers import ALONE, Peers
from prune_cli.pruning.pruner import Apart, Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.pruning.scope import prunable_matrices
from prune_cli.pruning.shards import held, joint, share, whole
from tests.processes import spawned

STEPS = 6


class SomeExperts(nn.Module):
    """Two matrices in one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.empty(2, 12, 8))


class Conv1D(nn.Module):
    """Stored as [in, out], as that of transformers is."""

    def __init__(self, out: int, inner: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inner, out))


class Block_(nn.Module):
    """Over four processes 13 rows are parted in 4, 4, 4, 1, 5 in 2, 2, 1, 0, and 2 in 1, 1, 0, 0."""

    def __init__(self) -> None:
        super().__init__()
        self.uneven, self.few, self.fewer = nn.Linear(8, 13), nn.Linear(16, 5), nn.Linear(4, 2)
        self.across, self.experts = Conv1D(12, 8), SomeExperts()


def model() -> nn.Module:
    made = nn.Module()
    made.layers = nn.ModuleList([Block_()])
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():  # rounded, so that many are equal
            parameter.copy_((torch.randn(parameter.shape, generator=generator) * 4).round() / 4)
    return made


def gradients(of: nn.Module, step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [(torch.randn(parameter.shape, generator=generator) * 4).round() / 16 for parameter in of.parameters()]


def pruned(of: nn.Module, criterion: Criterion, pattern: Pattern, peers: Peers, units: bool) -> Pruner:
    """A model after a few steps, in which weights move by their gradients."""
    matrices = prunable_matrices(of, exclude="few" if isinstance(pattern, Block) else None)
    layout = ModelLayout.of(matrices)
    if units:
        names = [*layout.shapes]
        layout = ModelLayout(layout.shapes, {"neurons": {names[0]: Part(0, 0, 1, 13), names[1]: Part(0, 13, 1, 5)}})
        matrices = matrices[:2]
    sparsity = 0.5 if isinstance(pattern, NofM) else 0.7
    schedule = Cubic(delta_t=2, initial=1, final=2)
    pruner = Pruner(
        matrices,
        criterion=criterion,
        schedule=schedule,
        pattern=pattern,
        sparsity=sparsity,
        total_steps=STEPS,
        layout=layout,
        peers=peers,
    )
    for step in range(STEPS):
        for parameter, grad in zip(of.parameters(), gradients(of, step), strict=True):
            parameter.grad = joint(share(grad, parameter), parameter)
        pruner.score(step, 0.25)
        with torch.no_grad():
            for parameter in of.parameters():
                assert parameter.grad is not None
                held(parameter).sub_(held(parameter.grad), alpha=0.25)
        pruner.select(step)
    return pruner


CASES: dict[str, tuple[Callable[[], Criterion], Callable[[], Pattern]]] = {
    "pins": (Pins, Unstructured),
    "pins in blocks": (Pins, lambda: Block(block=(1, 4))),
    "movement, uniform": (Movement, Uniform),
    "soft movement": (SoftMovement, Unstructured),
    "magnitude, 2:4": (Magnitude, NofM),
    "fisher, floor": (Fisher, lambda: Floor(keep=0.1)),
    "random": (Random, Unstructured),
    "obert": (lambda: Obert(block=4, gradients=2, damp=0.01), Unstructured),
    "units": (Magnitude, lambda: Units(units=("neurons",))),
}


def sharded_as_one(rank: int, world: int) -> None:
    def summed(tensor: Tensor) -> Tensor:
        dist.all_reduce(tensor := tensor.clone(), group=mesh.get_group())
        return tensor

    for count in (3, 4):
        mesh = DeviceMesh("cpu", [*range(count)])  # every process has to ask
        if rank >= count:
            continue
        for name, (criterion, pattern) in CASES.items():
            alone, together = model(), model()
            along = {id(matrix.parameter): matrix.along for matrix in prunable_matrices(together)}
            if name == "obert" and count == 3:  # twelve rows over three
                continue
            block = cast("nn.Module", together.get_submodule("layers.0"))
            fully_shard(block, mesh=mesh, shard_placement_fn=lambda p, along=along: Shard(along.get(id(p), 0)))
            one = pruned(alone, criterion(), pattern(), ALONE, name == "units")
            some = pruned(together, criterion(), pattern(), Peers(count=count, total=summed, sharded=True), name == "units")
            assert some.zeros() == one.zeros() and some.removed == one.removed, name
            for mine, expected in zip(together.parameters(), alone.parameters(), strict=True):
                torch.testing.assert_close(whole(mine), expected, rtol=1e-6, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}")
            for key, kept in some.state_dict().items():
                torch.testing.assert_close(whole(kept), one.state_dict()[key], rtol=1e-5, atol=1e-6)
            if name == "pins":
                brute_force(together, some, one)
                saved = {key: whole(tensor).clone() for key, tensor in some.state_dict().items()}
                for buffer in some.state_dict().values():
                    held(buffer).zero_()
                some.load_state_dict(saved)
                assert all(torch.equal(whole(tensor), saved[key]) for key, tensor in some.state_dict().items())


def brute_force(together: nn.Module, some: Pruner, one: Pruner) -> None:
    """The mask is what a sort of all importances says, the lowest positions first among equals."""
    importance = torch.cat([rows.values.flatten() for rows in one.rows()])
    order = sorted(range(len(importance)), key=lambda place: (importance[place].item(), -place))
    expected = torch.ones(len(importance), dtype=torch.bool)
    expected[order[: round(0.7 * len(importance))]] = False
    kept = [whole(some.state_dict()[f"mask.{matrix.name}"]).flatten() for matrix in prunable_matrices(together)]
    assert torch.equal(torch.cat(kept), expected)


def test_shards_are_pruned_as_one_process_prunes_them() -> None:
    spawned(sharded_as_one, 4)


def copies(rank: int, world: int) -> None:
    """Each holds the whole model; what the layers read differs."""

    def reduced(how: dist.ReduceOp.RedOpType) -> Callable[[Tensor], Tensor]:
        def reduce(tensor: Tensor) -> Tensor:
            dist.all_reduce(tensor := tensor.clone(), how)
            return tensor

        return reduce

    peers = Peers(count=2, total=reduced(dist.ReduceOp.SUM), highest=reduced(dist.ReduceOp.MAX))
    of = model()
    pruned(of, Pins(), Unstructured(), peers, units=False)
    second = prunable_matrices(of)[1]
    if rank == 1:
        second.local()[0, 0] += 1
    with pytest.raises(Apart, match=rf"the weights of {second.name} are not the same on all processes"):
        pruned(of, Pins(), Unstructured(), peers, units=False)

    layer = nn.Module()
    layer.layers = nn.ModuleList([nn.Linear(2, 2)])
    pruner = Pruner(
        prunable_matrices(layer),
        criterion=Wanda(beta=0.0),
        schedule=Cubic(delta_t=1, initial=0, final=1),
        pattern=Unstructured(),
        sparsity=0.5,
        total_steps=4,
        peers=peers,
    )
    layer.layers[0](torch.tensor([[3.0, 1.0]] if rank else [[1.0, 1.0], [1.0, 1.0]]))
    pruner.score(0, 0.1)
    (squares,) = pruner.scorers[0].buffers().values()
    torch.testing.assert_close(squares, torch.tensor([(9.0 + 1 + 1) / 3, 1.0]))


def test_copies_that_differ_are_found_and_what_layers_read_is_joined() -> None:
    spawned(copies, 2)
