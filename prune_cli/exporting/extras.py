"""Packages that only some exports need."""

from __future__ import annotations

from importlib.util import find_spec

from prune_cli.errors import UserError


def needed(extra: str, *packages: str) -> None:
    """Ask for the packages of an extra.

    Args:
        extra: Its name.
        packages: What to import.

    Raises:
        UserError: If one of them is missing.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        raise UserError(f"{', '.join(missing)} is not installed: pip install 'prune-lm[{extra}]'")
