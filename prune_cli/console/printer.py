"""Where commands print: on a terminal, or into a file or another program."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, redirect_stdout

from rich.console import Console

_ENDLESS = 10_000
"""Columns of what is no terminal: nothing is wrapped there, and no path is cut in two."""


def printer(*, stderr: bool = False, highlight: bool = True, quiet: bool = False) -> Console:
    """A place to print; NO_COLOR takes its colours, and under CI nothing moves.

    Args:
        stderr: Standard error, for what is no result.
    """
    moving = False if os.environ.get("CI") else None  # None: rich sees whether it is a terminal
    # Without markup: names of files, tasks and columns may hold what looks like it
    console = Console(stderr=stderr, highlight=highlight, quiet=quiet, force_interactive=moving, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _ENDLESS
    return console


def importing() -> AbstractContextManager[object]:
    """What libraries print while they are imported is nobody's business: transformers tells of WANDB_MODE, tracked or not."""
    return redirect_stdout(io.StringIO())


def results_alone() -> AbstractContextManager[object]:
    """What libraries print within goes to standard error."""
    return redirect_stdout(sys.stderr)


def heading(console: Console, text: str) -> None:
    """Begin a part of what is printed: a line across a terminal, the text alone elsewhere."""
    if console.is_terminal:
        console.rule(text)
    else:
        console.print(text)
