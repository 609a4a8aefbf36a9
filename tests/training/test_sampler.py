"""The order of the records: complete, repeatable by epoch, grouped by length on request."""

from __future__ import annotations

import itertools

import pytest

from prune_cli.training.sampler import EpochSampler

LENGTHS = [5 + (i * 7919) % 60 for i in range(1003)]


def order(epoch: int, *, seed: int = 1, group_by_length: bool = True) -> list[int]:
    sampler = EpochSampler(LENGTHS, batch_size=16, group_by_length=group_by_length, seed=seed)
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("group_by_length", [True, False])
def test_every_record_once_and_the_same_order_for_the_same_epoch(group_by_length: bool) -> None:
    first = order(0, group_by_length=group_by_length)
    assert sorted(first) == list(range(1003))
    assert first == order(0, group_by_length=group_by_length)
    assert first != order(1, group_by_length=group_by_length)
    assert first != order(0, seed=2, group_by_length=group_by_length)


def test_grouping_saves_most_of_the_padding() -> None:
    def padding(indices: list[int]) -> int:
        batches = [indices[i : i + 16] for i in range(0, len(indices), 16)]
        return sum(max(LENGTHS[i] for i in batch) - LENGTHS[j] for batch in batches for j in batch)

    assert padding(order(0)) < 0.1 * padding(order(0, group_by_length=False))


def test_batches_do_not_come_in_order_of_length() -> None:
    indices = order(0)
    longest = [max(LENGTHS[i] for i in indices[b : b + 16]) for b in range(0, 1003, 16)]
    rising = sum(a <= b for a, b in itertools.pairwise(longest))
    assert 0.3 < rising / (len(longest) - 1) < 0.7
