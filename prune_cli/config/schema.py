"""The keys at the top of the configuration.

Each group names a class by `_target_`; the fields of that class are its keys, documented there with types, units and ranges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from prune_cli.marks import NO_RESULT, counts
from prune_cli.models.options import ModelConfig
from prune_cli.tracking.options import TrackingConfig
from prune_cli.training.launcher import LauncherConfig
from prune_cli.training.options import TrainerConfig

PARTS: dict[str, str] = {
    "task": "What is learned.",
    "model": "What is pruned.",
    "criterion": "Which weights matter.",
    "schedule": "How sparsity grows over the steps.",
    "pattern": "Which weights compete with each other.",
    "regularization": "What the student learns from beside the labels.",
    "trainer": "Steps, batches, learning rate.",
    "launcher": "How many processes.",
    "data": "Where records come from: hub, local, synthetic.",
    "tracking": "Where the run is logged beside its folder.",
}
"""Groups of which every run has an option, and what they decide."""

BASES: dict[str, str] = {
    "task": "prune_cli.tasks.base.Task",
    "model": "prune_cli.models.options.ModelConfig",
    "criterion": "prune_cli.pruning.criteria.base.Criterion",
    "schedule": "prune_cli.pruning.schedules.base.Schedule",
    "pattern": "prune_cli.pruning.patterns.base.Pattern",
    "regularization": "prune_cli.distillation.base.Regularization",
    "trainer": "prune_cli.training.options.TrainerConfig",
    "launcher": "prune_cli.training.launcher.LauncherConfig",
    "data": "prune_cli.data.base.Source",
    "tracking": "prune_cli.tracking.options.TrackingConfig",
}
"""What an option of a group is; by name, since the classes bring PyTorch with them."""
TRACKER = "prune_cli.tracking.base.Tracker"
"""What each of `tracking.trackers` is."""

TARGET = "_target_"
"""The key that names an option's class."""
MISSING = "???"
"""What stands for a value that has to be given, to OmegaConf too."""

USUAL: dict[str, type] = {"model": ModelConfig, "trainer": TrainerConfig, "launcher": LauncherConfig, "tracking": TrackingConfig}
"""What an option of these groups is where it names no class of its own."""


@final
@dataclass(frozen=True, kw_only=True)
class General:
    """What stands beside the groups."""

    sparsity: float = 0.9
    """Fraction of the prunable weights that is removed, from 0 (plain fine-tuning) to 1."""
    seed: int = 42
    """Seed of everything random, >= 0."""
    output_dir: str = field(default="runs", metadata=NO_RESULT)
    """Folder in which the run makes its own folder."""
    overwrite: bool = field(default=False, metadata=NO_RESULT)
    """Redo a run that has finished already."""
    fail_fast: bool = field(default=False, metadata=NO_RESULT)
    """In a multirun, begin no more jobs once one has failed."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if not 0 <= self.sparsity <= 1:  # also true of not-a-number
            percent = f": did you mean {self.sparsity / 100:g}?" if 2 <= self.sparsity <= 100 else ""
            yield f"sparsity is {self.sparsity:g}: give the fraction of weights to remove, from 0 to 1{percent}"
        if self.seed < 0:
            yield f"seed is {self.seed}: give a whole number from 0 on"
        if not self.output_dir.strip():
            yield "output_dir is empty: give the folder in which runs make theirs, such as output_dir=runs"


CHOICES = "choices"
"""Which option each group took; filled in by the program."""

GENERAL = tuple(field.name for field in dataclasses.fields(General))
ELSEWHERE = (*(field.name for field in dataclasses.fields(General) if not counts(field.metadata)), "launcher", "tracking")
"""Keys that say where a run goes and how it is launched; no result depends on them."""
KEYS = (*PARTS, *GENERAL, CHOICES)


def schema() -> dict[str, Any]:
    """Every key, for Hydra. It leaves types to the classes, which are built later, so that they are told in one way."""
    usual = {group: {TARGET: f"{cls.__module__}.{cls.__qualname__}", **_defaults(cls)} for group, cls in USUAL.items()}
    return {**dict.fromkeys(PARTS, MISSING), **usual, **_defaults(General), CHOICES: {}}


def own(group: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of an option, without those of the usual class of its group that nobody set, where it names another."""
    cls = USUAL.get(group)
    if cls is None or not isinstance(values, Mapping) or values.get(TARGET) == f"{cls.__module__}.{cls.__qualname__}":
        return values
    unset = _defaults(cls)
    return {name: value for name, value in values.items() if name not in unset or value != unset[name]}


def _defaults(cls: type) -> dict[str, Any]:
    """What the fields of a class are where nobody says otherwise; none of ours goes without."""
    defaults = cls()
    return {field.name: getattr(defaults, field.name) for field in dataclasses.fields(defaults)}
