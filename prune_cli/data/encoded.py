"""What encoded records tell before anything is learned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prune_cli.heads import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset

_IDS = ("input_ids", "source_ids", "target_ids")


def highest_token(encoded: Dataset) -> int:
    """The highest token number in encoded records.

    Args:
        encoded: What a task's `encode` made.
    """
    import pyarrow.compute as compute

    columns = [_flat(encoded.data.column(name)) for name in _IDS if name in encoded.column_names]
    return max(compute.max(column).as_py() or 0 for column in columns)  # pyright: ignore


def cut_records(encoded: Dataset) -> int:
    """How many records lose their end, because the model takes fewer tokens."""
    if "cut" not in encoded.column_names:
        return 0
    return len({record for record, cut in zip(encoded["record"][:], encoded["cut"][:], strict=True) if cut})


def only_label(encoded: Dataset) -> float | None:
    """The label that all records have, and all their tokens where tokens have labels; None where there are several."""
    import pyarrow.compute as compute

    labels = _flat(encoded.data.column("labels"))
    seen = {value for value in compute.unique(labels).to_pylist() if value != IGNORED}  # pyright: ignore
    return seen.pop() if len(seen) == 1 else None


def _flat(column: Any) -> Any:
    """The numbers of a column, of lists of lists too."""
    import pyarrow
    import pyarrow.compute as compute

    while pyarrow.types.is_list(column.type):
        column = compute.list_flatten(column)  # pyright: ignore
    return column
