"""What `prune sync` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from prune_cli.console.failures import USER
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.tracking.sync import Synced, check_login, filled_in, offline_runs, sync

_STYLES = {"sent": "green", "sent before": "yellow", "failed": "bold red"}


def sync_shown(paths: Sequence[Path]) -> int:
    """Send offline runs, a line each.

    Returns:
        The exit code: 2 where a run could not be sent.

    Raises:
        UserError: If there is no offline run.
    """
    filled_in(paths)
    runs = offline_runs(paths)
    if not runs:
        raise UserError(f"{', '.join(map(str, paths))}: no run was logged offline there (tracking=wandb does it)")
    if any(not run.synced for run in runs):
        check_login()
    console = printer()
    ends = sync(runs, lambda end: console.print(_line(end), soft_wrap=True))
    failed = sum(end.state == "failed" for end in ends)
    if failed:
        console.print(f"{failed} of {len(ends)} could not be sent: `wandb login`, then the same command sends the rest.")
    return USER if failed else 0


def _line(end: Synced) -> Text:
    problem = f": {end.problem}" if end.problem else ""
    return Text.assemble((f"{end.state:<11}", _STYLES[end.state]), f" {end.run.folder.parent.parent.name}{problem}")
