"""The processes of one run on this machine: started as torchrun starts them, watched, and ended together.

A supervisor of our own, and not torchrun's: it ends with the exit code and the message of the first process that fails, hands
every signal on, and lets a run that is asked to stop take as long as its checkpoint needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.identity import identity, run_name
from prune_cli.console.failures import PROGRAM
from prune_cli.console.handing import HAND_OVER
from prune_cli.errors import Failed, Held, Stopped
from prune_cli.run.run import Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from prune_cli.config.run_config import RunConfig

_AGAIN = "The same command goes on from the last checkpoint."
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
_REQUEUE = "SIGUSR2"
"""What submitit sends before a time limit, and handles: the processes stop first, then the signal is its own."""
_LOOK = 0.1  # seconds between two looks at the processes
_TO_END = 10.0  # seconds that a process has to end once another has failed
_TO_STOP = 60.0  # the same once another has stopped as it was asked to: trackers may take half a minute


def run_in_processes(config: RunConfig, command: Sequence[str], console: Console) -> Outcome:
    """Run in as many processes as the configuration asks for.

    Args:
        command: What begins the same run in each of them.

    Raises:
        Failed: If one fails: what it said, and its exit code.
        Held: If others are at the very same run.
        Stopped: If they were asked to stop.
    """
    run_id = identity(config)
    folder = RunFolder(config.output_dir / run_name(config, run_id))
    folder.check()
    skipped = not config.overwrite and folder.unfinished_reason() is None
    if not skipped:
        try:
            _supervise(command, config.launcher.processes, quiet=console.quiet)
        except Failed as failed:
            if folder.path.is_dir():
                folder.note(problems=[*failed.problems])
            raise
    return Outcome(folder.path, "skipped" if skipped else "done", folder.read_result_of(run_id))


def _supervise(command: Sequence[str], count: int, *, quiet: bool) -> None:
    """Start the processes and wait for all of them."""
    import torch
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage] its documented place

    # where they meet; the port is one that is free
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    cores = int(os.environ.get("OMP_NUM_THREADS", 0)) or torch.get_num_threads()
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": str(max(1, cores // count)),
    }
    with tempfile.TemporaryDirectory() as told, _handing_on() as processes:
        for rank in range(count):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), HAND_OVER: str(Path(told) / f"{rank}.json")}
            processes.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **shared, **own},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if quiet else None,
                    start_new_session=True,  # signals of the terminal reach them once, from here
                )
            )
        _tell(processes, Path(told), _wait(processes, Path(told)))


@contextlib.contextmanager
def _handing_on() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Hand signals on to processes, and end those that are left.

    Yields:
        The processes, to be added to.
    """
    processes: list[subprocess.Popen[bytes]] = []
    requeue = getattr(signal, _REQUEUE, None)
    came: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        came.add(number)
        for process in processes:
            process.send_signal(signal.SIGTERM if number == requeue else number)

    main = threading.current_thread() is threading.main_thread()  # no other may handle signals
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)] if main else []
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    if main and requeue is not None and callable(handler := signal.getsignal(requeue)):
        before[requeue] = handler
    for number in before:
        signal.signal(number, hand_on)
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
        if requeue in came:
            signal.raise_signal(requeue)


def _wait(processes: Sequence[subprocess.Popen[bytes]], told: Path) -> list[int]:
    """Wait until all have ended; where one has failed, or stopped, the others have to follow.

    Returns:
        Those that failed, or stopped, by themselves.
    """
    deadline, themselves = None, list[int]()
    while any(process.poll() is None for process in processes):
        time.sleep(_LOOK)
        ended = [rank for rank, process in enumerate(processes) if process.poll()]
        if ended and deadline is None:
            themselves = ended
            stopped = all(_said(told, rank).get("kind") == "stopped" for rank in ended)
            deadline = time.monotonic() + (_TO_STOP if stopped else _TO_END)
            for process in processes if not stopped else ():
                process.terminate()
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
    return themselves or [rank for rank, process in enumerate(processes) if process.returncode]


def _tell(processes: Sequence[subprocess.Popen[bytes]], told: Path, themselves: Sequence[int]) -> None:
    """Raise what the first process that failed has said; nothing where none did.

    Args:
        themselves: Those that were not ended from here; others count where they have said something.
    """
    said = {rank: _said(told, rank) for rank, process in enumerate(processes) if process.returncode}
    said = {rank: failure for rank, failure in said.items() if failure or rank in themselves}
    own = {rank: failure for rank, failure in said.items() if failure.get("kind") != "lost"}
    if not own:
        if said:
            raise Failed((f"the processes of the run have lost each other. {_AGAIN}",), PROGRAM)
        return
    failed = {rank: failure for rank, failure in own.items() if failure.get("kind") != "stopped"}
    if not failed:
        rank = min(own)
        stop = Stopped(own[rank]["code"] - 128)
        stop.add_note(own[rank]["problems"][0])
        raise stop
    first = min(failed, key=lambda rank: (failed[rank].get("time", 0.0), rank))
    code: int = failed[first].get("code", processes[first].returncode)
    problems = failed[first].get("problems") or [_unsaid(code)]
    common = 0 in failed and failed[0].get("problems") == problems  # as of what is wrong for all of them
    if failed[first].get("kind") == "held":
        raise Held(*problems)
    told_of = problems if common else [f"process {first}: {problem}" for problem in problems]
    raise Failed(tuple(told_of), 128 - code if code < 0 else code)


def _said(told: Path, rank: int) -> dict[str, Any]:
    """What a process handed over before it ended; nothing where it could not."""
    path = told / f"{rank}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _unsaid(code: int) -> str:
    if code == -signal.SIGKILL:
        return f"it was killed (SIGKILL), for want of memory perhaps. {_AGAIN}"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"it {how}, and said nothing. {_AGAIN}"


def worker_command(overrides: Sequence[str]) -> list[str]:
    """What begins a run in a process of its own."""
    return [sys.executable, "-m", "prune_cli", "run", *overrides]
