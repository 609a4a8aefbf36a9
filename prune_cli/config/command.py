"""The command that repeats a run, from the configuration that it wrote down."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prune_cli.config.build import locate
from prune_cli.config.compose import Composer, composer, without_hydra
from prune_cli.config.describe import default_of
from prune_cli.config.option_files import GROUPS, folders, names
from prune_cli.config.overrides import spelt
from prune_cli.config.schema import CHOICES, ELSEWHERE, TARGET
from prune_cli.errors import UserError

_MODEL = "model"


def commands(configs: Sequence[Mapping[str, Any]], config_dir: str | None = None, *, lenient: bool = False) -> list[str]:
    """The commands that repeat some runs, as short as they can be.

    What has the same value by default, or by the options that are chosen, is left out; so is where the run goes.

    Args:
        configs: Resolved configurations, as config.yaml has them.
        config_dir: The folder with groups of the user's own that the runs were started with.
        lenient: Tell why there is no command, as a comment of a shell, instead of raising.

    Raises:
        UserError: If a run chose an option that is not here, or has no whole configuration.
    """
    config_folders = folders(config_dir)
    tail = [] if config_dir is None else [f"--config-dir {shlex.quote(config_dir)}"]
    lines = []
    with composer(config_dir) as compose:
        composed = _Commands(compose, {group: names(group, config_folders) for group in GROUPS})
        for config in configs:
            try:
                lines.append(" ".join(["prune run", *map(shlex.quote, composed.overrides(config)), *tail]))
            except UserError as error:
                if not lenient:
                    raise
                lines.append(f"# {error}")
    return lines


class _Commands:
    """Overrides from configurations; what the same options give is composed once."""

    def __init__(self, compose: Composer, known: Mapping[str, Sequence[str]]) -> None:
        self._compose = compose
        self._known = known
        self._bases: dict[tuple[str, ...], tuple[list[str], DictConfig, Mapping[str, Any]]] = {}

    def overrides(self, config: Mapping[str, Any]) -> list[str]:
        """Overrides that lead to a configuration."""
        chosen = tuple(_chosen(config, self._known))
        if chosen not in self._bases:
            self._bases[chosen] = (_short(self._compose, chosen), *_resolved(self._compose, chosen))
        short, composed, base = self._bases[chosen]
        return [*short, *_changes(config, composed, base)]


def _chosen(config: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The options that a run took: the experiment first, for the others win over it."""
    choices = config.get("choices")
    if not isinstance(choices, Mapping) or choices.get("task") is None:
        raise UserError("config.yaml does not say which options the run took: it is broken, or of another version of prune")
    order = ["experiment", *(group for group in GROUPS if group not in ("experiment", "tracking"))]
    for group in order:
        choice = choices.get(group)
        if choice in known[group]:
            yield f"{group}={choice}"
        elif choice is not None and group != _MODEL:  # a model's folder or id is told by its name instead
            raise UserError(f"{group}={choice} is no option here: give the folder of your own groups with --config-dir")


def _resolved(compose: Composer, overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, Any]]:
    """What these options give: as Hydra composes it, and as plain values with every default of the classes they name."""
    composed = without_hydra(compose(overrides))
    values = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(values, dict)
    for key, node in values.items():
        if isinstance(node, dict) and TARGET in node:
            values[key] = {**_defaults(locate(node[TARGET], str(key))), **node}
    return composed, {str(key): value for key, value in values.items()}


def _defaults(cls: Any) -> dict[str, Any]:
    defaults = {field.name: default_of(field) for field in dataclasses.fields(cls)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    return {name: value for name, value in plain.items() if value is not dataclasses.MISSING}


def _short(compose: Composer, chosen: Sequence[str]) -> list[str]:
    """The options without those that the defaults, or the experiment, choose anyway."""
    first = [text for text in chosen if text.startswith("experiment=")]
    task = [text for text in chosen if text.startswith("task=")]
    taken = compose([*first, *([] if first else task)]).hydra.runtime.choices
    return [
        text
        for text in chosen
        if text in first or (text in task and not first) or str(taken.get(text.partition("=")[0])) != text.partition("=")[2]
    ]


def _changes(config: Mapping[str, Any], composed: DictConfig, base: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Overrides that lead from what the options give to what the run had."""
    for key, value in config.items():
        name, there = f"{prefix}{key}", base.get(key)
        if not prefix and key in (CHOICES, *ELSEWHERE):
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping) and value and there:
            yield from _changes(value, composed, there, f"{name}.")
        elif key not in base or value != there:
            yield f"{'' if _there(composed, name) else '++'}{name}={spelt(value)}"


def _there(composed: DictConfig, name: str) -> bool:
    """Whether a key can be set without adding it."""
    parent, _, key = name.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    return node is not None and key in node.keys()  # noqa: SIM118 what is missing yet is a key, and not `in` it
