"""Why Hydra refuses an override, in the terms of its user."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from prune_cli.config.build import locate
from prune_cli.config.option_files import GROUPS, names
from prune_cli.config.overrides import Setting
from prune_cli.config.schema import TARGET
from prune_cli.config.suggest import closest, did_you_mean

_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}
"""Extras of this package that bring a launcher."""


def is_group(setting: Setting, folders: Sequence[Path]) -> bool:
    """Whether an override chooses an option of a group, rather than setting a value."""
    if setting.parsed.is_delete() or setting.parsed.package is not None or "." in setting.key:
        return False
    return setting.key in GROUPS or "/" in setting.key or any((folder / setting.key).is_dir() for folder in folders)


def explain_choice(setting: Setting, folders: Sequence[Path]) -> str:
    """Why a group has no such option; nothing where it has.

    Args:
        setting: An override that `is_group`.
    """
    group = setting.key
    options = names(group, folders)
    if group not in GROUPS:  # Hydra's own, to which plugins and we add
        options = sorted({*options, *GlobalHydra.instance().config_loader().get_group_options(group)})
    if not setting.change and group in GROUPS:
        return f"{setting.text}: {group} is part of every run, leave out the plus sign: {setting.text.lstrip('+')}"
    if not options and group in GROUPS:
        return f"{setting.text} is not known: there are no {GROUPS[group]} to choose"
    if not options:
        return f"{group} is no group{did_you_mean(group, GROUPS)}: see `prune list`"
    chosen = setting.parsed.value()
    for option in chosen if isinstance(chosen, list) else [chosen]:
        if option not in options and group == "hydra/launcher" and (extra := _EXTRAS.get(str(option))) is not None:
            return f"{setting.text} comes with an extra: pip install 'prune-lm[{extra}]'"
        if option not in options:
            plugin = "; others come with plugins of Hydra" if group.startswith("hydra/") else ""
            return f"{setting.text} is not known{did_you_mean(str(option), options)} (one of {', '.join(options)}{plugin})"
    return ""


def explain_value(setting: Setting, cfg: DictConfig, error: Exception) -> str:
    """Why a value cannot be set."""
    values = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(values, dict)
    hydra = values.pop("hydra")
    if setting.key.startswith("hydra."):
        values = {"hydra": hydra}
    keys = set(_keys(values))
    if setting.change and setting.key not in keys:
        fields = set(_fields_outside_yaml(values))
        if setting.key in fields:
            return f"{setting.key} stands in no YAML, so it is added rather than changed: did you mean +{setting.text}?"
        return f"{setting.key} is not known{_remedy(setting.key, keys | fields)}"
    return f"{setting.text}: {explain_failure(error)}"


def explain_failure(error: Exception) -> str:
    """What Hydra says, without the lines that name its own concepts; for where nothing better is known."""
    cause = error if str(error) or error.__cause__ is None else error.__cause__
    if isinstance(cause, UnicodeDecodeError):
        return f"a YAML file of a group is not UTF-8 ({cause.reason} at byte {cause.start + 1}): save it in UTF-8"
    concepts = ("full_key", "reference_type", "object_type")
    lines = [line.strip() for line in str(cause).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(concepts))
    return text or type(cause).__name__


def _remedy(key: str, known: set[str]) -> str:
    """The closest known key: beside the unknown one where its parent exists, anywhere otherwise."""
    parent, _, name = key.rpartition(".")
    elsewhere = [other for other in known if other.rpartition(".")[2] == name]
    if len(elsewhere) == 1:
        return f": did you mean {elsewhere[0]}?"
    beside = sorted(other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == parent)
    if parent and beside:
        match = closest(name, beside)
        return f": {parent} has {', '.join(beside)}" if match is None else f": did you mean {parent}.{match}?"
    return did_you_mean(key, known) or ": `prune run task=... --cfg job` prints all keys"


def _keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Every key, with those above it: `trainer`, `trainer.epochs`."""
    for name, value in values.items():
        if name != TARGET:
            yield f"{prefix}{name}"
            if isinstance(value, Mapping):
                yield from _keys(value, f"{prefix}{name}.")


def _fields_outside_yaml(values: Mapping[Any, Any]) -> Iterator[str]:
    """Keys that the class of a group's option knows, but its YAML leaves to the default."""
    for group, value in values.items():
        if isinstance(value, Mapping) and TARGET in value:
            cls = locate(value[TARGET], f"{group}.{TARGET}")
            yield from (f"{group}.{field.name}" for field in dataclasses.fields(cls) if field.name not in value)
