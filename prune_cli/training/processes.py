"""The processes of one run, and what they tell each other."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from prune_cli.errors import Lost, UserError
from prune_cli.launched import Started, started

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

    from prune_cli.pruning.peers import Peers

T = TypeVar("T")

_WAITING = timedelta(days=1)
"""How long processes wait for one that works alone, on its records or its files; of one that has died they are told at once."""
_PORTS = 10_000, 20_000
"""Under SLURM: the first, and how many, of which the job's number chooses one."""


@final
@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of a run; as it stands, there is one.

    Everything that they do together, each has to do at the same time.

    Attributes:
        rank: The number of this one, from 0; the first writes, the others are silent.
        count: How many they are, > 0.
        control: Tells numbers and objects on the host, beside what devices tell each other; None for one process.
    """

    rank: int = 0
    count: int = 1
    control: ProcessGroup | None = None

    @property
    def writes(self) -> bool:
        """Whether this one holds the folder, and tells what becomes of the run."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """A tensor summed over the processes, wherever it lies."""
        return self._reduced(tensor, "SUM")

    def highest(self, tensor: Tensor) -> Tensor:
        """The largest number at each place."""
        return self._reduced(tensor, "MAX")

    def all(self, value: T) -> list[T]:
        """What each of them says, by rank."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        said: list[Any] = [None] * self.count
        dist.all_gather_object(said, value, group=self.control)
        return said

    def numbers(self, mine: Sequence[int]) -> list[list[int]]:
        """The same for some whole numbers, as many on each process: what a step can wait for."""
        if self.count == 1:
            return [[*mine]]
        import torch
        import torch.distributed as dist

        said = [torch.zeros(len(mine), dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(said, torch.tensor(mine, dtype=torch.int64), group=self.control)
        return [numbers.tolist() for numbers in said]

    def first(self, make: Callable[[], T]) -> T:
        """What the first one makes; the others wait for it."""
        if self.count == 1:
            return make()
        import torch.distributed as dist

        said: list[Any] = [make() if self.writes else None]
        dist.broadcast_object_list(said, 0, group=self.control)
        return said[0]

    def gathered(self, value: T) -> list[T]:
        """What each of them says, by rank, for the first one; nothing for the others."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        said: list[Any] | None = [None] * self.count if self.writes else None
        dist.gather_object(value, said, group=self.control)
        return said or []

    def wait(self) -> None:
        """Wait for all of them."""
        self.all(None)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first one do something before the others do the same, which then find what it has left in caches."""
        if not self.writes:
            self.wait()
        yield
        if self.writes and self.count > 1:
            self.wait()

    def peers(self, *, sharded: bool) -> Peers:
        """The same as the engine takes them."""
        from prune_cli.pruning.peers import ALONE, Peers

        if self.count == 1:
            return ALONE
        return Peers(count=self.count, total=self.total, highest=self.highest, sharded=sharded)

    def _reduced(self, tensor: Tensor, how: str) -> Tensor:
        if self.count == 1:
            return tensor
        import torch.distributed as dist

        reduced = tensor.clone()
        group = self.control if tensor.device.type == "cpu" else None
        dist.all_reduce(reduced, getattr(dist.ReduceOp, how), group=group)
        return reduced


ALONE = Processes()
"""One process."""


@contextlib.contextmanager
def together(device: str) -> Iterator[Processes]:
    """Find the processes that were started with this one, and compute each on a device of its own.

    Args:
        device: As `trainer.device` has it.

    Raises:
        Lost: If one of them ends before its time.
        UserError: If there are fewer devices than processes.
    """
    here = started()
    if here is None or here.count == 1:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    from prune_cli.training.hardware import on_gpu

    for name, value in _of_slurm(os.environ, here).items():
        os.environ.setdefault(name, value)
    try:
        if on_gpu(device):
            if here.local >= (count := torch.cuda.device_count()):
                raise UserError(
                    f"process {here.local + 1} of this machine has no GPU, of which there are {count}: start as many processes as"
                    " there are GPUs, or give trainer.device=cpu"
                )
            torch.cuda.set_device(here.local)
            dist.init_process_group("nccl", device_id=torch.device("cuda", here.local))
        else:
            dist.init_process_group("gloo")
        control = cast("ProcessGroup", dist.new_group(backend="gloo", timeout=_WAITING))
        yield Processes(rank=here.rank, count=here.count, control=control)
        dist.destroy_process_group()
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise Lost("Another process of this run has ended. The same command goes on from the last checkpoint.") from error
        raise


def _of_slurm(given: Mapping[str, str], here: Started) -> dict[str, str]:
    """What torch wants to know in the environment, of processes that srun has started."""
    if "MASTER_ADDR" in given or "SLURM_JOB_ID" not in given:
        return {}
    machines = given.get("SLURM_STEP_NODELIST", given.get("SLURM_NODELIST", ""))
    listed = subprocess.run(["scontrol", "show", "hostnames", machines], capture_output=True, text=True, check=True)
    first, ports = _PORTS
    return {
        "MASTER_ADDR": listed.stdout.split()[0],
        "MASTER_PORT": str(first + int(given["SLURM_JOB_ID"]) % ports),
        "RANK": str(here.rank),
        "WORLD_SIZE": str(here.count),
        "LOCAL_RANK": str(here.local),
    }
