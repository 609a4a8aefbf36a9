"""How a process of a run tells of its end: to whoever has started it, or on the screen."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

HAND_OVER = "PRUNE_HAND_OVER"
"""Variable of the environment: the file in which a process tells whoever has started it why it ends."""
_FIRST = 5.0  # seconds that the first process has to say the same, after which whoever has started them ends the others


Kind = Literal["failed", "held", "lost", "stopped"]
"""Of end: held where somebody else is at the same run, lost where another process has ended, stopped where it was asked to."""


def handed_over(problems: Sequence[str], code: int, kind: Kind) -> bool:
    """Tell why this process ends, where somebody has started it who tells of it.

    Args:
        code: Its exit code.

    Returns:
        Whether somebody does: else it is to be shown.
    """
    if (path := os.environ.get(HAND_OVER)) is None:
        return False
    values = {"problems": [*problems], "code": code, "kind": kind, "time": time.time()}
    unfinished = Path(path).with_suffix(".part")
    unfinished.write_text(json.dumps(values), encoding="utf-8")
    unfinished.replace(path)
    return True


def let_first_tell() -> None:
    """Wait whether the first process tells the same, as of a wrong option: then this one is ended before it can."""
    time.sleep(_FIRST)
