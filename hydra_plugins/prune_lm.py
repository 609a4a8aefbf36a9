"""The sweepers of `prune run -m`, where Hydra looks for plugins: it takes them from no other package.

Hydra imports this file in every command that composes a configuration, so nothing heavy is imported before a sweep begins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, final

from hydra.core.config_loader import ConfigLoader
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class _Sweeper(Sweeper):
    """What every sweeper of ours takes from Hydra."""

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        """Take what `hydra.sweeper` says.

        Args:
            params: Values to sweep by key, beside those of the command line.
        """
        self.params = [f"{key}={value}" for key, value in (params or {}).items()]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every sweeper."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def given(self) -> tuple[ConfigLoader, DictConfig, Launcher]:
        """What composes jobs, the configuration of the multirun, and what launches."""
        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        return self.hydra_context.config_loader, self.config, self.launcher

    @abstractmethod
    def sweep(self, arguments: list[str]) -> Any:
        """Run jobs.

        Args:
            arguments: Overrides of the command line, which go before `params`.
        """


@final
class GridSweeper(_Sweeper):
    """Every combination of the swept values, each of them done once (`prune_cli.cli.grid`)."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs that are not done yet."""
        from prune_cli.cli.failures import carrying
        from prune_cli.cli.grid import run_grid

        with carrying():
            return run_grid([*self.params, *arguments], *self.given())


@final
class OptunaSweeper(_Sweeper):
    """A search by Optuna (`prune_cli.cli.search`), whose options are documented in conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, params: Mapping[str, str] | None = None, **options: Any) -> None:
        """Take what `hydra.sweeper` says.

        Args:
            params: What to search by key, beside that of the command line.
            options: The other arguments of `run_search`.
        """
        super().__init__(params)
        self.options = options

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has enough."""
        from prune_cli.cli.failures import carrying
        from prune_cli.cli.search import run_search

        with carrying():
            return run_search([*self.params, *arguments], *self.given(), **self.options)


@final
class FrontierSweeper(_Sweeper):
    """The highest sparsity within a budget (`prune_cli.cli.budget`), whose options are in conf/hydra/sweeper/frontier.yaml."""

    def __init__(self, params: Mapping[str, str] | None = None, **options: Any) -> None:
        """Take what `hydra.sweeper` says.

        Args:
            params: Values by key, beside those of the command line.
            options: The other arguments of `run_frontier`.
        """
        super().__init__(params)
        self.options = options

    def sweep(self, arguments: list[str]) -> Any:
        """Run what tells the answer."""
        from prune_cli.cli.budget import run_frontier
        from prune_cli.cli.failures import carrying

        with carrying():
            return run_frontier([*self.params, *arguments], *self.given(), **self.options)


@final
class StudySweeper(_Sweeper):
    """The runs of a study (`prune_cli.cli.study_runs`), whose options are in conf/hydra/sweeper/study.yaml."""

    def __init__(self, params: Mapping[str, str] | None = None, **options: Any) -> None:
        """Take what `hydra.sweeper` says.

        Args:
            params: Values by key, beside those of the command line.
            options: The other arguments of `run_study`.
        """
        super().__init__(params)
        self.options = options

    def sweep(self, arguments: list[str]) -> Any:
        """Make the runs of which no result is kept."""
        from prune_cli.cli.failures import carrying
        from prune_cli.cli.study_runs import run_study

        with carrying():
            return run_study(*self.given(), given=[*self.params, *arguments], **self.options)
