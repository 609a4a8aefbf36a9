"""Logging, evaluating and saving wait for masked weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from prune_cli.errors import UserError
from prune_cli.pruning.selection import InvalidScores
from prune_cli.training import callbacks
from prune_cli.training.callbacks import PruneCallback, TrimCallback


class PrunerStandIn:
    """A pruner that is masked after steps 0, 10, 20, ... and from step 30 on (counted from 0)."""

    def __init__(self) -> None:
        self.masked = True

    def at(self, step: int) -> None:
        self.masked = step % 10 == 0 or step >= 30


class StopStandIn:
    """A request to stop that comes when the test says so."""

    requested = False


def events(*, stop_at: int | None = None, **every: int) -> dict[str, list[int]]:
    pruner, stop = PrunerStandIn(), StopStandIn()
    callback = PruneCallback(pruner, stop, **{"log_steps": 1000, "eval_steps": 1000, "save_steps": 1000} | every)  # type: ignore[arg-type]
    state = TrainerState(max_steps=40)
    arguments: Any = TrainingArguments("unused", use_cpu=True)
    seen: dict[str, list[int]] = {
        "should_log": [],
        "should_evaluate": [],
        "should_save": [],
        "should_training_stop": [],
    }
    for step in range(40):
        pruner.at(step)
        state.global_step = step + 1
        stop.requested = stop_at is not None and step + 1 >= stop_at
        control = TrainerControl()
        callback.on_step_end(arguments, state, control)
        for what, steps in seen.items():
            if getattr(control, what):
                steps.append(step + 1)
        if control.should_training_stop:
            break
    return seen


def test_put_off_to_the_next_masked_step() -> None:
    seen = events(eval_steps=8, log_steps=5)
    assert seen["should_evaluate"] == [11, 21, 31, 32, 40]  # due at 8, 16, 24, 32, 40
    assert seen["should_log"] == [11, 21, 31, 35, 40]
    assert seen["should_save"] == []


def test_the_last_step_evaluates() -> None:
    assert events()["should_evaluate"] == [40]


def test_a_checkpoint_leaves_no_trace_in_the_history() -> None:
    seen = events(save_steps=15)
    assert (seen["should_save"], seen["should_log"]) == ([21, 31], [40])


@pytest.mark.parametrize(("asked", "stopped"), [(1, 1), (12, 21), (33, 33)])
def test_a_request_to_stop_saves_at_the_next_masked_step(asked: int, stopped: int) -> None:
    seen = events(stop_at=asked)
    assert seen["should_save"] == seen["should_training_stop"] == [stopped]


def test_a_request_at_the_last_step_lets_the_run_finish() -> None:
    assert events(stop_at=40)["should_training_stop"] == []


@pytest.mark.parametrize("call", ["before_optimizer_step", "after_optimizer_step"])
def test_what_the_engine_refuses_is_told_as_the_users(call: str) -> None:
    def refuses(*_: Any) -> None:
        raise InvalidScores("mend the criterion")

    pruner: Any = SimpleNamespace(
        before_optimizer_step=lambda *_: None, after_optimizer_step=lambda *_: None, matrices=[], idle=[]
    )
    setattr(pruner, call, refuses)
    callback = PruneCallback(pruner, StopStandIn(), log_steps=1, eval_steps=1, save_steps=1)  # type: ignore[arg-type]
    arguments: Any = TrainingArguments("unused", use_cpu=True)
    with pytest.raises(UserError, match="mend the criterion"):  # either call
        callback.on_pre_optimizer_step(
            arguments, TrainerState(), TrainerControl(), optimizer=SimpleNamespace(param_groups=[])
        )
        callback.on_optimizer_step(arguments, TrainerState(), TrainerControl())


def test_matrices_without_a_part_in_the_loss_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    pruner: Any = SimpleNamespace(
        before_optimizer_step=lambda *_: None,
        matrices=[SimpleNamespace(parameter=weight)],
        idle=["query_global.weight"],
    )
    callback = PruneCallback(pruner, StopStandIn(), log_steps=1, eval_steps=1, save_steps=1)  # type: ignore[arg-type]
    arguments: Any = TrainingArguments("unused", use_cpu=True)
    for _ in range(2):
        optimizer = torch.optim.SGD([weight], lr=0.1)
        callback.on_pre_optimizer_step(arguments, TrainerState(), TrainerControl(), optimizer=optimizer)
    (record,) = caplog.records
    assert "1 of 1 matrices had no part in the loss of this step, such as query_global.weight" in record.getMessage()


def test_memory_is_given_back_between_steps_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, trimmed = [100.0], []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(callbacks.heap, "trim", lambda: trimmed.append(now[0]))
    callback = TrimCallback()
    arguments: Any = None
    for _ in range(12):  # steps of 8 seconds
        now[0] += 8
        callback.on_step_end(arguments, TrainerState(), TrainerControl())
    assert trimmed == [124, 148, 172, 196]
