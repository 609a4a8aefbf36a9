"""What encoded records tell before anything is learned from them."""

from __future__ import annotations

import pytest
from datasets import Dataset

from prune_cli.data.encoded import highest_token, only_label


def test_the_highest_token() -> None:
    assert highest_token(Dataset.from_dict({"input_ids": [[1, 5], [], [3]], "length": [900, 0, 0]})) == 5
    assert highest_token(Dataset.from_dict({"source_ids": [[1]], "target_ids": [[8]]})) == 8


@pytest.mark.parametrize(
    ("labels", "only"),
    [([1, 1], 1), ([0, 1], None), ([0.5, 0.5], 0.5), ([[-100, 2], [2]], 2), ([[-100, 2], [0]], None)],
)
def test_the_only_label(labels: list, only: float | None) -> None:
    assert only_label(Dataset.from_dict({"labels": labels})) == only
