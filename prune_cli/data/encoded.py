"""What encoded records tell before anything is learned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

_IDS = ("input_ids", "source_ids", "target_ids")
_IGNORED = -100  # label of what is not learned


def highest_token(encoded: Dataset) -> int:
    """The highest token number in encoded records.

    Args:
        encoded: What a task's `encode` made.
    """
    import pyarrow.compute as compute

    columns = [encoded.data.column(name) for name in _IDS if name in encoded.column_names]
    return max(compute.max(compute.list_flatten(column)).as_py() or 0 for column in columns)  # pyright: ignore


def only_label(encoded: Dataset) -> float | None:
    """The label that all records have, and all their tokens where tokens have labels; None where there are several.

    Args:
        encoded: What a task's `encode` made, with labels.
    """
    import pyarrow
    import pyarrow.compute as compute

    labels: Any = encoded.data.column("labels")
    while pyarrow.types.is_list(labels.type):
        labels = compute.list_flatten(labels)  # pyright: ignore
    seen = {value for value in compute.unique(labels).to_pylist() if value != _IGNORED}  # pyright: ignore
    return seen.pop() if len(seen) == 1 else None
