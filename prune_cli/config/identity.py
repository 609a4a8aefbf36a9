"""What makes a run the same run: a hash of what its configuration says, and a folder name made from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.config.describe import default_of
from prune_cli.config.schema import General
from prune_cli.data.extra import Extra
from prune_cli.marks import counts
from prune_cli.sources import class_sources, sources_hash

if TYPE_CHECKING:
    from prune_cli.config.run_config import RunConfig
    from prune_cli.models import ModelConfig

_OURS = "prune_cli."
_ONLY_PRUNING = ("criterion", "schedule", "pattern")
"""Groups that nothing asks where nothing is pruned."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What counts by its content in a run's identity, wherever it lies.

    Attributes:
        records: Equal exactly where the records are.
        weights: Fingerprint of the model; empty for one made at random.
        teacher: Fingerprint of the first teacher; None without one.
        extra: How the records that it labels are made; None without any.
    """

    records: str
    weights: str
    teacher: str | None
    extra: str | None


def contents(config: RunConfig) -> Contents:
    """Look at records, model and first teacher of a run; it reads them where they are local."""
    teacher = config.regularization.first_teacher
    return Contents(
        records=config.data.identity(config.task),
        weights=_weights(config.model),
        teacher=None if teacher is None else _fingerprint(Path(teacher)),
        extra=config.data.extra_identity() if isinstance(config.data, Extra) else None,
    )


def identity(config: RunConfig, run_contents: Contents | None = None) -> str:
    """Hash what decides the results of a run.

    Records, models and teachers count by their content, not by the folder they lie in; a class of the user's own counts
    with its source. A field at its default is left out, so that a new option leaves earlier runs what they were, and so is
    one that is marked as changing no result (`prune_cli.marks`).

    Returns:
        16 hexadecimal digits.
    """
    run_contents = run_contents or contents(config)
    parts = ["task", "criterion", "schedule", "pattern", "regularization", "trainer", "model"]
    counted: dict[str, Any] = {
        name: described(getattr(config, name)) for name in parts if config.sparsity > 0 or name not in _ONLY_PRUNING
    }
    counted["model"]["weights"] = run_contents.weights
    if run_contents.teacher is not None:
        counted["regularization"]["first_teacher"] = run_contents.teacher
    counted["records"] = run_contents.records
    if run_contents.extra is not None:
        counted["extra"] = run_contents.extra
    counted["run"] = {
        field.name: value
        for field in dataclasses.fields(General)
        if counts(field.metadata) and (value := getattr(config, field.name)) != field.default
    }
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(part: Any) -> dict[str, Any]:
    """What a built part of the configuration says that counts: its class, and its fields that are not at their default."""
    values = {
        field.name: getattr(part, field.name)
        for field in dataclasses.fields(part)
        if counts(field.metadata) and getattr(part, field.name) != default_of(field)
    }
    cls = type(part)
    if cls.__module__.startswith(_OURS):
        return {"class": cls.__name__, **values}
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "source": sources_hash(class_sources(cls, {_OURS.rstrip(".")})),
        **values,
    }


def _weights(model: ModelConfig) -> str:
    """What the model is, wherever it lies; nothing of one that is made at random, which its other fields describe."""
    from prune_cli.models import fingerprint

    return "" if model.random is not None else fingerprint(model.location())


def _fingerprint(folder: Path) -> str:
    from prune_cli.models import Location, fingerprint

    return fingerprint(Location(name=folder))


def run_name(config: RunConfig, run_id: str) -> str:
    """Name the folder of a run: task, model, criterion, sparsity, and half of its identity.

    Returns:
        For instance `mrpc-minilm-pins-s0.9-1f2e3d4c`, or `mrpc-minilm-dense-1f2e3d4c` without pruning; letters, digits, and
        `. _ -` only.
    """
    choices = config.choices
    pruned = [choices["criterion"], f"s{config.sparsity:g}"] if config.sparsity > 0 else ["dense"]
    parts = [choices["task"], choices["model"], *pruned, run_id[:8]]
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part) for part in parts)
