"""What makes a run the same run: a hash of what its configuration says, and a folder name made from it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prune_cli.config.run_config import RunConfig

_NO_INFLUENCE = ("output_dir", "overwrite", "tracking", "choices")
"""Keys that change where results go or what things are called, but no result."""


def identity(config: RunConfig) -> str:
    """Hash what decides the results of a run.

    Records count by their content, not by the folder they lie in. Where results go, how they are tracked and on which
    device they are computed does not count.

    Args:
        config: The run.

    Returns:
        16 hexadecimal digits.
    """
    values = {key: value for key, value in config.resolved.items() if key not in _NO_INFLUENCE}
    values["trainer"] = {key: value for key, value in values["trainer"].items() if key != "device"}
    values["data"] = {key: value for key, value in values["data"].items() if key != "path"}
    values["records"] = config.data.identity(config.task)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_name(config: RunConfig, run_id: str) -> str:
    """Name the folder of a run: task, model, criterion, sparsity, and half of its identity.

    Args:
        config: The run.
        run_id: Its identity.

    Returns:
        For instance `mrpc-minilm-pins-s0.9-1f2e3d4c`; letters, digits, and `. _ -` only.
    """
    choices = config.choices
    parts = [choices["task"], choices["model"], choices["criterion"], f"s{config.sparsity:g}", run_id[:8]]
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part) for part in parts)
