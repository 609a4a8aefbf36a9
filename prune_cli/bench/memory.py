"""What a way takes of memory, seen in a process of its own, where nothing else is loaded."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection

import psutil
import transformers

from prune_cli.bench.base import Arrays, Candidate, Runtime
from prune_cli.errors import UserError


def peak_memory(runtime: Runtime, candidate: Candidate, inputs: Arrays) -> int:
    """Bytes that a process grows by, at most, while it loads a model and runs a batch; memory of a GPU is not among them.

    Args:
        candidate: The model; files that the runtime reads are there already, so that writing them is not in it.
        inputs: The batch.

    Raises:
        UserError: If that process was killed.
    """
    # Forked from a process that has only imported what takes long: one that has run something has threads, which a fork loses
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with _deaf_to_interrupts():
        forkserver.ensure_running()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(sender, runtime, candidate.unloaded(), inputs))
    process.start()
    sender.close()
    try:
        received = receiver.recv()
    except EOFError as error:
        raise UserError(
            "the process that looked at a model's memory was killed, most likely for want of it: --runtime NAME,... loads fewer"
        ) from error
    finally:
        process.kill()
        process.join()
    if isinstance(received, Exception):
        raise received
    return received


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, as what is started within then does for good: it prints no traceback of its own, and ends with us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(sender: Connection, runtime: Runtime, candidate: Candidate, inputs: Arrays) -> None:
    try:
        outcome: int | Exception = _grown(runtime, candidate, inputs)
    except Exception as error:  # noqa: BLE001, whatever it is, it is raised where it is waited for
        outcome = error
    with suppress(BrokenPipeError):  # nobody waits for it any more
        sender.send(outcome)


def _grown(runtime: Runtime, candidate: Candidate, inputs: Arrays) -> int:
    transformers.utils.logging.disable_progress_bar()  # it would tear that of the parent
    before = psutil.Process().memory_info().rss
    run, _ = runtime.prepare(candidate)
    run(inputs)
    unit = 1 if sys.platform == "darwin" else 1024
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
