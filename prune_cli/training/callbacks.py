"""What happens around the Trainer's steps: pruning, teaching, recording."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prune_cli.errors import Diverged, UserError
from prune_cli.pruning.selection import Divergence, InvalidScores
from prune_cli.training import heap

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from prune_cli.distillation.teacher import Teacher
    from prune_cli.pruning.pruner import Pruner
    from prune_cli.training.endings import Patience
    from prune_cli.training.interrupt import StopRequest

log = logging.getLogger(__name__)


@final
class PruneCallback(TrainerCallback):
    """Calls the pruner around every optimizer step, and lets the Trainer log, evaluate and save on masked weights only."""

    def __init__(self, pruner: Pruner, stop: StopRequest, *, log_steps: int, eval_steps: int, save_steps: int) -> None:
        """Prepare.

        Args:
            pruner: Scores and removes.
            stop: Asked at every step.
            log_steps: Steps from one logged loss to the next; like the others, put off to the next masked step.
            eval_steps: Steps from one evaluation to the next.
            save_steps: Steps from one checkpoint to the next.
        """
        self.pruner = pruner
        self.stop = stop
        self.every = {"should_log": log_steps, "should_evaluate": eval_steps, "should_save": save_steps}
        self.due: set[str] = set()
        self.groups: list[int] = []

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score: gradients are clipped, weights and learning rate are those of the step about to be taken."""
        rates = [group["lr"] for group in kwargs["optimizer"].param_groups]
        first = not self.groups
        with _told():
            self.pruner.before_optimizer_step(
                state.global_step, [rates[group] for group in self._groups(kwargs["optimizer"])]
            )
        if first and (idle := self.pruner.idle):
            log.warning(
                "%d of %d matrices had no part in the loss of this step, such as %s. If the task never uses them, they are the"
                " first to be removed: leave them out by model.exclude.",
                len(idle),
                len(self.pruner.matrices),
                idle[0],
            )

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Select and remove."""
        with _told():
            self.pruner.after_optimizer_step(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log, evaluate and save what is due once the weights are masked; the last step is, and evaluates."""
        last = state.global_step >= state.max_steps
        self.due |= {what for what, steps in self.every.items() if state.global_step % steps == 0}
        if last:
            self.due |= {"should_log", "should_evaluate"}
        if self.stop.requested and not last:
            self.due |= {"should_save"}
        if self.pruner.masked:
            for what in self.due:
                setattr(control, what, True)
            control.should_training_stop |= self.stop.requested and "should_save" in self.due
            self.due.clear()

    def _groups(self, optimizer: torch.optim.Optimizer) -> list[int]:
        """Parameter group of each matrix."""
        if not self.groups:
            group_of = {id(p): i for i, group in enumerate(optimizer.param_groups) for p in group["params"]}
            self.groups = [group_of[id(matrix.parameter)] for matrix in self.pruner.matrices]
        return self.groups


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The engine, which knows torch alone, raises errors of its own; the user can mend these."""
    try:
        yield
    except Divergence as error:
        raise Diverged(str(error)) from error
    except InvalidScores as error:
        raise UserError(str(error)) from error


@final
class TrimCallback(TrainerCallback):
    """Gives freed memory back between steps, now and then: batches of other sizes leave holes that the next ones hardly fit."""

    EVERY: ClassVar[float] = 20.0
    """Seconds: a step after it takes some 0.2 s more where a gigabyte was given back."""

    def __init__(self) -> None:
        """Begin to wait."""
        self._last = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Trim, where it is time; gradients are gone."""
        if time.monotonic() - self._last >= self.EVERY:
            heap.trim()
            self._last = time.monotonic()


@final
class TeacherCallback(TrainerCallback):
    """Shows every evaluated student to the teacher."""

    def __init__(self, teacher: Teacher, primary_metric: str) -> None:
        """Prepare.

        Args:
            teacher: May be replaced.
            primary_metric: Name of the metric that decides, without prefix.
        """
        self.teacher = teacher
        self.primary_metric = primary_metric

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the steps that somebody teaches in."""
        self.teacher.taught += self.teacher.model is not None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Let a teacher follow that is a running mean."""
        self.teacher.follow(kwargs["model"])

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Replace the teacher if the rule says so."""
        assert metrics is not None
        model: PreTrainedModel = kwargs["model"]
        self.teacher.consider(model, state.global_step, metrics[f"eval_{self.primary_metric}"])


@final
class PatienceCallback(TrainerCallback):
    """Ends a run that gets no better; it comes behind what keeps the history."""

    def __init__(self, patience: Patience) -> None:
        """Prepare.

        Args:
            patience: Tells when it is over.
        """
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask."""
        if self.patience.over and state.global_step < state.max_steps:
            log.info(
                "step %d: %d evaluations without a better metric end the run",
                state.global_step,
                self.patience.evaluations,
            )
            control.should_training_stop = True


@final
class RecordCallback(TrainerCallback):
    """Hands every logged step and every evaluation, with the state of pruning, to whoever keeps or shows it."""

    def __init__(
        self,
        pruner: Pruner,
        teacher: Teacher | None,
        sinks: list[Callable[[Mapping[str, Any]], None]],
        seconds_before: float = 0.0,
    ) -> None:
        """Prepare.

        Args:
            pruner: Tells the sparsity.
            teacher: Tells its version; None without one.
            sinks: Called with each record: history, W&B, screen.
            seconds_before: Time that the run took before it was resumed.
        """
        self.pruner = pruner
        self.teacher = teacher
        self.sinks = sinks
        self.began = time.monotonic() - seconds_before

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a training step; the Trainer's closing summary is none."""
        if logs is not None and "loss" in logs:
            kept = {name: logs[name] for name in ("loss", "learning_rate", "grad_norm") if name in logs}
            self._record(state, kept, self.pruner.zeros())

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record an evaluation with the sparsity of every matrix."""
        zeros = self.pruner.zeros()
        sizes = [matrix.size for matrix in self.pruner.matrices]
        layers = [round(count / size, 6) for count, size in zip(zeros, sizes, strict=True)]
        self._record(state, {**(metrics or {}), "layer_sparsity": layers}, zeros)

    def _record(self, state: TrainerState, values: Mapping[str, Any], zeros: list[int]) -> None:
        record = {
            "step": state.global_step,
            "epoch": state.epoch,
            **values,
            "target_sparsity": self.pruner.target_now,
            "sparsity": sum(zeros) / self.pruner.prunable,
            "teacher_version": 0 if self.teacher is None else self.teacher.version,
            "seconds": round(time.monotonic() - self.began, 3),
        }
        for sink in self.sinks:
            sink(record)
