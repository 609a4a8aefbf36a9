"""Packages that only some things need."""

from __future__ import annotations

import importlib.util

from prune_cli.errors import UserError


def lacking(who: str, extra: str, *packages: str) -> str | None:
    """What to say where packages of an extra are not installed; None where they are."""
    if all(importlib.util.find_spec(package) is not None for package in packages):
        return None
    return f"{who} needs an extra: pip install 'prune-lm[{extra}]'"


def needed(who: str, extra: str, *packages: str) -> None:
    """Ask for the packages of an extra; see `lacking`.

    Raises:
        UserError: If one of them is missing.
    """
    if (problem := lacking(who, extra, *packages)) is not None:
        raise UserError(problem)
