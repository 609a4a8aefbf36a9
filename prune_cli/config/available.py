"""Whether an option can be had on this machine without a hub; nothing heavy is imported."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import yaml

from prune_cli.models.fetching import place

HERE, HUB, FETCH = "here", "hub", "fetch"


def place_of(group: str, path: Path) -> str:
    """Where a model or the records of a task come from.

    Args:
        group: model or task; other groups need nothing.

    Returns:
        "here", also where it has been downloaded before, "fetch" for what `prune fetch` brings, or "hub"; empty for other
        groups, and what cannot be read.
    """
    if group not in ("model", "task"):
        return ""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    if not isinstance(values, dict):
        return ""
    option = values.get(group, values)
    if _model_is_here(option) if group == "model" else _records_are_here(option):
        return HERE
    return FETCH if option.get("wheels") else HUB


def _model_is_here(option: dict[str, object]) -> bool:
    package, name = option.get("package"), option.get("name")
    if "random" in option or (isinstance(package, str) and importlib.util.find_spec(package) is not None):
        return True
    if option.get("wheels") and place(str(option.get("sha256"))).is_dir():
        return True
    if not isinstance(name, str):
        return option.get("gguf_file") is not None and package is None
    return Path(name).is_dir() or (_cache("HF_HUB_CACHE", "hub") / f"models--{name.replace('/', '--')}").is_dir()


def _records_are_here(option: dict[str, object]) -> bool:
    path = option.get("hub_path")
    return not path or (_cache("HF_DATASETS_CACHE", "datasets") / str(path).replace("/", "___")).is_dir()


def _cache(variable: str, folder: str) -> Path:
    """A folder of the Hugging Face libraries, as they find it."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(os.environ.get(variable) or Path(home) / folder).expanduser()
