"""The runs of a study: planned from all of its sweeps, made where no result of theirs is kept, and kept as each ends."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from rich import box
from rich.table import Table

from prune_cli.artifacts.result import Result
from prune_cli.comparison.study import Study, study
from prune_cli.config.identity import identity
from prune_cli.config.suggest import did_you_mean
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.report.numbers import counted
from prune_cli.sweeps.grid import Jobs, combinations
from prune_cli.sweeps.jobs import Job

_SETTING = ("task", "model")
"""Runs of one task and model are made before those of the next."""
_SEED = "seed"
_IN_HYDRA = re.compile(r"@(\w+)@")
"""A name of a sweep, since Hydra takes braces for a mapping."""


@dataclass(frozen=True)
class Planned:
    """A run that a study asks for.

    Attributes:
        sweep: Name of the sweep that it is of.
        overrides: Of one value each; `{NAME}` in one stands for the run folder of another.
    """

    sweep: str
    overrides: tuple[str, ...]

    @cached_property
    def values(self) -> Mapping[str, str]:
        """What is overridden, by key; a number is written in one way."""
        return {key: _written(value) for key, _, value in (override.partition("=") for override in self.overrides)}

    @property
    def group(self) -> tuple[str, ...]:
        """What it has in common with the runs that differ in the seed alone."""
        return (self.sweep, *(text for text in self.overrides if not text.startswith(f"{_SEED}=")))


def names_in(sweeps: Iterable[str]) -> re.Pattern[str]:
    """What finds the names of sweeps, each in braces, in an override."""
    return re.compile("{(" + "|".join(map(re.escape, sweeps)) + ")}")


class Plan:
    """All runs of a study, in the order in which they are made.

    Those of one task and model go together, and in them those that differ in the seed alone, so that a stop leaves whole
    groups; the sweeps follow one another as they stand in study.yaml.
    """

    def __init__(
        self, sweeps: Mapping[str, Sequence[str]], given: Sequence[str] = (), config_loader: ConfigLoader | None = None
    ) -> None:
        """Write out the sweeps.

        Args:
            given: Overrides for all, after their own.
        """
        self._names = names_in(sweeps)
        listed = [
            Planned(name, tuple(_IN_HYDRA.sub(r"{\1}", text) for text in each))
            for name, overrides in sweeps.items()
            for each in combinations([*(self._names.sub(r"@\1@", text) for text in overrides), *given], config_loader)
        ]
        settings = _positions(tuple(run.values.get(key) for key in _SETTING) for run in listed)
        groups = _positions(run.group for run in listed)
        self.runs = sorted(
            listed,
            key=lambda run: (settings[tuple(run.values.get(key) for key in _SETTING)], groups[run.group]),
        )
        self._of: dict[str, list[Planned]] = {name: [run for run in self.runs if run.sweep == name] for name in sweeps}

    def part(self, sweeps: Sequence[str], where: Sequence[str]) -> list[Planned]:
        """Some of the runs.

        Args:
            sweeps: Their names; all where there are none.
            where: `KEY=VALUE` or `KEY=VALUE,VALUE` each, of which all have to hold.

        Raises:
            UserError: If there is no such sweep, or no sweep has such a key.
        """
        keys = {key for run in self.runs for key in run.values}
        problems = [
            f"there is no sweep {name}{did_you_mean(name, self._of)} (one of {', '.join(self._of)})"
            for name in sweeps
            if name not in self._of
        ]
        wanted: list[tuple[str, list[str]]] = []
        for text in where:
            key, _, values = text.partition("=")
            wanted.append((key, [_written(value) for value in values.split(",")]))
            if key not in keys:
                listed_keys = ", ".join(sorted(keys))
                problems.append(f"--where {text}: no sweep gives {key}{did_you_mean(key, keys)} (they give {listed_keys})")
        if problems:
            raise UserError(*problems)
        part = [
            run
            for run in self.runs
            if (not sweeps or run.sweep in sweeps) and all(run.values.get(key) in values for key, values in wanted)
        ]
        if not part:
            raise UserError(f"no run of the study is asked for by {' '.join([*sweeps, *where])}")
        return part

    def needed(self, run: Planned) -> dict[str, Planned]:
        """The runs whose folders a run is given, by the names of their sweeps.

        Raises:
            UserError: If a name does not stand for one run.
        """
        return {name: self._agreeing(run, name) for text in run.overrides for name in self._names.findall(text)}

    def filled(self, run: Planned, folders: Mapping[str, Path]) -> list[str]:
        """The overrides of a run, with folders in the place of names."""
        return [self._names.sub(lambda name: str(folders[name[1]]), text) for text in run.overrides]

    def _agreeing(self, run: Planned, name: str) -> Planned:
        """The run of a sweep that has the same values as another of all that differs within the sweep."""
        candidates = self._of[name]
        differing = {key for key in candidates[0].values if len({each.values[key] for each in candidates}) > 1}
        teachers = [each for each in candidates if all(each.values[key] == run.values.get(key) for key in differing)]
        if len(teachers) != 1:
            alike = f" of the same {', '.join(sorted(differing))}" if differing else ""
            raise UserError(
                f"sweeps.{run.sweep}: {{{name}}} stands for the one run of {name}{alike}, and there are {len(teachers)}"
            )
        return teachers[0]


def run_study(
    overrides: Sequence[str],
    config_loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    *,
    folder: str,
    sweeps: Sequence[str],
    where: Sequence[str],
) -> list[Job]:
    """Make the runs of a study of which no result is here, and keep the results.

    Returns:
        The jobs that were launched, as they ended.

    Raises:
        UserError: If the part that is asked for does not exist.
    """
    what = study(folder, [])
    plan = Plan(what.sweeps, overrides, config_loader)
    asked = plan.part(sweeps, where)
    with tempfile.TemporaryDirectory() as nowhere:
        anew = set(asked) if config.overwrite else set()
        runs = _Runs(Jobs(config_loader, config, launcher), what, plan, Path(nowhere), anew)
        screen = printer(stderr=True)
        with screen.status(f"which of {counted(len(asked), 'run')} are here?"):
            left = runs.left(asked)
        screen.print(_overview(asked, left, runs))
        runs.make(left)
        _tell_the_end(what, asked, runs, whole=not sweeps and not where)
    return runs.jobs.all


def stand_in(folder: Path) -> None:
    """Make a folder pass for that of a run which has not ended: its model is there, and nobody can tell what it is."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "that of another run"}', encoding="utf-8")
    (folder / "model" / "model.safetensors").touch()


