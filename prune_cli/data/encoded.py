"""Encoded records: what they tell before anything is learned from them, and all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from prune_cli.heads import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

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


@final
class InMemory:
    """Encoded records for a `DataLoader`, four times as fast as from their file: of each column the numbers end to end.

    A record is a mapping, with tensors for numbers and lists of integers, and its place among the records as `place`.
    """

    def __init__(self, encoded: Dataset) -> None:
        """Read them all.

        Args:
            encoded: What a task's `encode` made; columns of anything else stay where they are.
        """
        import pyarrow.compute as compute
        import pyarrow.types as kinds
        import torch

        self._count, self._encoded = len(encoded), encoded
        self._numbers: dict[str, Tensor] = {}
        self._lists: dict[str, tuple[Tensor, list[int]]] = {}
        self.names = [*encoded.column_names, "place"]
        table: Any = encoded.with_format("arrow")[:]
        for name in table.column_names:
            column = table.column(name)
            if kinds.is_list(column.type) and kinds.is_integer(column.type.value_type):
                lengths = np.asarray(compute.list_value_length(column))  # pyright: ignore[reportAttributeAccessIssue] made at import
                self._lists[name] = (torch.tensor(np.asarray(_flat(column))), [0, *np.cumsum(lengths).tolist()])
            elif kinds.is_integer(column.type) or kinds.is_floating(column.type):
                self._numbers[name] = torch.tensor(np.asarray(column))

    def __len__(self) -> int:
        """The records."""
        return self._count

    def __getitem__(self, place: int) -> Record:
        """A record."""
        return Record(self, place)

    def __getitems__(self, places: Sequence[int]) -> list[Record]:
        """Several records."""
        return [Record(self, place) for place in places]

    def value(self, name: str, place: int) -> Any:
        """What a record has in a column."""
        if name == "place":
            return place
        if name in self._numbers:
            return self._numbers[name][place]
        if name in self._lists:
            values, ends = self._lists[name]
            return values[ends[place] : ends[place + 1]]
        return self._encoded.select_columns(name)[place][name]


@final
class Record(Mapping[str, Any]):
    """A record of those in memory."""

    def __init__(self, records: InMemory, place: int) -> None:
        """Remember where it is."""
        self._records, self._place = records, place

    def __getitem__(self, name: str) -> Any:
        """What it has in a column."""
        if name not in self._records.names:
            raise KeyError(name)
        return self._records.value(name, self._place)

    def __iter__(self) -> Iterator[str]:
        """The columns."""
        return iter(self._records.names)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self._records.names)
