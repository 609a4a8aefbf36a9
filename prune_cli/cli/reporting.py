"""What `prune report` writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from prune_cli import __version__
from prune_cli.comparison.groups import compare
from prune_cli.comparison.html import page
from prune_cli.comparison.payload import payload
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import done, find_runs
from prune_cli.config.command import commands
from prune_cli.console import outputs
from prune_cli.report.numbers import counted, size


def write_report(paths: Sequence[Path], output: Path, title: str | None, config_dir: str | None) -> None:
    """Write the page.

    Args:
        config_dir: The folder of the user's own groups that runs were started with.

    Raises:
        UserError: If none of the runs has finished, or the file cannot be there.
    """
    outputs.check("--output", output)
    runs = find_runs(paths)
    done(runs)
    rows = [row(run) for run in runs]
    comparison = compare(connect(rows), rows)
    repeated = commands([run.config for run in runs], config_dir, lenient=True)
    heading = title or f"Pruning runs in {', '.join(path.resolve().name for path in paths)}"
    footer = f"Made by prune-lm {__version__} on {datetime.now().astimezone():%Y-%m-%d %H:%M}."
    outputs.write("--output", output, text := page(payload(runs, comparison, repeated), heading, footer))
    outputs.say(output, f"{counted(len(runs), 'run')} in {output} ({size(len(text.encode()))}): open it in a browser")
