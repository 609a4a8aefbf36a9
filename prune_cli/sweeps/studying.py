"""What `prune study` does: the runs of a study, then its README from their results."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.markdown import Markdown
from rich.text import Text

from prune_cli.comparison.study import Study, names, study
from prune_cli.config.diagnose import diagnose
from prune_cli.config.overrides import expand_home, spelt
from prune_cli.console.printer import heading, printer
from prune_cli.errors import UserError
from prune_cli.paths import EXPERIMENTS
from prune_cli.sweeps.launch import launch_many
from prune_cli.sweeps.study_runs import Plan, Planned, names_in, stand_in


def carry_out(name: str, overrides: Sequence[str], config_dir: str | None, *, sweeps: Sequence[str], where: Sequence[str]) -> int:
    """Make the runs of a study of which no result is kept, keep each as it ends, and write the README anew.

    Args:
        overrides: For every sweep, after its own: where the records are.
        where: Only runs with these values, each `KEY=VALUE` or `KEY=VALUE,VALUE`.

    Returns:
        The exit code.

    Raises:
        UserError: If there is no such study, or it cannot be run like this.
    """
    what = study(name, _folders())
    what.parts()  # a page without a place for a table is told before hours of runs, not after them
    first = _checked(what, overrides, config_dir, Plan(what.sweeps).part(sweeps, where))
    heading(printer(stderr=True), what.folder.name)
    part = {"folder": str(what.folder.absolute()), "sweeps": [*sweeps], "where": [*where]}
    options = [f"hydra.sweeper.{key}={spelt(value)}" for key, value in part.items()]
    launched = launch_many(["hydra/sweeper=study", *options, *overrides], config_dir, checked=first)
    if what.results.is_dir():
        what.render()
        readme, console = what.readme.read_text(encoding="utf-8"), printer()
        console.print(Markdown(readme) if console.is_terminal else Text(readme))
        console.print(f"Written: {what.readme}", soft_wrap=True)
    if launched.code:
        printer(stderr=True).print("Not every run has ended: the same command goes on, here or elsewhere.")
    return launched.code


def _checked(what: Study, overrides: Sequence[str], config_dir: str | None, asked: Sequence[Planned]) -> DictConfig:
    """Check the runs that are asked for before anything runs, and give the configuration of the first."""
    sweeps = [_joined(among) for _, among in itertools.groupby(asked, lambda run: run.sweep)]
    with tempfile.TemporaryDirectory() as folder:
        stand_in(Path(folder))
        place = names_in(what.sweeps)
        filled = ([*(place.sub(lambda _: folder, text) for text in sweep), *overrides] for sweep in sweeps)
        first, *_ = [diagnose([expand_home(text) for text in each], config_dir, multirun=True) for each in filled]
        return first


def _joined(runs: Iterable[Planned]) -> list[str]:
    """The overrides of one sweep that gives runs: each key once, with all of its values among them."""
    values: dict[str, dict[str, None]] = {}
    for text in (text for run in runs for text in run.overrides):
        key, _, value = text.partition("=")
        values.setdefault(key, {})[value] = None
    return [f"{key}={','.join(each)}" for key, each in values.items()]


def render(name: str) -> None:
    """Write the README of a study anew from the results that it keeps."""
    what = study(name, _folders())
    what.render()
    printer().print(f"Written: {what.readme}", soft_wrap=True)


def check(name: str | None) -> None:
    """See whether the README of a study, or of all, is what its results give.

    Raises:
        UserError: If one is not.
    """
    studies = [study(each, _folders()) for each in ([name] if name else study_names())]
    if changed := [each for each in studies if not each.up_to_date()]:
        raise UserError(
            *(f"{each.readme} is not what its results give: `prune study {each.folder.name} --tables`" for each in changed)
        )
    for each in studies:
        printer().print(f"{each.folder.name}: as its results give it", *each.earlier(), sep="\n  ", soft_wrap=True)


def study_names() -> list[str]:
    """The studies there are."""
    return names(_folders())


def _folders() -> list[Path]:
    """Where studies lie: beneath the current folder, then beside the package."""
    return [Path("experiments"), EXPERIMENTS]
