"""Every signal that asks a run to stop ends it as Ctrl-C does, at every stage, and the same command goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import Stopped
from prune_cli.pruning.pruner import Pruner
from prune_cli.run import assembly
from prune_cli.run.run import Outcome
from prune_cli.training.interrupt import StopRequest
from tests.tiers import exhaustive, quick
from tests.whole_runs import assert_same_end, do

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
STEPS = ("trainer.max_steps=40", "trainer.eval_steps=10", "trainer.save_steps=100", "schedule.delta_t=5")


pytestmark = pytest.mark.usefixtures("signals_of_a_terminal")

EACH = pytest.mark.parametrize(
    ("precision", "number"),
    quick([("bf16", signal.SIGTERM)], zip(cycle(["fp32", "bf16"]), SIGNALS)),
    ids=str,
    indirect=["precision"],
)
"""Of the signals, where none knows of a precision: each is sent in one of the two."""


@pytest.fixture(scope="module")
def precision(request: pytest.FixtureRequest) -> str:
    return f"trainer.precision={request.param}"


@pytest.fixture(scope="module")
def undisturbed(precision: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return do(tmp_path_factory.mktemp("undisturbed"), *STEPS, precision)


def signalled(original: Callable[..., Any], number: int, call: int = 1) -> Callable[..., Any]:
    """The function, with a signal to this process before its n-th call."""
    calls = 0

    def replacement(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), number)
        return original(*args, **kwargs)

    return replacement


def stopped(monkeypatch: pytest.MonkeyPatch, folder: Path, where: Any, name: str, number: int, call: int, *overrides: str) -> int:
    """Start a run and stop it; gives the exit code."""
    with monkeypatch.context() as patch:
        patch.setattr(where, name, signalled(getattr(where, name), number, call))
        with pytest.raises(Stopped) as stop:
            do(folder, *STEPS, *overrides)
    return stop.value.exit_code


@pytest.mark.parametrize(
    ("precision", "number"),
    quick([("fp32", signal.SIGINT), ("bf16", signal.SIGHUP)], product(["fp32", "bf16"], SIGNALS)),
    ids=str,
    indirect=["precision"],
)
def test_in_training_a_checkpoint_is_written_at_the_next_selection(
    number: signal.Signals, precision: str, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped(monkeypatch, tmp_path, Pruner, "select", number, 13, precision) == 128 + number
    assert [path.name for path in tmp_path.rglob("checkpoint-*")] == ["checkpoint-16"]
    assert_same_end(undisturbed, do(tmp_path, *STEPS, precision))


@EACH
def test_in_start_up_it_stops_at_once(
    number: signal.Signals, precision: str, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped(monkeypatch, tmp_path, assembly, "pruner_for", number, 1, precision) == 128 + number
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert_same_end(undisturbed, do(tmp_path, *STEPS, precision))


@EACH
def test_in_the_final_save_the_run_is_finished_first(
    number: signal.Signals, precision: str, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped(monkeypatch, tmp_path, RunFolder, "promises", number, 1, precision) == 128 + number
    again = do(tmp_path, *STEPS, precision)
    assert again.status == "skipped"
    assert_same_end(undisturbed, again)


def test_a_second_signal_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    original = Pruner.select

    def twice(self: Pruner, step: int) -> None:
        original(self, step)
        taken.append(step)
        if step in (12, 13):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Pruner, "select", twice)
    with pytest.raises(Stopped):
        do(tmp_path, *STEPS)
    assert taken[-1] == 13
    assert not list(tmp_path.rglob("checkpoint-*"))


@exhaustive
@pytest.mark.parametrize(
    ("precision", "first"), [("fp32", signal.SIGHUP), ("bf16", signal.SIGTERM)], ids=str, indirect=["precision"]
)
def test_a_hang_up_never_insists(
    first: signal.Signals, undisturbed: Outcome, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell and the kernel each send one when a terminal is closed, and systemd sends one behind SIGTERM."""
    original = Pruner.select

    def both(self: Pruner, step: int) -> None:
        original(self, step)
        if step in (12, 13):
            os.kill(os.getpid(), first if step == 12 else signal.SIGHUP)

    with monkeypatch.context() as patch:
        patch.setattr(Pruner, "select", both)
        with pytest.raises(Stopped) as stop:
            do(tmp_path, *STEPS, precision)
    assert stop.value.exit_code == 128 + first
    assert [path.name for path in tmp_path.rglob("checkpoint-*")] == ["checkpoint-16"]
    assert_same_end(undisturbed, do(tmp_path, *STEPS, precision))


def test_what_is_ignored_stays_ignored_and_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        stop = StopRequest()
        with stop.listening(), stop.put_off():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert [signal.getsignal(number) for number in SIGNALS] == before


CHILD = """
import sys
from pathlib import Path
from rich.console import Console
from prune_cli.errors import Stopped
from prune_cli.run.run import run
from tests.whole_runs import config_of

try:
    run(config_of(Path(sys.argv[1]), "trainer.max_steps=5000", "trainer.save_steps=10000"), Console(stderr=True))
except Stopped as stop:
    sys.exit(stop.exit_code)
"""


def test_a_terminal_that_is_closed_ends_the_run_with_a_checkpoint(tmp_path: Path, project_root: Path) -> None:
    terminal, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=project_root,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # a session's own terminal is the one that hangs up
    )
    os.close(theirs)
    shown = b""
    while b"/5000" not in shown or b" 0/5000" in shown[-400:]:  # the bar moves: it trains
        shown += os.read(terminal, 1 << 16)
    os.close(terminal)
    assert process.wait(60) == 128 + signal.SIGHUP
    assert len(list(tmp_path.rglob("checkpoint-*"))) == 1