class _Runs:
    """What is known of the runs of a study: which are kept, which lie here, and which are left."""

    def __init__(self, jobs: Jobs, what: Study, plan: Plan, nowhere: Path, anew: Set[Planned]) -> None:
        """Look at the results that are kept.

        Args:
            jobs: Carries out what is left.
            nowhere: A folder that passes for the model of a run that is not here.
            anew: Runs that are made once more, finished or not.
        """
        stand_in(nowhere)
        self.jobs = jobs
        self.known: set[str] = set()
        """Identities of runs that the study asks for."""
        self._what, self._plan, self._nowhere, self._anew = what, plan, nowhere, anew
        self._results = what.kept()
        self._ids: dict[Planned, set[str]] = {}
        self._here: dict[Planned, Path] = {}
        self._seen: dict[Planned, bool] = {}

    def left(self, asked: Iterable[Planned]) -> list[Planned]:
        """The runs that are to be made, each group behind those whose folders it needs."""
        left: dict[Planned, None] = {}
        for _, group in itertools.groupby(asked, lambda run: run.group):
            lacking = [run for run in group if not self.kept(run)]
            needed = [each for run in lacking for each in self._plan.needed(run).values()]
            left |= dict.fromkeys([*(each for each in needed if not self._lies_here(each)), *lacking])
        return list(left)

    def kept(self, run: Planned) -> bool:
        """Whether a result of a run is kept; that of one which has finished here is kept now."""
        if run not in self._seen:
            self._look(run)
        return self._seen[run]

    def make(self, left: Sequence[Planned]) -> None:
        """Launch runs, as many together as need no folder of one another."""
        left = [*left]
        while left:
            together = [*self._ready(left)]
            if not together:
                printer(stderr=True).print(f"not begun: {' '.join(left[0].overrides)}, which needs a run that failed")
                left = left[1:]
                continue
            new = self.jobs.add([self._filled(run) for run in together])
            self.jobs.carry_out()
            ended = {job.number: job for job in self.jobs.all}
            for run, job in zip(together, new, strict=True):
                if ended[job.number].result:
                    self._here[run] = Path(ended[job.number].folder)
                    self._keep(run)
            left = left[len(together) :]

    def _ready(self, left: Sequence[Planned]) -> Iterator[Planned]:
        """Those at the beginning of which nothing that they need is still to be made."""
        for run in left:
            if not all(self._lies_here(each) for each in self._plan.needed(run).values()):
                return
            yield run

    def _lies_here(self, run: Planned) -> bool:
        self.kept(run)
        return run in self._here

    def _look(self, run: Planned) -> None:
        """Find out what a run is, whether it has finished here, and whether its result is kept."""
        self._seen[run], self._ids[run] = False, set()
        needed = self._plan.needed(run).values()
        all_here = {self._lies_here(each) for each in needed} <= {True}
        try:
            config, run_contents, run_folder = self.jobs.identified(self._filled(run))
        except UserError:  # told as a job that failed
            return
        # A run of whose teacher only the result is kept has as many identities as models were made of that teacher
        taught = {result.teacher for each in needed for result in self._taught_by(each)}
        ids = {identity(config, replace(run_contents, teacher=teacher)) for teacher in taught}
        if all_here:
            ids.add(identity(config, run_contents))
        self._ids[run] = ids
        self.known |= ids
        if run in self._anew:
            return
        self._seen[run] = not ids.isdisjoint(self._results)
        if all_here and self.jobs.finished_in(run_folder, identity(config, run_contents)) is not None:
            self._here[run] = run_folder
            self._keep(run)

    def _taught_by(self, run: Planned) -> Iterator[Result]:
        """Kept results of runs whose teacher is what another run has made, wherever."""
        return (result for result in self._results.values() if result.teacher_run in self._ids[run])

    def _keep(self, run: Planned) -> None:
        self.known.add(self._what.keep(self._here[run], anew=run in self._anew))
        self._seen[run] = True

    def _filled(self, run: Planned) -> list[str]:
        """The overrides of a run; one that others need, and nobody has asked for, is not made once more."""
        folders = {name: self._here.get(each, self._nowhere) for name, each in self._plan.needed(run).items()}
        kept = ["overwrite=false"] if self._anew and run not in self._anew else []
        return [*self._plan.filled(run, folders), *kept]


