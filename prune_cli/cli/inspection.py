"""Options of `prune run` that print something of Hydra's instead of running."""

from __future__ import annotations

from collections.abc import Sequence

from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError

_PARTS = ("job", "hydra", "all")
_TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def inspection(
    overrides: Sequence[str], *, cfg: str | None, resolve: bool, package: str | None, info: bool, multirun: bool
) -> tuple[list[str], list[str]]:
    """Put the options into Hydra's own form.

    Returns:
        Arguments for Hydra, empty where nothing is to be printed, and the overrides alone.

    Raises:
        UserError: If options do not go together.
    """
    if cfg is not None and cfg not in _PARTS:
        raise UserError(f"--cfg {cfg} is not known{did_you_mean(cfg, _PARTS)} (one of {', '.join(_PARTS)})")
    if cfg is None and (resolve or package is not None):
        raise UserError("--resolve and --package go with --cfg: add --cfg job")
    if (cfg is not None) + info + multirun > 1:
        raise UserError("--cfg, --info and --multirun do not go together: leave all but one out")
    topics = [word for word in overrides if info and word in _TOPICS]
    arguments = ["--info", *topics[:1]] if info else []
    if cfg is not None:
        arguments = ["--cfg", cfg, *(["--resolve"] if resolve else []), *(["--package", package] if package else [])]
    return arguments, [word for word in overrides if word not in topics]
