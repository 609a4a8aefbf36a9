"""What a way takes of memory, seen in a process of its own, where nothing else is loaded."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import psutil
import transformers

from prune_cli.bench.base import Arrays, Candidate, Runtime
from prune_cli.errors import UserError


def peak_memory(runtime: Runtime, candidate: Candidate, inputs: Arrays) -> int:
    """Bytes that a process grows by, at most, while it loads a model and runs a batch; memory of a GPU is not among them.

    Args:
        runtime: What runs it.
        candidate: The model; files that the runtime reads are there already, so that writing them is not in it.
        inputs: The batch.

    Raises:
        UserError: If that process was killed.
    """
    # Forked from a process that has only imported what takes long: one that has run something has threads, which a fork loses
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_grown, runtime, candidate.unloaded(), inputs).result()
    except BrokenProcessPool as error:
        raise UserError(
            "the process that looked at a model's memory was killed, most likely for want of it: --runtime NAME,... loads fewer"
        ) from error


def _grown(runtime: Runtime, candidate: Candidate, inputs: Arrays) -> int:
    transformers.utils.logging.disable_progress_bar()  # it would tear that of the parent
    before = psutil.Process().memory_info().rss
    run, _ = runtime.prepare(candidate)
    run(inputs)
    unit = 1 if sys.platform == "darwin" else 1024
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
