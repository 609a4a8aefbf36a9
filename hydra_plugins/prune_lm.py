"""The sweepers of `prune run -m`, where Hydra looks for plugins: it takes them from no other package.

Hydra imports this file in every command that composes a configuration, so nothing heavy is imported before a sweep begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@final
class GridSweeper(Sweeper):
    """Every combination of the swept values, each of them done once (`prune_cli.cli.grid`)."""

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

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs that are not done yet.

        Args:
            arguments: Overrides of the command line, which go before `params`.
        """
        from prune_cli.cli.grid import run_grid

        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        return run_grid([*self.params, *arguments], self.hydra_context.config_loader, self.config, self.launcher)