def _overview(asked: Sequence[Planned], left: Sequence[Planned], runs: _Runs) -> Table:
    """How many results of each sweep are kept and how many runs are to be made, a line each, then of all."""
    table = Table("sweep", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("runs", "kept", "to be made"):
        table.add_column(name, justify="right")
    sweeps = dict.fromkeys(run.sweep for run in [*asked, *left])
    for name, among in {**{sweep: {sweep} for sweep in sweeps}, "all": sweeps.keys()}.items():
        of = [run for run in asked if run.sweep in among]
        kept, to_make = sum(map(runs.kept, of)), sum(run.sweep in among for run in left)
        table.add_row(name, str(len(of)), str(kept), str(to_make), end_section=name == [*sweeps][-1])
    if again := sum(map(runs.kept, left)):
        table.caption = f"{counted(again, 'kept run')} made again: others learn from the models, which are not here"
    return table


def _tell_the_end(what: Study, asked: Sequence[Planned], runs: _Runs, *, whole: bool) -> None:
    """How many results are here now; of a whole study, also those that are of none of its runs."""
    here = sum(runs.kept(run) for run in asked)
    printer().print(f"{what.folder.name}: {here} of {counted(len(asked), 'result')} are here")
    if whole and (others := [path for run_id, path in what.paths().items() if run_id not in runs.known]):
        printer().print(
            f"{counted(len(others), 'result')} in {what.results} are of no run that the study asks for now (other records,"
            f" or an earlier study.yaml), and stand in its tables: {', '.join(path.name for path in others)}",
            soft_wrap=True,
        )


def _written(value: str) -> str:
    """A number as Python writes it, since 1e-4 and 0.0001 are the same; other values as they are."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def _positions(items: Iterable[tuple[str | None, ...]]) -> dict[tuple[str | None, ...], int]:
    """Where each first appears."""
    return {item: number for number, item in enumerate(dict.fromkeys(items))}
