"""The sweepers of `prune run -m`, where Hydra looks for plugins: it takes them from no other package.

Hydra imports this file in every command that composes a configuration, so nothing heavy is imported before a sweep begins.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, final

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class _Sweeper(Sweeper):
    """What every sweeper of ours has in common: it hands what Hydra gave it to a function of ours.

    Attributes:
        function: Module and name of that function. It takes the overrides, what composes jobs, the configuration of the
            multirun, what launches, and the options that conf/hydra/sweeper documents.
    """

    function: ClassVar[str]

    def __init__(self, params: Mapping[str, str] | None = None, **options: Any) -> None:
        """Take what `hydra.sweeper` says.

        Args:
            params: Values to sweep by key, beside those of the command line.
            options: The other arguments of the function.
        """
        self.params = [f"{key}={value}" for key, value in (params or {}).items()]
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every sweeper."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run jobs.

        Args:
            arguments: Overrides of the command line, which go before `params`.
        """
        from prune_cli.console.failures import carrying

        assert self.hydra_context is not None and self.launcher is not None
        module, name = self.function.split(":")
        run = getattr(importlib.import_module(module), name)
        with carrying():
            overrides = [*self.params, *arguments]
            return run(overrides, self.hydra_context.config_loader, self.config, self.launcher, **self.options)


@final
class GridSweeper(_Sweeper):
    """Every combination of the swept values, each of them done once."""

    function = "prune_cli.sweeps.grid:run_grid"


@final
class OptunaSweeper(_Sweeper):
    """A search by Optuna."""

    function = "prune_cli.sweeps.search:run_search"


@final
class FrontierSweeper(_Sweeper):
    """The highest sparsity within a budget."""

    function = "prune_cli.sweeps.frontier:run_frontier"


@final
class StudySweeper(_Sweeper):
    """The runs of a study of which no result is kept."""

    function = "prune_cli.sweeps.study_runs:run_study"
