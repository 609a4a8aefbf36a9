"""Which of a run's processes this is, as whoever has started them says in the environment.

`prune run launcher.processes=N` and accelerate say it as torchrun does, srun in variables of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """This process among those that were started together.

    Attributes:
        rank: Its number among all, from 0.
        count: How many they are, > 0.
        local: Its number among those of this machine.
    """

    rank: int
    count: int
    local: int


def started() -> Started | None:
    """Which process this is; None for one that was started alone."""
    given = os.environ
    if "MASTER_ADDR" in given and {"RANK", "WORLD_SIZE"} <= given.keys():
        return Started(int(given["RANK"]), int(given["WORLD_SIZE"]), int(given.get("LOCAL_RANK", 0)))
    if int(given.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in given:  # of a job step: srun has started it
        return Started(int(given["SLURM_PROCID"]), int(given["SLURM_STEP_NUM_TASKS"]), int(given.get("SLURM_LOCALID", 0)))
    return None


def rank() -> int:
    """The number of this process, from 0; the first one tells what they have in common."""
    here = started()
    return 0 if here is None else here.rank
