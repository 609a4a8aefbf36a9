"""Finding everything that is wrong with a set of overrides, before anything runs.

Hydra stops at the first thing that it does not understand, and tells of it in its own terms. Here overrides are
composed as Hydra is about to compose them; where that fails they are tried one by one, and each culprit is explained.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from prune_cli.config.compose import Composer, composer, without_hydra
from prune_cli.config.explain import explain_choice, explain_failure, explain_value, is_group
from prune_cli.config.option_files import folders, names
from prune_cli.config.overrides import Setting, one_value_each, parse
from prune_cli.config.run_config import RunConfig, not_chosen
from prune_cli.config.schema import KEYS, MISSING, PARTS
from prune_cli.errors import UserError

_OF_SEVERAL = ("tracking",)
"""Groups of which a run may have several options."""


def diagnose(
    overrides: Sequence[str], config_dir: str | None = None, *, multirun: bool = False, values: bool = True
) -> DictConfig:
    """Refuse overrides that cannot work.

    In a multirun each value of each sweep is checked, beside the first value of the others.

    Args:
        multirun: Whether sweeps are allowed.
        values: Whether to look at values too, beside what Hydra needs to compose.

    Returns:
        The whole configuration of the first run, Hydra's node included.

    Raises:
        UserError: If anything is wrong; it tells all that was found.
    """
    if config_dir is not None and not Path(config_dir).expanduser().is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder")
    with composer(config_dir) as composed:
        cfg, problems = _Diagnosis(composed, folders(config_dir), values).of(overrides, multirun)
    if problems or cfg is None:
        raise UserError(*problems)
    return cfg


class _Diagnosis:
    """The search for culprits, with what it needs at every turn."""

    def __init__(self, composed: Composer, config_folders: Sequence[Path], values: bool) -> None:
        self._composed = composed
        self._folders = config_folders
        self._values = values
        self._asked: set[str] = set()

    def of(self, overrides: Sequence[str], multirun: bool) -> tuple[DictConfig | None, list[str]]:
        """The first run, and all problems, each once, in the order in which they are found."""
        settings, problems = self._read(overrides)
        settings, more_problems = self._one_option_each(settings)
        problems += more_problems
        swept = [setting for setting in settings if setting.swept]
        first, more_problems = self._check(next(one_value_each(settings)))
        problems += more_problems
        if multirun or (first is not None and first.hydra.mode == RunMode.MULTIRUN):
            hydras = [setting for setting in swept if setting.parsed.is_hydra_override()]
            problems += [f"{setting.text}: Hydra's own keys cannot be swept" for setting in hydras]
            more, more_problems = self._sweeps_of_config(first, {setting.key for setting in settings})
            settings += more
            problems += more_problems
            problems += [_not_searched(setting) for setting in settings if _is_interval(setting) and _is_grid(first)]
        else:
            problems += [_needs_multirun(setting) for setting in swept]
        for variant in list(one_value_each(settings))[1:]:
            problems += self._check(variant)[1]
        return first, list(dict.fromkeys(problems))

    def _check(self, overrides: Sequence[str]) -> tuple[DictConfig | None, list[str]]:
        """Compose one run and look at its values; None where it cannot be composed even without the culprits."""
        try:
            cfg, problems = self._composed(overrides), []
        except Exception:  # noqa: BLE001 Hydra raises nearly anything, AssertionError and AttributeError too
            cfg, problems = self._compose_without_culprits([parse(override, self._folders) for override in overrides])
        if cfg is not None and self._values:
            source = " ".join(str(OmegaConf.select(cfg, key)) for key in ("task", "data", "model"))
            keys = {override.partition("=")[0] for override in overrides}
            problems += _problems_of_values(cfg, keys, ask_source=source not in self._asked)
            self._asked.add(source)  # it may be the network that answers: ask once
        return cfg, problems

    def _read(self, overrides: Sequence[str]) -> tuple[list[Setting], list[str]]:
        """Parse what can be parsed."""
        settings: list[Setting] = []
        problems: list[str] = []
        for override in overrides:
            try:
                settings.append(parse(override, self._folders))
            except UserError as error:
                problems += error.problems
        return settings, problems

    def _one_option_each(self, settings: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
        """Take the first of several options of a group that every run has one of, leave none of them out, and tell both."""
        kept: list[Setting] = []
        problems: list[str] = []
        for setting in settings:
            chosen = setting.parsed.value() if setting.key in PARTS and is_group(setting, self._folders) else None
            if setting.parsed.is_delete() and setting.key in KEYS:
                problems.append(f"{setting.text}: every run has {setting.key}, give another in its place")
            elif isinstance(chosen, list) and setting.key not in _OF_SEVERAL:
                asked = ",".join(map(str, chosen))
                problems.append(f"{setting.text} chooses several for one run: give one, or `prune run -m {setting.key}={asked}`")
                kept += [parse(f"{setting.key}={chosen[0]}", self._folders)] if chosen else []
            else:
                kept.append(setting)
        return kept, problems

    def _sweeps_of_config(self, cfg: DictConfig | None, given: set[str]) -> tuple[list[Setting], list[str]]:
        """Sweeps that stand in the configuration, as in an experiment's; the command line goes before them."""
        params = None if cfg is None else OmegaConf.select(cfg, "hydra.sweeper.params")
        settings, problems = self._read([f"{key}={value}" for key, value in (params or {}).items()])
        return [setting for setting in settings if setting.key not in given], problems

    def _compose_without_culprits(self, settings: Sequence[Setting]) -> tuple[DictConfig | None, list[str]]:
        choices = [setting for setting in settings if is_group(setting, self._folders)]
        wrong = {setting.key: problem for setting in choices if (problem := explain_choice(setting, self._folders))}
        good = [setting.text for setting in choices if setting.key not in wrong]
        problems = list(wrong.values())

        base, error = self._try(good)
        lacks_task = base is None and not ({"task"} & {setting.key for setting in choices} - wrong.keys())
        if lacks_task:  # any task will do to try the other overrides
            good.append(f"task={names('task', self._folders)[0]}")
            base, error = self._try(good)
        if base is None:
            return None, [*problems, explain_failure(error)]

        values = [s for s in settings if s not in choices and s.key.partition(".")[0] not in wrong]
        problems += self._sift(values, good, base)
        cfg = self._composed(good)
        if lacks_task:
            OmegaConf.update(cfg, "task", MISSING, force_add=True)
            problems += [] if "task" in wrong else [not_chosen("task")]
        return cfg, problems

    def _sift(self, values: Sequence[Setting], good: list[str], base: DictConfig) -> list[str]:
        """Add to `good` what can be set, one after the other, and tell why the others cannot.

        Hydra's own function sets them on what is composed already: composing anew for each would take most of a second.
        """
        composed, problems = copy.deepcopy(base), []
        OmegaConf.set_readonly(composed.hydra, False)  # as it was before it was composed
        for setting in values:
            try:
                ConfigLoaderImpl._apply_overrides_to_config([setting.parsed], composed)
            except Exception as error:  # noqa: BLE001 as above
                problems.append(explain_value(setting, base, error))
            else:
                good.append(setting.text)
        return problems

    def _try(self, overrides: Sequence[str]) -> tuple[DictConfig | None, Exception]:
        """Compose, or give what Hydra raised."""
        try:
            return self._composed(overrides), Exception()
        except Exception as error:  # noqa: BLE001 as above
            return None, error


