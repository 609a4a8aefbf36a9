"""The order in which records are seen: a function of seed and epoch alone, so that a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch.utils.data import Sampler

_POOL = 50  # batches whose records are sorted by length together, as transformers does


@final
class EpochSampler(Sampler[int]):
    """Shuffles the records anew in each epoch; can keep records of similar length together."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, group_by_length: bool, seed: int) -> None:
        """Prepare.

        Args:
            lengths: Tokens of each record.
            batch_size: Records a batch (times batches a step).
            group_by_length: Fill batches with records of similar length: less padding.
            seed: Chooses the order, together with the epoch.
        """
        self.lengths = lengths
        self.batch_size = batch_size
        self.group_by_length = group_by_length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Tell which epoch comes next; the Trainer does, through its data loader."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of records."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Positions of the records in the order of this epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        if not self.group_by_length:
            return iter(order)
        pool = self.batch_size * _POOL
        for start in range(0, len(order), pool):
            order[start : start + pool] = sorted(order[start : start + pool], key=self.lengths.__getitem__)
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []  # a short batch may only come last
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return iter([index for batch in shuffled + last for index in batch])
