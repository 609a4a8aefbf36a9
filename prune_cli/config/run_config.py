"""The configuration of one run, built and checked: what everything below the command line works with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prune_cli.config.build import build, construct
from prune_cli.config.checks import (
    compile_problems,
    extra_problems,
    fit_problems,
    missing_problems,
    output_problems,
    process_count,
    process_problems,
    shape_problems,
    teacher_problems,
)
from prune_cli.config.option_files import GROUPS, names
from prune_cli.config.schema import BASES, CHOICES, GENERAL, KEYS, MISSING, PARTS, TARGET, TRACKER, General, own
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.paths import CONF

if TYPE_CHECKING:
    from prune_cli.data.base import Source
    from prune_cli.distillation import Regularization
    from prune_cli.models import ModelConfig
    from prune_cli.pruning.criteria import Criterion
    from prune_cli.pruning.patterns import Pattern
    from prune_cli.pruning.schedules import Schedule
    from prune_cli.tasks.base import Task
    from prune_cli.tracking.base import Tracker
    from prune_cli.tracking.options import TrackingConfig
    from prune_cli.training.launcher import LauncherConfig
    from prune_cli.training.options import TrainerConfig


_BESIDE = ""
"""Where `General` is kept among the parts: it stands behind no key."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, ready to start as far as can be told without a model or a record.

    What the groups decide, `PARTS` says; what stands beside them, `General`.

    Attributes:
        trackers: Where the run is logged beside its folder, by name.
        choices: Which option each group took.
        resolved: The whole configuration as plain values: no interpolation, every default written out.
    """

    task: Task
    model: ModelConfig
    criterion: Criterion
    schedule: Schedule
    pattern: Pattern
    regularization: Regularization
    trainer: TrainerConfig
    launcher: LauncherConfig
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
        cfg: DictConfig,
        choices: Mapping[str, str],
        *,
        writes: bool = True,
        ask_source: bool = True,
        training: bool = True,
    ) -> RunConfig:
        """Build and check everything.

        Args:
            cfg: A composed configuration, or one read back from a run folder; without Hydra's own node.
            choices: Which option each group took.
            writes: Whether something is to be written to output_dir.
            training: Whether records to train on are needed.
            ask_source: Whether to ask for records and model where they come from; over a network that may take seconds.

        Raises:
            UserError: If anything cannot work; it tells all that was found.
        """
        values = _resolve(cfg)
        problems = _unknown_keys(values)
        parts: dict[str, Any] = {}
        for key in PARTS:
            if values[key] == MISSING:
                problems.append(not_chosen(key))
            else:
                _add(parts, key, lambda key=key: build(own(key, values[key]), key, BASES.get(key, "")), problems)
        _add(parts, _BESIDE, lambda: construct(General, {key: values[key] for key in GENERAL}), problems)
        trackers: dict[str, Tracker] = {}
        for name, node in parts["tracking"].trackers.items() if "tracking" in parts else ():
            _add(trackers, name, lambda name=name, node=node: build(node, f"tracking.trackers.{name}", TRACKER), problems)
        problems += _problems_together(parts, ask_source=ask_source, training=training)
        if writes and _BESIDE in parts:
            problems += output_problems(Path(parts[_BESIDE].output_dir).expanduser())
        if problems:
            raise UserError(*dict.fromkeys(problems))
        general = dataclasses.asdict(parts.pop(_BESIDE))
        values |= {**general, **{key: _plain(part, values[key]) for key, part in parts.items()}, CHOICES: dict(choices)}
        del general["fail_fast"]  # of a multirun, which looks there itself
        general["output_dir"] = Path(general["output_dir"]).expanduser()
        return RunConfig(**parts, **general, trackers=trackers, choices=dict(choices), resolved=values)


def not_chosen(group: str) -> str:
    """The problem of a group without an option."""
    options = ", ".join(names(group, [CONF]))
    return f"no {group} is chosen: give {group}=..., one of {options} (see `prune list {GROUPS[group]}`)"


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    """All values as plain Python, every key of the schema among them."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        raise UserError(f"{error.full_key} cannot be resolved: {str(error).splitlines()[0]}") from error
    assert isinstance(values, dict)
    if lacking := [f"{key} is missing: a run cannot do without" for key in KEYS if key not in values]:
        raise UserError(*lacking)
    return {str(key): value for key, value in values.items()}


def _unknown_keys(values: Mapping[str, Any]) -> list[str]:
    """Keys that were added at the top."""
    keys = f"(a run has {', '.join(KEYS)})"
    return [f"{key} is not known{did_you_mean(key, KEYS)} {keys}" for key in values if key not in KEYS]


def _add(built: dict[str, Any], key: str, make: Callable[[], Any], problems: list[str]) -> None:
    """Make what can be made, and tell what cannot."""
    try:
        built[key] = make()
    except UserError as error:
        problems += error.problems


def _problems_together(parts: Mapping[str, Any], *, ask_source: bool, training: bool) -> Iterator[str]:
    """What is wrong with options that are right alone; those that could not be built are left out."""
    pruned = {"trainer", "schedule", _BESIDE} <= parts.keys() and parts[_BESIDE].sparsity > 0
    in_steps = pruned and not parts["schedule"].in_epochs  # what an epoch is, only the records tell
    if in_steps and (steps := parts["trainer"].max_steps) is not None:
        yield from parts["schedule"].incompatibilities(steps)
    if {"trainer", _BESIDE} <= parts.keys() and parts["trainer"].patience is not None and parts[_BESIDE].sparsity > 0:
        yield (
            f"trainer.patience={parts['trainer'].patience} is for dense runs (sparsity=0): a pruned one has all its zeros at"
            " its last step alone. Leave it out, or take trainer.keep=best"
        )
    unfit = list(fit_problems(parts["task"], parts["model"])) if {"task", "model"} <= parts.keys() else []
    yield from unfit
    if {"task", "model", "criterion", "pattern", _BESIDE} <= parts.keys() and parts[_BESIDE].sparsity > 0 and not unfit:
        fitting = parts["task"], parts["model"], parts["criterion"], parts["pattern"], parts[_BESIDE].sparsity
        yield from shape_problems(*fitting, parted=_parted(parts) if training else 1)
    if {"task", "model", "regularization"} <= parts.keys() and not unfit:
        yield from teacher_problems(parts["task"], parts["model"], parts["regularization"])
    if {"trainer", "criterion", "regularization"} <= parts.keys():
        yield from compile_problems(parts["trainer"], parts["criterion"], parts["regularization"])
    if training and {"trainer", "launcher", "criterion", _BESIDE} <= parts.keys():
        pruned_by = parts["criterion"] if parts[_BESIDE].sparsity > 0 else None
        yield from process_problems(parts["trainer"], parts["launcher"], pruned_by)
    if training and {"task", "model", "data", "regularization"} <= parts.keys():
        yield from extra_problems(parts["task"], parts["model"], parts["data"], parts["regularization"])
    if ask_source and {"task", "data"} <= parts.keys():
        yield from parts["data"].missing(parts["task"], training=training)
    if ask_source and "model" in parts and not unfit:
        yield from missing_problems(parts["model"])


def _parted(parts: Mapping[str, Any]) -> int:
    """Among how many processes the weights are parted."""
    there = {"trainer", "launcher"} <= parts.keys()
    return process_count(parts["launcher"]) if there and parts["trainer"].sharding == "full" else 1


def _plain(part: Any, node: Mapping[str, Any]) -> dict[str, Any]:
    """A built part as plain values that build it again."""
    target = {TARGET: node[TARGET]} if TARGET in node else {}
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(part).items()}
    return {**target, **fields}
