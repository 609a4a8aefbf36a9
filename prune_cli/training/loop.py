"""The loop: the order of the algorithm, step by step.

    batches -> loss -> gradient, clipped -> scores -> optimizer -> selection, zeros -> whatever is due on masked weights

A score belongs to the weights before the step, its clipped gradient, and the learning rate that it takes (equation 1). What is
due is put off to the next step whose weights are masked: what is logged, evaluated and saved is what the run ends with.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import clip_grad_norm_

from prune_cli.distillation.states import read
from prune_cli.errors import Diverged, UserError
from prune_cli.heads.decisions import task_loss
from prune_cli.pruning.pruner import Apart
from prune_cli.pruning.selection import Divergence, InvalidScores
from prune_cli.pruning.shards import whole
from prune_cli.training.hardware import moved

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.heads.base import Batch
    from prune_cli.pruning.pruner import Pruner
    from prune_cli.training.due import Due, What
    from prune_cli.training.learning import Learning, Progress

log = logging.getLogger(__name__)


def learn(
    it: Learning,
    progress: Progress,
    due: Due,
    acts: Mapping[What, Callable[[], None]],
    each: Callable[[int], None],
) -> None:
    """Train from where a run is up to its last step, or until it is to stop.

    Args:
        due: Tells what is to be done after each step, and when it is over.
        each: Told of every finished step.
    """
    first = progress.step
    batches = it.batches.after(progress.step)
    while not due.over:
        epoch, parts, others = next(batches)
        it.model.train()
        if it.teacher is not None:
            it.teacher.taught += it.teacher.model is not None
        decisions, rows = sum(map(it.head.count, parts)), sum(len(part["labels"]) for part in parts)
        if it.processes.count > 1:
            decisions, rows = in_step(it, progress.step, decisions, rows, due)
        for number, part in enumerate([*parts, *others], start=1):
            last = number == len(parts) + len(others)
            with contextlib.nullcontext() if last else it.passes.adding():
                loss = it.passes(partial(objective, it, moved(part, it.device), decisions, rows))
                loss = loss * 0 if number > len(parts) else loss
                (loss * it.processes.count if it.processes.count > 1 else loss).backward()  # torch takes the mean over processes
                progress.loss += loss.detach()
        progress.gradient = whole(clip_grad_norm_(it.model.parameters(), it.max_grad_norm))
        progress.rate = it.rate.at(progress.step)
        for group in it.optimizer.param_groups:
            group["lr"] = progress.rate
        with engine_errors():
            it.pruner.score(progress.step, progress.rate)
        if progress.step == first:
            warn_of_idle(it.pruner)
        it.optimizer.step()
        with engine_errors():
            it.pruner.select(progress.step)
        it.optimizer.zero_grad()
        if it.teacher is not None:
            it.teacher.follow(it.model)
        progress.step, progress.epoch = progress.step + 1, epoch
        each(progress.step)
        for what in due.after(progress.step, masked=it.pruner.masked):
            acts[what]()


def in_step(it: Learning, step: int, decisions: int, rows: int, due: Due) -> tuple[int, int]:
    """Let several processes take the same step: they tell each other what their shares hold, and whether to stop after it.

    Each draws what is random in it from a state of its own, which any number of processes has.

    Args:
        step: Steps finished before this one.
        decisions: Of this process's share.
        rows: Of this process's share.

    Returns:
        Decisions and rows of the whole step.
    """
    torch.manual_seed(((it.seed * 1_000_003 + step) * 1_000_003 + it.processes.rank) % 2**63)
    every_decisions, every_rows, signals = zip(*it.processes.numbers([decisions, rows, due.stop.signal]), strict=True)
    due.stop.agree(signals)
    return sum(every_decisions), sum(every_rows)


def objective(it: Learning, batch: Batch, decisions: int, rows: int) -> Tensor:
    """A batch's part of the loss of a step: that of the regularization, or of the labels until there is the teacher it needs.

    Args:
        batch: On the device.
        decisions: Of the whole step, over which the loss is a mean.
        rows: Of the whole step, over which a loss of states is a mean.
    """
    rule = it.regularization
    with torch.autocast(it.device.type, torch.bfloat16, enabled=it.precision == "bf16"):
        taught = None if it.teacher is None else it.teacher.reading(it.head, batch)
        waits = taught is None and "teacher" in rule.needs
        student = read(it.model, it.head, batch, () if waits else rule.kinds)
        if waits:
            return task_loss(student.decisions) / decisions
        second = read(it.model, it.head, batch, rule.kinds) if "second_pass" in rule.needs else None
        loss = rule.loss(student, taught, second) / decisions
        states = rule.state_loss(student, taught)
        return loss if states is None else loss + states / rows


def warn_of_idle(pruner: Pruner) -> None:
    """Say aloud which matrices the first step did not use."""
    if idle := pruner.idle:
        log.warning(
            "%d of %d matrices had no part in the loss of this step, such as %s. If the task never uses them, they are the"
            " first to be removed: leave them out by model.exclude.",
            len(idle),
            len(pruner.matrices),
            idle[0],
        )


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """The engine, which knows torch alone, raises errors of its own; the user can mend these."""
    try:
        yield
    except Divergence as error:
        raise Diverged(str(error)) from error
    except (InvalidScores, Apart) as error:
        raise UserError(str(error)) from error
