"""The configuration of one run, built and checked: what everything below the command line works with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prune_cli.config.build import MISSING, TARGET, build, construct
from prune_cli.config.checks import (
    fit_problems,
    folder_problems,
    model_on_hub_problems,
    model_problems,
    output_problems,
    run_problems,
    tracking_problems,
    trainer_problems,
)
from prune_cli.config.options import GROUPS, names
from prune_cli.config.schema import Config, ModelConfig, TrackingConfig, TrainerConfig
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.paths import CONF

if TYPE_CHECKING:
    from prune_cli.data.base import Source
    from prune_cli.pruning.criteria import Criterion
    from prune_cli.pruning.patterns import Unstructured
    from prune_cli.pruning.schedules import Schedule
    from prune_cli.regularizers import Distillation, NoTeacher
    from prune_cli.tasks.base import Task
    from prune_cli.tracking.base import Tracker

_BUILT = ("task", "criterion", "schedule", "pattern", "regularization", "data")
"""Groups whose options name a class."""
_TYPED: dict[str, type] = {"model": ModelConfig, "trainer": TrainerConfig, "tracking": TrackingConfig}
"""Groups that the schema types."""
_KEYS = tuple(field.name for field in dataclasses.fields(Config))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, ready to start as far as can be told without a model or a record.

    Attributes:
        task: What is learned.
        model: What is pruned.
        criterion: Which weights matter.
        schedule: How sparsity grows over the steps.
        pattern: Which weights compete with each other.
        regularization: What the student learns from beside the labels.
        trainer: Steps, batches, learning rate.
        data: Where records come from.
        tracking: How the run is called where it is logged beside its folder.
        trackers: Where that is, by name.
        sparsity: Fraction of the prunable weights that is removed, from 0 to 1.
        seed: Seed of everything random, >= 0.
        output_dir: Folder in which the run makes its own folder.
        overwrite: Redo a run that has finished already.
        choices: Which option each group took.
        resolved: The whole configuration as plain values: no interpolation, every default written out.
    """

    task: Task
    model: ModelConfig
    criterion: Criterion
    schedule: Schedule
    pattern: Unstructured
    regularization: Distillation | NoTeacher
    trainer: TrainerConfig
    data: Source
    tracking: TrackingConfig
    trackers: Mapping[str, Tracker]
    sparsity: float
    seed: int
    output_dir: Path
    overwrite: bool
    choices: Mapping[str, str]
    resolved: Mapping[str, Any]

    @staticmethod
    def from_hydra(
        cfg: DictConfig, choices: Mapping[str, str], *, writes: bool = True, ask_source: bool = True
    ) -> RunConfig:
        """Build and check everything.

        Args:
            cfg: A composed configuration, or one read back from a run folder; without Hydra's own node.
            choices: Which option each group took.
            writes: Whether something is to be written to output_dir.
            ask_source: Whether to ask for records and model where they come from; over a network that may take seconds.

        Raises:
            UserError: If anything cannot work; it tells all that was found.
        """
        values = _resolve(cfg)
        parts, problems = _build_parts(values)
        for key, part in parts.items():
            values[key] = _plain(part, values[key])
        trackers, unusable = _build_trackers(parts["tracking"]) if "tracking" in parts else ({}, [])
        problems += unusable
        values["choices"] = dict(choices)
        top = {key: values[key] for key in ("sparsity", "seed", "overwrite")}
        output_dir = Path(values["output_dir"]).expanduser()

        unfit = list(fit_problems(parts["task"], parts["model"])) if {"task", "model"} <= parts.keys() else []
        problems += [*_unknown_keys(values), *_problems_of_values(parts, top), *unfit]
        if ask_source and {"task", "data"} <= parts.keys():
            problems += parts["data"].problems(parts["task"])
        if ask_source and "model" in parts and not unfit:
            problems += model_on_hub_problems(parts["model"])
        if writes and not values["output_dir"].strip():
            problems.append("output_dir is empty: give the folder in which runs make theirs, such as output_dir=runs")
        elif writes:
            problems += output_problems(output_dir)
        if problems:
            raise UserError(*dict.fromkeys(problems))
        return RunConfig(
            **parts, trackers=trackers, **top, output_dir=output_dir, choices=dict(choices), resolved=values
        )


def not_chosen(group: str) -> str:
    """The problem of a group without an option."""
    known = ", ".join(names(group, [CONF]))
    return f"no {group} is chosen: give {group}=..., one of {known} (see `prune list {GROUPS[group]}`)"


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    """All values as plain Python, every key of the schema among them."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        raise UserError(f"{error.full_key} cannot be resolved: {str(error).splitlines()[0]}") from error
    assert isinstance(values, dict)
    if lacking := [f"{key} is missing: a run cannot do without" for key in _KEYS if key not in values]:
        raise UserError(*lacking)
    return {str(key): value for key, value in values.items()}


def _unknown_keys(values: Mapping[str, Any]) -> list[str]:
    """Keys that were added at the top."""
    known = f"(a run has {', '.join(_KEYS)})"
    return [f"{key} is not known{did_you_mean(key, _KEYS)} {known}" for key in values if key not in _KEYS]


def _build_parts(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Build what can be built, and tell what cannot."""
    parts: dict[str, Any] = {}
    problems: list[str] = []
    for key in (*_BUILT, *_TYPED):
        node = values[key]
        if node == MISSING:
            problems.append(not_chosen(key))
            continue
        try:
            parts[key] = construct(_TYPED[key], node, key) if key in _TYPED else build(node, key)
        except UserError as error:
            problems += error.problems
    return parts, problems


def _build_trackers(tracking: TrackingConfig) -> tuple[dict[str, Tracker], list[str]]:
    """The trackers by name, and why some cannot be used."""
    trackers: dict[str, Tracker] = {}
    problems: list[str] = []
    for name, node in tracking.trackers.items():
        try:
            trackers[name] = build(node, f"tracking.trackers.{name}")
        except UserError as error:
            problems += error.problems
        else:
            problems += trackers[name].problems()
    return trackers, problems


def _problems_of_values(parts: Mapping[str, Any], top: Mapping[str, Any]) -> list[str]:
    """What is wrong with values of the right type, alone or together; parts that could not be built are left out."""
    problems = list(run_problems(top["sparsity"], top["seed"]))
    checks = {"trainer": trainer_problems, "tracking": tracking_problems, "model": model_problems}
    for key, check in checks.items():
        if key in parts:
            problems += check(parts[key])
    if {"trainer", "schedule", "criterion"} <= parts.keys() and top["sparsity"] > 0:
        steps = parts["trainer"].max_steps
        if steps is not None and steps > 0:
            problems += parts["schedule"].problems(steps, parts["criterion"].delta_t)
    teacher = dataclasses.asdict(parts["regularization"]).get("first_teacher") if "regularization" in parts else None
    if teacher is not None:
        problems += folder_problems("regularization.first_teacher", teacher)
    return problems


def _plain(part: Any, node: Mapping[str, Any]) -> dict[str, Any]:
    """A built part as plain values that build it again."""
    target = {TARGET: node[TARGET]} if TARGET in node else {}
    fields = {
        name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(part).items()
    }
    return {**target, **fields}
