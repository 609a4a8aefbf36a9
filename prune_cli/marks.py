"""What a field of the configuration may hold and means for the identity of a run: marks for the metadata of dataclass fields."""

from __future__ import annotations

from collections.abc import Mapping

_MARK = "identity"

NO_RESULT: Mapping[str, str] = {_MARK: "no result"}
"""The field changes where or how a result is come by, but no result."""

BY_CONTENT: Mapping[str, str] = {_MARK: "by content"}
"""The field says where something lies, and its content counts in its place."""


LARGEST = 2**32 - 1
"""The largest whole number of a configuration: seeds go as far, and nothing that is counted does."""


def counts(metadata: Mapping[str, object]) -> bool:
    """Whether the value of a field counts by itself."""
    return _MARK not in metadata
