"""Jobs on Ray, where Hydra looks for plugins.

hydra-ray-launcher 1.2.2 works with Ray 2.60, but asks for a cloudpickle below 3, and scikit-learn's joblib for a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from prune_cli.errors import UserError


@final
class RayLauncher(Launcher):
    """Runs every job as a Ray task; as many at a time as the cluster has room for."""

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any]) -> None:
        """Take what `hydra.launcher` says.

        Args:
            init: Arguments of `ray.init`.
            remote: Arguments of `ray.remote`, what a job needs.
        """
        self.init = OmegaConf.to_container(OmegaConf.create(dict(init)), resolve=True)
        self.remote = OmegaConf.to_container(OmegaConf.create(dict(remote)), resolve=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, all of them to their ends.

        Args:
            job_overrides: Of each job.
            initial_job_idx: Number of the first.

        Raises:
            RayError: That of the first job whose process died, once all have ended.
            UserError: If Ray is not installed.
        """
        try:
            import ray  # pyright: ignore[reportMissingImports]
            from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise UserError("hydra/launcher=ray needs Ray: pip install 'prune-lm[ray]'") from error

        if not ray.is_initialized():
            ray.init(**{"log_to_driver": False, "include_dashboard": False, **self.init})  # pyright: ignore
        task = ray.remote(**self.remote, max_retries=0)(_job)  # pyright: ignore
        state = Singleton.get_state()
        given = (self.hydra_context, self.task_function, self.config, state)
        running = [task.remote(*given, overrides, initial_job_idx + n) for n, overrides in enumerate(job_overrides)]
        returns: list[JobReturn] = []
        died: list[RayError] = []
        for job in running:
            try:
                returns.append(ray.get(job))
            except RayError as error:
                died.append(error)
        if died:
            raise died[0]
        return returns


def _job(
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    state: Any,
    overrides: Sequence[str],
    number: int,
) -> JobReturn:
    """One job, in a process of Ray's."""
    setup_globals()
    Singleton.set_state(state)
    job_config = hydra_context.config_loader.load_sweep_config(config, [*overrides])
    with open_dict(job_config):
        job_config.hydra.job.id = job_config.hydra.job.num = number
    HydraConfig.instance().set_config(job_config)
    return run_job(
        hydra_context=hydra_context,
        config=job_config,
        task_function=task_function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
