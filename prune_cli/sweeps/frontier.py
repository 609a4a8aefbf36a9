"""`prune frontier`: as few runs as tell how sparse a model can be within a budget."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, ListConfig
from pydantic import TypeAdapter
from rich import box
from rich.table import Table
from rich.text import Text

from prune_cli.comparison.budget import Answer, Point, next_position
from prune_cli.config.option_files import GROUPS
from prune_cli.config.schema import GENERAL
from prune_cli.config.suggest import did_you_mean
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.report.names import metric_label
from prune_cli.report.numbers import percent
from prune_cli.sweeps.grid import Jobs, combinations
from prune_cli.sweeps.jobs import Job
from prune_cli.sweeps.launch import launch_many

ANSWER = "frontier.json"
OPTIONS = ("max_drop", "grid")
"""Words of `prune frontier` that are options of its sweeper."""
_SPARSITY, _SEED = "sparsity", "seed"
_KEYS = {*OPTIONS, *GROUPS, *GENERAL}


def run_frontier(
    overrides: Sequence[str],
    config_loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    *,
    max_drop: float,
    grid: Sequence[float],
) -> list[Job]:
    """Halve the grid until the highest sparsity within the budget is found; what has finished before is not run again.

    Args:
        overrides: One configuration, with several seeds where they are wanted.
        launcher: Runs jobs, those of several seeds at once where it can.

    Returns:
        All jobs, as they ended.

    Raises:
        UserError: If an option or an override cannot work.
    """
    sparsities = _checked(max_drop, grid)
    given = combinations([text for text in overrides if _key(text) != _SPARSITY], config_loader)
    _check_seeds_alone(given)
    jobs = Jobs(config_loader, config, launcher)

    def at(sparsity: float) -> list[list[str]]:
        return [[*each, f"{_SPARSITY}={sparsity!r}"] for each in given]

    # What has finished before costs nothing, and narrows the search down.
    measured = [sparsity for sparsity in sparsities if all(jobs.finished(each) is not None for each in at(sparsity))]
    jobs.add([each for sparsity in (0.0, *measured) for each in at(sparsity)])
    jobs.carry_out()
    while _whole(jobs.all):  # a failed or interrupted run leaves the question open
        answer = answer_of(jobs.all, max_drop, sparsities)
        position = next_position(answer.near, len(sparsities))
        if position is None:
            best = None if answer.best is None else answer.best.sparsity
            values = {**asdict(answer), "answer": best, "said": answer.in_words()}
            write_text(jobs.folder / ANSWER, json.dumps(values, indent=2) + "\n")
            break
        printer(stderr=True).print(_so_far(answer, sparsities[position]))
        jobs.add(at(sparsities[position]))
        jobs.carry_out()
    return jobs.all


def answer_of(jobs: Iterable[Job], max_drop: float, grid: Sequence[float]) -> Answer:
    """What the jobs so far tell.

    Args:
        jobs: Of a search, done, the dense ones among them.
    """
    metrics: dict[float, dict[int, float]] = {}
    shares: dict[float, list[float]] = {}
    label = ""
    alike: set[float] = set()
    for job in jobs:
        sparsity = float(_value(job.overrides, _SPARSITY))
        metrics.setdefault(sparsity, {})[job.result["seed"]] = job.result["metric"]
        if "arithmetic" in job.result:
            shares.setdefault(sparsity, []).append(job.result["arithmetic"])
        label = metric_label(job.result["primary_metric"])
        if job.result.get("only_prediction") is not None:
            alike.add(sparsity)
    dense = metrics.pop(0.0)
    points = [
        Point(
            sparsity,
            {seed: dense[seed] - metric for seed, metric in of_seed.items()},
            statistics.fmean(shares[sparsity]) if sparsity in shares else None,
        )
        for sparsity, of_seed in sorted(metrics.items())
    ]
    return Answer(max_drop=max_drop, metric=label, grid=grid, points=points, alike=sorted(alike))


def find(overrides: Sequence[str], config_dir: str | None) -> int:
    """Search, then print the evidence and the answer.

    Args:
        overrides: Of the run, with max_drop=... and grid=[...] among them.

    Returns:
        The exit code.

    Raises:
        UserError: If an override cannot work.
    """
    if chosen := [text for text in overrides if _key(text) == _SPARSITY]:
        raise UserError(f"{chosen[0]}: prune frontier chooses sparsities itself; grid=[0.8,0.9] says which can be the answer")
    for text in overrides:
        if _key(text) not in _KEYS and (meant := did_you_mean(_key(text), OPTIONS)):
            raise UserError(f"{_key(text)} is not known{meant}")
    words = [f"hydra.sweeper.{text}" if _key(text) in OPTIONS else text for text in overrides]
    launched = launch_many(["hydra/sweeper=frontier", *words], config_dir)
    file = launched.folder / ANSWER
    if launched.code or not file.is_file():
        return launched.code
    answer = TypeAdapter(Answer).validate_json(file.read_bytes())
    printer().print(evidence(answer), *answer.in_words(), sep="\n")
    return 0


def evidence(answer: Answer) -> Table:
    """A line a sparsity that was tried; % arith is the share of the matrices' arithmetic that `prune export` leaves."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("% removed", "% arith", "costs", "95% confidence", "seeds", f"within {answer.max_drop:g}"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in answer.points:
        low_high = "-" if point.interval is None else "{:.4f} to {:.4f}".format(*point.interval)
        verdict = Text("yes", style="green") if point.drop <= answer.max_drop else Text("no")
        left = "-" if point.arithmetic is None else percent(point.arithmetic)
        table.add_row(percent(point.sparsity), left, f"{point.drop:+.4f}", low_high, str(len(point.drops)), verdict)
    return table


def _checked(max_drop: Any, grid: Any) -> list[float]:
    """The grid, rising."""
    if not isinstance(max_drop, int | float) or isinstance(max_drop, bool) or not 0 <= max_drop < math.inf:
        raise UserError(f"max_drop is {max_drop}: give what the metric may cost, from 0 on; 0.01 is a point")
    values = [*grid] if isinstance(grid, ListConfig | list | tuple) else []
    if not values or not all(isinstance(each, int | float) and 0 < each <= 1 for each in values):
        raise UserError(f"grid is {grid}: give sparsities above 0 and up to 1, such as grid=[0.8,0.9,0.95]")
    return sorted({float(each) for each in values})


def _check_seeds_alone(given: Sequence[Sequence[str]]) -> None:
    """Several seeds make one answer surer; several of anything else would be several answers."""
    swept = {_key(text) for each in given for text in each if any(text not in other for other in given)} - {_SEED}
    if swept:
        raise UserError(f"prune frontier answers for one configuration, and {', '.join(sorted(swept))} has several values")


def _whole(jobs: Sequence[Job]) -> bool:
    return all(job.result for job in jobs)


def _so_far(answer: Answer, following: float) -> str:
    points = [f"{percent(point.sparsity)}% costs {point.drop:.4f}" for point in answer.points]
    return f"{'; '.join(points) or 'dense is known'}: next {percent(following)}%"


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _value(overrides: Sequence[str], key: str) -> str:
    return next(text.partition("=")[2] for text in reversed(overrides) if _key(text) == key)
