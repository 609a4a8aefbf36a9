"""Composition by Hydra: the schema it types the configuration with, and what it chose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from prune_cli.config.option_files import GROUPS
from prune_cli.config.schema import schema
from prune_cli.paths import CONF

HYDRA_VERSION = "1.3"
"""The behaviour of Hydra that the configuration is written for."""

Composer = Callable[[Sequence[str]], DictConfig]


def register_schema() -> None:
    """Make the keys known to Hydra under the name that conf/config.yaml begins with."""
    ConfigStore.instance().store(name="schema", node=schema())


@contextmanager
def composer(config_dir: str | None = None) -> Iterator[Composer]:
    """Compose without running, as `prune run` does.

    Yields:
        From overrides to the whole configuration, Hydra's node included. It raises Hydra's exceptions.
    """
    register_schema()
    extra = [] if config_dir is None else [f"hydra.searchpath=['file://{Path(config_dir).expanduser().absolute()}']"]

    def composed(overrides: Sequence[str]) -> DictConfig:
        cfg = compose("config", [*overrides, *extra], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)  # for ${hydra:...} in a user's configuration
        return cfg

    with _aside(), initialize_config_dir(str(CONF), version_base=HYDRA_VERSION):
        yield composed


@contextmanager
def _aside() -> Iterator[None]:
    """Put Hydra's one instance aside, which is there within a job, and bring it back."""
    running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = running, config


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The configuration of the run alone."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def choices_of(hydra: HydraConf, cfg: DictConfig) -> dict[str, str]:
    """Read which option each of our groups took; a group without one is left out.

    Args:
        hydra: Hydra's own node.
        cfg: The configuration. Where its model has another name than the chosen option says, the model is called by that
            name: a run with `model.name=FOLDER` is no run of the default option.
    """
    model_name = OmegaConf.select(cfg, "model.name")
    taken = hydra.runtime.choices
    choices = {group: str(taken[group]) for group in GROUPS if taken.get(group) is not None}
    if model_name is not None and model_name != _name_in_option(hydra, taken["model"], model_name):
        choices["model"] = re.sub(r"[^\w.-]+", "_", model_name.rstrip("/").rpartition("/")[2])
    return choices


def _name_in_option(hydra: HydraConf, option: str, otherwise: str) -> str | None:
    """The name that the option's YAML gives the model."""
    for source in hydra.runtime.config_sources:
        path = Path(source.path) / "model" / f"{option}.yaml"
        if source.schema == "file" and path.is_file():
            loaded = OmegaConf.load(path)
            return OmegaConf.select(loaded, "model.name") or OmegaConf.select(
                loaded, "name"
            )  # with other groups' options, or not
    return otherwise
