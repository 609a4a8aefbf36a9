"""What `prune plot` draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prune_cli.comparison.pictures import FORMATS, KINDS, draw
from prune_cli.comparison.runs import done, find_runs
from prune_cli.config.suggest import did_you_mean
from prune_cli.console import outputs
from prune_cli.errors import UserError


def plot(paths: Sequence[Path], kind: str, output: Path, *, where: Sequence[str], by: Sequence[str]) -> None:
    """Draw finished runs into a file.

    Raises:
        UserError: If an option cannot work, or there is nothing to draw.
    """
    if kind not in KINDS:
        raise UserError(f"--kind {kind} is not known{did_you_mean(kind, KINDS)} (one of {', '.join(KINDS)})")
    if output.suffix.lstrip(".") not in FORMATS:
        raise UserError(f"--output {output}: give a file that ends in {', '.join(f'.{name}' for name in FORMATS)}")
    outputs.check("--output", output)
    runs = find_runs(paths)
    with outputs.writing("--output", output):
        draw(kind, done(runs), output, where, by)
    left_out = sum(run.state != "done" for run in runs)
    outputs.say(output, f"{output}" + (f" ({left_out} unfinished runs left out)" if left_out else ""))
