"""What surrounds the loop of one run: where it begins, evaluations, records, checkpoints and how it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import torch
from transformers import set_seed
from transformers.modeling_layers import GradientCheckpointingLayer

from prune_cli.errors import Diverged
from prune_cli.pruning.shards import held
from prune_cli.training import heap
from prune_cli.training.due import Due, What
from prune_cli.training.learning import Learning, Progress

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from prune_cli.tasks.base import Prediction, Task
    from prune_cli.training.checkpoints import Checkpoint, Checkpoints
    from prune_cli.training.endings import Patience
    from prune_cli.training.evaluate import Evaluator
    from prune_cli.training.evaluation import Evaluation
    from prune_cli.training.interrupt import StopRequest

log = logging.getLogger(__name__)

Sink = Callable[[Mapping[str, Any]], None]


@final
class Training:
    """What surrounds the loop of a run: where it begins, what is due, how it ends; what the end leaves is asked here."""

    def __init__(
        self,
        learning: Learning,
        *,
        task: Task,
        evaluation: Evaluation,
        evaluator: Evaluator,
        final_precision: str,
        steps: int,
        every: Mapping[What, int],
        seed: int,
        stop: StopRequest,
        checkpoints: Checkpoints,
        sinks: Sequence[Sink],
        seen: Callable[[int], None],
        patience: Patience | None = None,
    ) -> None:
        """Prepare.

        Args:
            final_precision: Of the last evaluation, fp32 or bf16.
            every: Steps from one log, evaluation or checkpoint to the next.
            sinks: Called with each record: history, trackers, screen.
            seen: Told of every finished step.
            patience: Ends the run before its last step; None to take all.
        """
        self.learning, self.task, self.evaluation, self.checkpoints = learning, task, evaluation, checkpoints
        self.progress = Progress(loss=torch.zeros((), device=learning.device))
        self.due = Due(every, steps=steps, stop=stop, ends_early=self._early)
        self.acts: dict[What, Callable[[], None]] = {"log": self._log, "evaluate": self._evaluate, "save": self._save}
        self._evaluator, self._final_precision, self._steps, self._seed = evaluator, final_precision, steps, seed
        self._sinks, self._seen, self._trim = sinks, seen, heap.Trimmer()
        self._best, self._patience = checkpoints.best, patience
        self._predictions: dict[str, list[Prediction]] | None = None
        earlier = checkpoints.history.records  # of a run that goes on
        self._began = time.monotonic() - (earlier[-1]["seconds"] if earlier else 0.0)
        self._closing = False  # nothing that is evaluated now is looked at for the best

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """Begin anew, or go on from a checkpoint; of a run that needs no more steps the loop has nothing to do."""
        set_seed(self._seed)
        if checkpoint is not None:
            self.checkpoints.restore(checkpoint, self.learning, self.progress)
        self.due.over = self.finished or self._early()

    def stepped(self, step: int) -> None:
        """Be told of a finished step."""
        self._seen(step)
        self._trim()

    def end(self) -> None:
        """End a run that needs no more steps: weights that are kept in place of the last are put back, and evaluated."""
        early = self._early()
        if early:
            assert self._patience is not None
            log.info(
                "step %d: %d evaluations without a better metric end the run",
                self.progress.step,
                self._patience.evaluations,
            )
            self._steps = self.progress.step
        if not self.finished:
            return
        other = self.kept_step != self.progress.step
        if self._best is not None and other:
            self._best.put_back(self.learning.model)
            log.info("keeping the weights of step %d, the best on the validation records", self.kept_step)
        if other or early:
            self._closing = True
            self._evaluate()

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.progress.step >= self._steps

    @property
    def kept_step(self) -> int:
        """The step whose weights the model has at the end."""
        step = None if self._best is None else self._best.step
        return self.progress.step if step is None else step

    def final_predictions(self) -> dict[str, list[Prediction]]:
        """The predictions of the last evaluation by split, made again where the run was killed right after it.

        The first process has them.
        """
        if self._predictions is None:
            _, self._predictions = self._score(last=True)
        return self._predictions

    def teacher_cached(self) -> float | None:
        """The share of the teacher's answers that were known, over all processes; None where none are kept."""
        cache = None if self.learning.teacher is None else self.learning.teacher.cache
        if cache is None:
            return None
        asked, served = map(sum, zip(*self.learning.processes.all((cache.asked, cache.served)), strict=True))
        return served / asked if asked else None

    def _early(self) -> bool:
        """Whether the run gets no better, before its last step."""
        return self._patience is not None and self._patience.over and self.progress.step < self._steps

    def _log(self) -> None:
        """Record the mean loss since the last time."""
        at = self.progress
        assert at.gradient is not None
        loss = self.learning.processes.total(at.loss).item() / (at.step - at.logged)
        at.loss, at.logged = torch.zeros_like(at.loss), at.step
        values = {"loss": loss, "learning_rate": at.rate, "grad_norm": at.gradient.item()}
        self._record(values, self.learning.pruner.zeros())

    def _evaluate(self) -> None:
        """Evaluate, show the student to the teacher, and record it with the sparsity of every matrix."""
        began = time.monotonic()
        last = self.finished
        metrics, self._predictions = self._score(last=last)
        sets = self.evaluation.sets(whole=last)
        named: dict[str, Any] = {f"eval_{name}": float(value) for name, value in metrics.items()}
        named["evaluation_seconds"] = round(time.monotonic() - began, 3)
        named["evaluation_records"] = sum(len(examples.records) for examples in sets.values())
        named["evaluation_records_of"] = sum(len(examples) for examples in self.evaluation.examples.values())
        metric, step = named[f"eval_{self.task.primary_metric}"], self.progress.step
        if self._best is not None and not self._closing:
            self._best.consider(self.learning.model, metric, step, named["evaluation_records"])
        if (teacher := self.learning.teacher) is not None:
            teacher.consider(self.learning.model, step, metric)
        pruner, zeros = self.learning.pruner, self.learning.pruner.zeros()
        layers = [round(count / matrix.size, 6) for count, matrix in zip(zeros, pruner.matrices, strict=True)]
        self._record({**named, "layer_sparsity": layers}, zeros)

    def _save(self) -> None:
        unsound = torch.stack([held(weights).isfinite().all() for weights in self.learning.model.parameters()]).logical_not()
        if self.learning.processes.total(unsound.sum()):
            raise Diverged(
                f"Training diverged: by step {self.progress.step} there are weights that are no numbers. Checkpoints"
                " before it stay. Lower trainer.learning_rate, or set trainer.precision=fp32."
            )
        self.checkpoints.write(self.learning, self.progress)

    def _score(self, *, last: bool) -> tuple[dict[str, float], dict[str, list[Prediction]]]:
        """Metrics and predictions: of a part of each split where the task wants it so, of all of them at the last step."""
        evaluator = replace(self._evaluator, precision=self._final_precision) if last else self._evaluator
        passes = self.learning.passes if self.learning.passes.sharded else None
        return evaluator.score(self.learning.model, self.evaluation.sets(whole=last), passes)

    def _record(self, values: Mapping[str, Any], zeros: Sequence[int]) -> None:
        """Hand a record, with the state of pruning, to whoever keeps or shows it."""
        pruner = self.learning.pruner
        record = {
            "step": self.progress.step,
            "epoch": self.progress.epoch,
            **values,
            "target_sparsity": pruner.target_now,
            "sparsity": sum(zeros) / pruner.prunable,
            "teacher_version": 0 if self.learning.teacher is None else self.learning.teacher.version,
            "seconds": round(time.monotonic() - self._began, 3),
        }
        for sink in self._sinks:
            sink(record)


def recompute_activations(model: PreTrainedModel) -> None:
    """Keep few activations, and compute the others again in the backward pass."""
    model.activation_checkpointing_enable()
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.register_forward_hook(_let_go)


def _let_go(layer: nn.Module, *_: Any) -> None:
    """Drop the weights that autocast converted for a layer in training.

    Else those of all layers are kept in half precision up to the end of the forward pass, for a use that does not come: the
    backward pass converts again what it computes again. Writing texts uses them for every token.
    """
    if layer.training:
        torch.clear_autocast_cache()
