"""What a shell may complete: groups, their options, keys. Nothing heavy is imported, for it is asked at every tab."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from prune_cli.config.option_files import GROUPS, folders, names, options
from prune_cli.paths import CONF

_KEY = re.compile(r"^(\w+):", re.MULTILINE)
_INNER = re.compile(r"^  (\w+):", re.MULTILINE)
_NO_KEYS = ("experiment", "tracking")
"""Groups whose YAMLs speak of other groups, or of what lies deeper."""


def overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """What an override can go on with.

    Bash breaks words at `=`: a value comes alone, after the key and the sign. Other shells give the whole.
    """
    config_folders = folders(ctx.params.get("config_dir"))
    args: Sequence[str] = ["", *(ctx.params.get("overrides") or ())]
    candidates = (*GROUPS, *_keys(config_folders))
    if args[-1] == "=" or args[-1] in candidates:  # where nothing follows the sign, it is not among the words
        key = args[-2] if args[-1] == "=" else args[-1]
        return [name for name in _options(key, config_folders) if name.startswith(incomplete)]
    key, sign, begun = incomplete.partition("=")
    if sign:
        return [f"{key}={name}" for name in _options(key, config_folders) if name.startswith(begun)]
    keys = [each for each in candidates if each.startswith(incomplete)]
    if len(keys) == 1:  # behind the only thing that a shell can offer it puts a blank: offer what begins with it
        (key,) = keys
        return [f"{key}={name}" for name in _options(key, config_folders)] or [f"{key}=", f"{key}=..."]
    return [f"{each}=" for each in keys]


def groups(incomplete: str) -> list[str]:
    """Plurals of groups, as `prune list` takes them."""
    return [plural for plural in GROUPS.values() if plural.startswith(incomplete)]


def fetched(incomplete: str) -> list[str]:
    """Models that `prune fetch` brings."""
    wheels = re.compile(r"^ *wheels:", re.MULTILINE)
    models = [each for each in options("model", [CONF]) if wheels.search(each.path.read_text(encoding="utf-8"))]
    return [each.name for each in models if each.name.startswith(incomplete)]


def _options(group: str, config_folders: Sequence[Path]) -> list[str]:
    return names(group, config_folders) if group in GROUPS else []


def _keys(config_folders: Sequence[Path]) -> Iterator[str]:
    """Keys of all options, as their YAMLs and, where there is a usual class, its fields have them."""
    from prune_cli.config.schema import GENERAL, USUAL

    yield from GENERAL
    for group in GROUPS:
        keys: dict[str, None] = {}
        if group in USUAL:
            keys |= dict.fromkeys(USUAL[group].__dataclass_fields__)
        elif group not in _NO_KEYS:
            for folder in config_folders:
                for path in sorted((folder / group).glob("*.yaml")):
                    text = path.read_text(encoding="utf-8", errors="replace")
                    keys |= dict.fromkeys((_INNER if "# @package _global_" in text else _KEY).findall(text))
        yield from (f"{group}.{name}" for name in keys if not name.startswith("_"))
