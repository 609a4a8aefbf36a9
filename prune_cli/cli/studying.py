"""What `prune study` does: the runs of a study, then its README from their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markdown import Markdown
from rich.text import Text

from prune_cli.cli.launch import launch_many
from prune_cli.cli.printer import heading, printer
from prune_cli.comparison.study import Study, names, study
from prune_cli.errors import UserError
from prune_cli.paths import EXPERIMENTS


def carry_out(name: str, overrides: Sequence[str], config_dir: str | None) -> int:
    """Run what a study has not run yet, keep the results, and write its README anew.

    Args:
        name: Of the study.
        overrides: For every sweep, after its own: where the records are.
        config_dir: A user's own folder of groups.

    Returns:
        The exit code; the README stays as it was where a run failed or a signal came.

    Raises:
        UserError: If there is no such study, or it cannot be run like this.
    """
    what = study(name, _folders())
    screen = printer(stderr=True)
    folders: dict[str, list[Path]] = {}
    for number, (sweep, given) in enumerate(what.sweeps.items(), start=1):
        heading(screen, f"{what.folder.name}: {sweep}, sweep {number} of {len(what.sweeps)}")
        launched = launch_many([*(_filled(text, folders) for text in given), *overrides], config_dir)
        if launched.code:
            screen.print("The study is not whole: the same command goes on.")
            return launched.code
        folders[sweep] = [Path(job.folder) for job in launched.jobs if job.result]
    what.keep(path for paths in folders.values() for path in dict.fromkeys(paths))
    what.render()
    readme, console = what.readme.read_text(encoding="utf-8"), printer()
    console.print(Markdown(readme) if console.is_terminal else Text(readme))
    printer().print(f"Written: {what.readme}", soft_wrap=True)
    return 0


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
    studies = [study(each, _folders()) for each in ([name] if name else known())]
    if changed := [each for each in studies if not _up_to_date(each)]:
        raise UserError(
            *(
                f"{each.readme} is not what its results give: `prune study {each.folder.name} --tables`"
                for each in changed
            )
        )
    printer().print(f"{', '.join(each.folder.name for each in studies)}: as their results give it")


def known() -> list[str]:
    """The studies there are."""
    return names(_folders())


def _up_to_date(what: Study) -> bool:
    return what.rendered() == what.readme.read_text(encoding="utf-8")


def _folders() -> list[Path]:
    """Where studies lie: beneath the current folder, then beside the package."""
    return [Path("experiments"), EXPERIMENTS]


def _filled(text: str, folders: dict[str, list[Path]]) -> str:
    """An override in which the name of an earlier sweep, in braces, is the folder of its one run."""
    for sweep, paths in folders.items():
        place = f"{{{sweep}}}"
        if place in text and len(paths) != 1:
            raise UserError(f"{text}: {sweep} has {len(paths)} runs, and {place} stands for the only one")
        text = text.replace(place, str(paths[0]) if paths else place)
    return text
