"""A search for good numbers by Optuna, whose study outlives its processes and is shared by several.

A trial is a job as any other, so its run is resumed, shared and skipped as those of a grid are. What the study knows beside
Optuna's own: the multirun that asked for a trial, by whose lock others see whether it is still at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from rich import box
from rich.table import Table
from rich.text import Text

from prune_cli.config.option_files import GROUPS
from prune_cli.config.schema import ELSEWHERE
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.redaction import redact
from prune_cli.runtime.folders import first_line
from prune_cli.sweeps.grid import Jobs
from prune_cli.sweeps.jobs import Job, Sweep

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

OBJECTIVES = ("metric", "sparsity")
"""What a search may make large: the primary metric, the measured sparsity, or both at once."""
_SWEEP = "sweep"
"""Keys that change where a result is come by, but no result: another of these is the same search."""


def run_search(
    overrides: Sequence[str],
    config_loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    *,
    trials: int,
    at_once: int,
    objectives: Sequence[str],
    study: str | None,
    storage: str,
    seed: int | None,
) -> list[Job]:
    """Search until the study has enough trials, those of earlier launches and of other processes among them.

    Args:
        overrides: Intervals, ranges and choices among them; of two with the same key the later counts.
        launcher: Runs jobs, in this process or elsewhere.
        study: Name of the study; None for one made from what is searched, so that the same command goes on with it.
        storage: URL of Optuna's storage.
        seed: Of the sampler; None for another one at every launch, which several processes need.

    Returns:
        The jobs of this process, as they ended.

    Raises:
        UserError: If Optuna is not installed, or the options cannot work.
    """
    try:
        import optuna
        from optuna.exceptions import StorageInternalError
        from optuna.study import StudyDirection
    except ImportError as error:
        raise UserError("hydra/sweeper=optuna needs Optuna: pip install 'prune-lm[optuna]'") from error
    _check(trials, at_once, objectives)
    space, fixed = searched(overrides, config_loader)
    if not space:
        raise UserError(
            "hydra/sweeper=optuna has nothing to search: give an interval, such as"
            " 'trainer.learning_rate=tag(log,interval(1e-5,1e-3))'"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage.startswith("sqlite:///"):
        Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        shared = optuna.create_study(
            study_name=study or study_name(space, fixed, objectives),
            storage=storage,
            directions=[StudyDirection.MAXIMIZE] * len(objectives),
            load_if_exists=True,
        )
    except Exception as error:
        of_storage = isinstance(error, ImportError | StorageInternalError) or type(error).__module__.startswith("sqlalchemy")
        if not of_storage:
            raise
        raise UserError(
            f"hydra.sweeper.storage={storage} cannot be used: {first_line(error)}. Install its driver, or give a file as in"
            " sqlite:///runs/search.db"
        ) from error
    shared.sampler = optuna.samplers.TPESampler(seed=None if seed is None else seed + len(shared.trials))
    jobs = Jobs(config_loader, config, launcher)
    printer(stderr=True).print(
        f"study {shared.study_name} in {redact(storage)}: {len(shared.trials)} of {trials} trials so far",
        soft_wrap=True,
    )
    while asked := _ask(shared, space, trials, at_once, jobs.folder):
        new = jobs.add([[*fixed.values(), *_as_overrides(trial.params)] for trial in asked])
        jobs.carry_out()
        ended = {job.number: job for job in jobs.all}
        for trial, job in zip(asked, new, strict=True):
            _tell(shared, trial, ended[job.number], objectives)
    printer().print(best_table(shared, objectives))
    return jobs.all


def searched(
    overrides: Sequence[str], config_loader: ConfigLoader | None = None
) -> tuple[dict[str, BaseDistribution], dict[str, str]]:
    """Tell what is searched from what is fixed.

    Args:
        overrides: Of two with the same key the later counts.

    Returns:
        Optuna's distributions by key, and the other overrides by key.
    """
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create(config_loader=config_loader).parse_overrides([*overrides]):
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = _distribution(override)
        else:
            fixed[key] = override.input_line or ""
    return space, fixed


def study_name(space: Mapping[str, BaseDistribution], fixed: Mapping[str, str], objectives: Sequence[str]) -> str:
    """A name that is the same whenever the same is searched."""
    counted = sorted(text for key, text in fixed.items() if key.partition(".")[0] not in ELSEWHERE)
    searched_for = "\n".join([*counted, *sorted(f"{key}:{value!r}" for key, value in space.items()), *objectives])
    chosen = [text.partition("=")[2] for key, text in fixed.items() if key in ("task", "model") and key in GROUPS]
    return "-".join([*chosen, hashlib.sha256(searched_for.encode()).hexdigest()[:8]])


def best_table(study: Study, objectives: Sequence[str]) -> Table:
    """The best trial; with several objectives all of which none is better in every one."""
    from optuna.trial import TrialState

    complete = bool(study.get_trials(states=[TrialState.COMPLETE]))
    best = [] if not complete else [study.best_trial] if len(objectives) == 1 else study.best_trials
    table = Table("best", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in objectives:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("with", overflow="fold")
    for trial in best:
        parameters = " ".join(_as_overrides(trial.params))
        table.add_row(f"trial {trial.number}", *(f"{value:.4f}" for value in trial.values), Text(parameters))
    return table


def _check(trials: Any, at_once: Any, objectives: Sequence[str]) -> None:
    problems = [
        f"hydra.sweeper.{name} is {value}: give a whole number from 1 on"
        for name, value in (("trials", trials), ("at_once", at_once))
        if not isinstance(value, int) or value < 1
    ]
    if not objectives or set(objectives) - set(OBJECTIVES):
        problems.append(f"hydra.sweeper.objectives is {list(objectives)}: give {' or '.join(OBJECTIVES)}, or both")
    if problems:
        raise UserError(*problems)


def _distribution(override: Override) -> BaseDistribution:
    """What Optuna calls a sweep."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    swept = override.value()
    if isinstance(swept, ChoiceSweep):
        return CategoricalDistribution([*override.sweep_string_iterator()])
    if isinstance(swept, IntervalSweep):
        assert swept.start is not None and swept.end is not None
        kind = IntDistribution if isinstance(swept.start, int) and isinstance(swept.end, int) else FloatDistribution
        return kind(swept.start, swept.end, log="log" in swept.tags)  # pyright: ignore  # whole numbers where both are
    assert isinstance(swept, RangeSweep) and swept.start is not None and swept.stop is not None
    values = [*swept.range()]
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=int(swept.step))
    return CategoricalDistribution([str(value) for value in values])


def _ask(study: Study, space: Mapping[str, BaseDistribution], trials: int, at_once: int, folder: Path) -> list[FrozenTrial]:
    """The next trials: those that a dead process left behind, then new ones; none where there are enough."""
    from optuna.trial import TrialState

    asked = [
        trial
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        if not Sweep(Path(trial.user_attrs.get(_SWEEP, ""))).busy() and trial.params.keys() == space.keys()
    ][:at_once]
    while len(asked) < at_once and len(study.get_trials(deepcopy=False)) < trials:
        new = study.ask(dict(space))
        new.set_user_attr(_SWEEP, str(folder.absolute()))
        asked.append(study.get_trials(deepcopy=False)[new.number])
    return asked


def _tell(study: Study, trial: FrozenTrial, job: Job, objectives: Sequence[str]) -> None:
    """Hand a trial's end to the study; one whose job did not end is left for the next launch."""
    from optuna.trial import TrialState

    if job.result:
        study.tell(trial.number, [job.result[name] for name in objectives], skip_if_finished=True)
    elif job.status == "failed":
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _as_overrides(params: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]
