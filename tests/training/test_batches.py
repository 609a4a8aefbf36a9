"""The order of the records: complete, repeatable by epoch, grouped by length on request."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from datasets import Dataset

from prune_cli.training import batches
from prune_cli.training.batches import Batches

LENGTHS = [5 + (i * 7919) % 60 for i in range(1003)]


def order(epoch: int, *, seed: int = 1, group_by_length: bool = True) -> list[int]:
    return batches.order(LENGTHS, batch_size=16, group_by_length=group_by_length, seed=seed, epoch=epoch)


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


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_run_that_goes_on_sees_what_one_that_never_stopped_sees(accumulation: int) -> None:
    """22 records in batches of 4: six an epoch, the last of two; in steps of three batches the second is whole."""
    records = Dataset.from_dict({"length": [*range(22)]})
    made = Batches(
        records,
        lambda features: {"rows": [int(row["length"]) for row in features]},
        batch_size=4,
        accumulation=accumulation,
        group_by_length=True,
        seed=1,
        pin=False,
    )

    def steps(after: int, until: int) -> list[Any]:
        seen = []
        for epoch, parts, others in itertools.islice(made.after(after), until - after):
            assert not others
            drawn = torch.rand(1).item()  # what dropout would draw
            seen.append((epoch, [part["rows"] for part in parts], drawn))
        return seen

    torch.manual_seed(7)
    whole = steps(0, 14)
    assert made.steps == 6 / accumulation
    first = [row for _, parts, _ in whole[: made.steps] for part in parts for row in part]
    assert sorted(first) == [*range(22)] and whole[made.steps - 1][0] == 1.0 and whole[0][0] == accumulation / 6
    for stop in (1, made.steps, made.steps + 1):
        torch.manual_seed(7)
        steps(0, stop)
        assert steps(stop, 14) == whole[stop:]
