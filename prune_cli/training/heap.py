"""Memory that the C library keeps."""

from __future__ import annotations

import ctypes
import sys


def trim() -> None:
    """Give freed memory back to the system, where the C library is glibc.

    It keeps what was freed, in pieces of the sizes that steps or evaluations needed; neither fit the other's, which would take
    new memory beside them.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
