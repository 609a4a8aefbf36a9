"""Logging, evaluating and saving wait for masked weights."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from prune_cli.errors import Diverged, UserError
from prune_cli.pruning.selection import Divergence, InvalidScores
from prune_cli.training import heap
from prune_cli.training.due import Due, What
from prune_cli.training.heap import Trimmer
from prune_cli.training.loop import engine_errors, warn_of_idle


class StopStandIn:
    """A request to stop that comes when the test says so."""

    requested = False


def events(
    *, stop_at: int | None = None, ends_early: Callable[[int], bool] = lambda step: False, **every: int
) -> dict[str, list[int]]:
    """What is done after which steps of a run of 40, whose weights are masked after steps 1, 11, 21 and from 31 on."""
    stop, now = StopStandIn(), [0]
    asked: dict[What, int] = {"log": 1000, "evaluate": 1000, "save": 1000} | every  # type: ignore[assignment]
    due = Due(asked, steps=40, stop=stop, ends_early=lambda: ends_early(now[0]))  # type: ignore[arg-type]
    seen: dict[str, list[int]] = {"log": [], "evaluate": [], "save": [], "over": []}
    for step in range(1, 41):
        now[0] = step
        stop.requested = stop_at is not None and step >= stop_at
        for what in due.after(step, masked=(step - 1) % 10 == 0 or step > 30):
            seen[what].append(step)
        if due.over:
            seen["over"].append(step)
            break
    return seen


def test_put_off_to_the_next_masked_step() -> None:
    seen = events(evaluate=8, log=5)
    assert seen["evaluate"] == [11, 21, 31, 32, 40]  # due at 8, 16, 24, 32, 40
    assert seen["log"] == [11, 21, 31, 35, 40]
    assert seen["save"] == []


def test_the_last_step_evaluates() -> None:
    assert events() == {"log": [40], "evaluate": [40], "save": [], "over": [40]}


def test_a_checkpoint_leaves_no_trace_in_the_history() -> None:
    seen = events(save=15)
    assert (seen["save"], seen["log"]) == ([21, 31], [40])


@pytest.mark.parametrize(("asked", "stopped"), [(1, 1), (12, 21), (33, 33)])
def test_a_request_to_stop_saves_at_the_next_masked_step(asked: int, stopped: int) -> None:
    seen = events(stop_at=asked)
    assert seen["save"] == seen["over"] == [stopped]


def test_a_request_at_the_last_step_lets_the_run_finish() -> None:
    assert events(stop_at=40) == events()


def test_a_run_that_gets_no_better_ends_after_an_evaluation() -> None:
    assert events(evaluate=10, ends_early=lambda step: step > 20)["over"] == [21]


@pytest.mark.parametrize(("raised", "meant"), [(InvalidScores, UserError), (Divergence, Diverged)])
def test_what_the_engine_refuses_is_told_as_the_users(raised: type[Exception], meant: type[Exception]) -> None:
    with pytest.raises(meant, match="mend the criterion"), engine_errors():
        raise raised("mend the criterion")


def test_matrices_without_a_part_in_the_loss_are_told(caplog: pytest.LogCaptureFixture) -> None:
    pruner: Any = SimpleNamespace(matrices=[None], idle=["query_global.weight"])
    warn_of_idle(pruner)
    (record,) = caplog.records
    assert "1 of 1 matrices had no part in the loss of this step, such as query_global.weight" in record.getMessage()


def test_memory_is_given_back_between_steps_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, trimmed = [100.0], []
    monkeypatch.setattr(heap.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(heap, "trim", lambda: trimmed.append(now[0]))
    trimmer = Trimmer()
    for _ in range(12):  # steps of 8 seconds
        now[0] += 8
        trimmer()
    assert trimmed == [124, 148, 172, 196]
