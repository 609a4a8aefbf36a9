"""Processes of one machine that know each other, as torchrun starts them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.multiprocessing.spawn import start_processes

multiprocessing.set_forkserver_preload(
    [
        *(
            "torch.distributed.fsdp",
            "datasets",
            "datasets.packaged_modules.json.json",
            "sklearn.metrics",
            "scipy.stats",
            "pytest",
        ),
        *("transformers.models.bert.modeling_bert", "transformers.models.gpt2.modeling_gpt2", "matplotlib.pyplot"),
        *("prune_cli.run.run", "prune_cli.config.compose", "tests.whole_runs"),
    ]
)
"""Imported once, and not by every process."""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def spawned(work: Callable[[int, int], None], count: int, *, begin: bool = True) -> None:
    """Call a function of a module in so many processes, with its rank and their number; raise what one of them raises.

    Args:
        begin: Let them know each other; else they find out by the environment.
    """
    start_processes(_process, (work, count, free_port(), begin), nprocs=count, start_method="forkserver")


def _process(rank: int, work: Callable[[int, int], None], count: int, port: int, begin: bool) -> None:
    torch.set_num_threads(1)
    ours = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {**ours, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if not begin:
        work(rank, count)
        return
    dist.init_process_group("gloo")
    work(rank, count)
    dist.barrier()
    dist.destroy_process_group()
