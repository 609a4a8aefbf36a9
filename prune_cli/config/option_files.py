"""What can be chosen: the options of every group, read from the folders of YAML files.

Nothing heavy is imported here, so that `prune list` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prune_cli.paths import CONF

GROUPS: dict[str, str] = {
    "task": "tasks",
    "model": "models",
    "criterion": "criteria",
    "schedule": "schedules",
    "pattern": "patterns",
    "regularization": "regularizations",
    "trainer": "trainers",
    "launcher": "launchers",
    "data": "data",
    "tracking": "tracking",
    "experiment": "experiments",
}
"""Every group of the configuration, with its plural."""


@dataclass(frozen=True)
class Option:
    """One YAML file of a group.

    Attributes:
        name: What is written behind `group=`.
        about: First line of the file's leading comment; empty where there is none.
    """

    name: str
    about: str
    path: Path


def folders(config_dir: str | None) -> list[Path]:
    """The folders that hold groups, most important first: the program's own, then the user's."""
    return [CONF] if config_dir is None else [CONF, Path(config_dir).expanduser()]


def options(group: str, config_folders: Sequence[Path]) -> list[Option]:
    """List what can be chosen in a group.

    Args:
        config_folders: Folders that hold groups, most important first.

    Returns:
        The options by name, each once, in alphabetical order.
    """
    options: dict[str, Option] = {}
    for folder in config_folders:
        for path in (folder / group).rglob("*.yaml"):
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            options.setdefault(name, Option(name, _about(path), path))
    return [options[name] for name in sorted(options)]


def names(group: str, config_folders: Sequence[Path]) -> list[str]:
    """The names of a group's options, in alphabetical order."""
    return [option.name for option in options(group, config_folders)]


def _about(path: Path) -> str:
    """The first comment line, other than Hydra's `# @package`."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            return line.lstrip("# ").strip()
    return ""
