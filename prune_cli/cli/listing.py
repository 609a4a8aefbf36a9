"""What `prune list` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prune_cli.config.options import GROUPS, folders, options
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError


def listing(group: str | None, config_dir: str | None) -> str:
    """List options, one line each.

    Args:
        group: A group, its name or the plural of it; None for all of them.
        config_dir: A user's own folder of groups.

    Raises:
        UserError: If there is no such group or folder.
    """
    if config_dir is not None and not Path(config_dir).expanduser().is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder")
    if group is None:
        return "\n\n".join(
            f"{plural}: {name}=...\n{_lines(name, folders(config_dir))}" for name, plural in GROUPS.items()
        )
    by_either_name = {**{plural: name for name, plural in GROUPS.items()}, **{name: name for name in GROUPS}}
    if group not in by_either_name:
        known = ", ".join(GROUPS.values())
        raise UserError(f"there is no group {group}{did_you_mean(group, by_either_name)} (one of {known})")
    return _lines(by_either_name[group], folders(config_dir))


def _lines(group: str, config_folders: Sequence[Path]) -> str:
    listed = options(group, config_folders)
    width = max((len(option.name) for option in listed), default=0)
    return "\n".join(f"  {option.name:<{width}}  {option.about}".rstrip() for option in listed)
