"""Memory that the C library keeps."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import ClassVar, final


def trim() -> None:
    """Give freed memory back to the system, where the C library is glibc.

    It keeps what was freed, in pieces of the sizes that steps or evaluations needed; neither fit the other's, which would take
    new memory beside them.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@final
class Trimmer:
    """Trims between steps, now and then: batches of other sizes leave holes that the next ones hardly fit."""

    EVERY: ClassVar[float] = 20.0
    """Seconds: a step after it takes some 0.2 s more where a gigabyte was given back."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Trim, where it is time; gradients are gone."""
        if time.monotonic() - self._last >= self.EVERY:
            trim()
            self._last = time.monotonic()
