"""What encoded records tell before anything is learned from them, and all of them in memory."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset

from prune_cli.data.encoded import InMemory, highest_token, only_label


def test_the_highest_token() -> None:
    assert highest_token(Dataset.from_dict({"input_ids": [[1, 5], [], [3]], "length": [900, 0, 0]})) == 5
    assert highest_token(Dataset.from_dict({"source_ids": [[1]], "target_ids": [[8]]})) == 8


@pytest.mark.parametrize(
    ("labels", "only"),
    [([1, 1], 1), ([0, 1], None), ([0.5, 0.5], 0.5), ([[-100, 2], [2]], 2), ([[-100, 2], [0]], None)],
)
def test_the_only_label(labels: list, only: float | None) -> None:
    assert only_label(Dataset.from_dict({"labels": labels})) == only


def test_records_in_memory_are_those_of_the_file() -> None:
    rows = {
        "input_ids": [[1, 2], [], [3]],
        "labels": [0.5, 1.0, 2.0],
        "length": [2, 0, 1],
        "words": [["a"], [], ["b", "c"]],
        "endings": [[[1], [2, 3]], [], [[4]]],
    }
    encoded = Dataset.from_dict(rows).select([2, 0])
    records = InMemory(encoded)
    assert len(records) == 2
    for place, record in enumerate(records.__getitems__([0, 1])):
        assert set(record) == {*rows, "place"} and len(record) == 6
        assert record["place"] == place and "absent" not in record
        for name, expected in encoded[place].items():
            found = record[name]
            assert (found.tolist() if isinstance(found, torch.Tensor) else found) == expected
    assert dict(records[1])["input_ids"].tolist() == [1, 2]