def _problems_of_values(cfg: DictConfig, keys: set[str], *, ask_source: bool) -> list[str]:
    """What is wrong with a run that can be composed.

    Args:
        ask_source: See `RunConfig.from_hydra`.
    """
    problems: list[str] = []
    for key, value in (("package", "null"), ("wheels", "{}")):
        if "model.name" in keys and (held := OmegaConf.select(cfg, f"model.{key}")):
            others = held if isinstance(held, str) else ", ".join(map(str, held))
            problems.append(
                f"model.name={cfg.model.name} would not be used, for the chosen model comes from a package:"
                f" add model.{key}={value} ({others} otherwise)"
            )
    try:
        RunConfig.from_hydra(without_hydra(cfg), {}, ask_source=ask_source)
    except UserError as error:  # that a wrong task is no task, is told already
        problems += [problem for problem in error.problems if problem != not_chosen("task") or "task" not in keys]
    return problems


def _is_interval(setting: Setting) -> bool:
    return setting.parsed.is_interval_sweep()


def _is_grid(cfg: DictConfig | None) -> bool:
    return cfg is not None and cfg.hydra.runtime.choices["hydra/sweeper"] in ("grid", "basic")


def _not_searched(setting: Setting) -> str:
    return f"{setting.text} has no end of values: name some, or let Optuna search it with hydra/sweeper=optuna"


def _needs_multirun(setting: Setting) -> str:
    return (
        f"{setting.text} gives several values to one run: did you mean `prune run -m`?"
        " (As one value, write a list as [1,2] and text in two kinds of quotes, '\"a,b\"')"
    )
