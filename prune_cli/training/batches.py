"""The batches of a run: their order is a function of seed and epoch alone, so that a resumed run sees the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

import torch
from torch.utils.data import DataLoader

from prune_cli.data.encoded import InMemory

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.heads.base import Batch, Collator

_POOL = 50  # batches whose records are sorted by length together, as transformers does


def order(lengths: Sequence[int], *, batch_size: int, group_by_length: bool, seed: int, epoch: int) -> list[int]:
    """Positions of the records in the order of an epoch.

    Args:
        lengths: Tokens of each record.
        group_by_length: Fill batches with records of similar length: less padding.
        seed: Chooses the order, together with the epoch.
        epoch: From 0 on.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    if not group_by_length:
        return shuffled
    pool = batch_size * _POOL
    for start in range(0, len(shuffled), pool):
        shuffled[start : start + pool] = sorted(shuffled[start : start + pool], key=lengths.__getitem__)
    batches = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    last = [batches.pop()] if len(batches[-1]) < batch_size else []  # a short batch may only come last
    mixed = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    return [index for batch in mixed + last for index in batch]


class Step(NamedTuple):
    """One process's share of a step."""

    epoch: float
    """Epochs that are done with it."""
    batches: list[Batch]
    others: list[Batch]
    """In place of batches with fewer records than processes, where none is left for this one: a pass over them counts nothing."""


@final
class Batches:
    """The batches of each step, epoch after epoch."""

    def __init__(
        self,
        records: Dataset,
        collate: Collator,
        *,
        batch_size: int,
        accumulation: int,
        group_by_length: bool,
        seed: int,
        pin: bool,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Prepare.

        Args:
            batch_size: Records a batch, over all processes, > 0; each takes a share.
            accumulation: Batches a step, > 0.
            pin: Put batches where a GPU fetches them faster.
            rank: Number of this process.
        """
        self._rank, self._processes = rank, processes
        self._records, self._collate, self._pin = InMemory(records), collate, pin
        self._lengths: list[int] = records["length"][:]
        self._batch_size, self._accumulation = batch_size, accumulation
        self._group_by_length, self._seed = group_by_length, seed
        self._batches = math.ceil(len(self._lengths) / batch_size)
        self.steps = math.ceil(self._batches / accumulation)
        """Of an epoch."""

    def after(self, step: int) -> Iterator[Step]:
        """This process's share of each step, without end."""
        epoch, steps = divmod(step, self.steps)
        done = steps * self._accumulation  # batches of the epoch
        while True:
            batches = self._epoch(epoch, done)
            while parts := list(islice(batches, self._accumulation)):
                done += len(parts)
                mine = [batch for batch, own in parts if own]
                yield Step(epoch + done / self._batches, mine, [batch for batch, own in parts if not own])
            epoch, done = epoch + 1, 0

    def _epoch(self, epoch: int, done: int) -> Iterator[tuple[Batch, bool]]:
        """The batches of an epoch but for the first ones, and whether their records are this process's."""
        indices = order(
            self._lengths,
            batch_size=self._batch_size * self._accumulation,
            group_by_length=self._group_by_length,
            seed=self._seed,
            epoch=epoch,
        )
        starts = range(done * self._batch_size, len(indices), self._batch_size)
        batches = [indices[start : start + self._batch_size] for start in starts]
        shares = [batch[self._rank :: self._processes] for batch in batches]
        loader = DataLoader(
            cast("Any", self._records),  # torch asks for a class of its own
            batch_sampler=[share or batch[:1] for share, batch in zip(shares, batches, strict=True)],
            collate_fn=self._collate,
            pin_memory=self._pin,
        )
        with torch.random.fork_rng([], enabled=done > 0):  # at the beginning of an epoch it draws from the random state
            return zip(loader, map(bool, shares), strict=True)
