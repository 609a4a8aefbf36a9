"""Evaluating and predicting: what a model says of records, in a precision, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from prune_cli.heads import IGNORED
from prune_cli.heads.decisions import task_loss
from prune_cli.training import heap
from prune_cli.training.hardware import moved
from prune_cli.training.parallel import Passes
from prune_cli.training.processes import ALONE, Processes

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.heads.base import Batch, Head
    from prune_cli.tasks.base import Prediction
    from prune_cli.training.evaluation import EvaluationSet

Arrays = tuple[np.ndarray, ...]


def _nobody(batches: int, of: int) -> None:
    """Nobody watches."""


@final
@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """How models are evaluated; it leaves no trace in the random state.

    Attributes:
        batch_size: Inputs a forward pass, > 0; on a GPU more of the shorter ones.
        precision: fp32 or bf16.
        seen: Told how many batches of a split are done, and of how many.
        processes: Those that evaluate together.
    """

    batch_size: int
    device: torch.device
    precision: str
    seen: Callable[[int, int], None] = _nobody
    processes: Processes = ALONE

    def score(
        self, model: nn.Module, sets: Mapping[str, EvaluationSet], passes: Passes | None = None
    ) -> tuple[dict[str, float], dict[str, list[Prediction]]]:
        """Evaluate, each process its share of the batches; the first one says what that comes to.

        Args:
            model: With the task's head, on the device.
            sets: The sets by split, the one behind the primary metric first.
            passes: How to compute with a model that is parted among the processes; None for a whole one.

        Returns:
            The task's metrics with the `loss` of the first split, and the predictions by split, none where the task makes none;
            these the first process has.
        """
        outputs = {
            split: self._outputs(model, examples, predict=examples.task.predicts, passes=passes or Passes())
            for split, examples in sets.items()
        }
        predictions: dict[str, list[Prediction]] = {}

        def scored() -> dict[str, float]:
            return self._scored(sets, outputs, predictions)

        return self.processes.first(scored), predictions

    @staticmethod
    def _scored(
        sets: Mapping[str, EvaluationSet],
        outputs: Mapping[str, tuple[Arrays, float]],
        predictions: dict[str, list[Prediction]],
    ) -> dict[str, float]:
        """The metrics; predictions are put where they are wanted."""
        metrics: dict[str, float] = {}
        for split, examples in sets.items():
            task, (arrays, loss) = examples.task, outputs[split]
            if not metrics:
                metrics = {"loss": loss, **task.metrics_of_loss(loss)}
            predictions[split] = []
            if task.predicts:
                predictions[split] = examples.predictions(arrays)
                metrics |= task.score(predictions[split], examples.records, split)
        return metrics

    def predicted(self, model: nn.Module, examples: EvaluationSet) -> list[Prediction]:
        """Predict, for records that may have no answers."""
        return examples.predictions(self._outputs(model, examples, predict=True, passes=Passes())[0])

    @torch.no_grad()
    def _outputs(self, model: nn.Module, examples: EvaluationSet, *, predict: bool, passes: Passes) -> tuple[Arrays, float]:
        """The head's predictions for a set if wanted, in the order of its batches, and the mean loss over its decisions.

        The first process has those of all.
        """
        head: Head[Any] = examples.task.head
        on_gpu = self.device.type != "cpu"  # where a batch costs a launch an operation, however few records it has
        parts = list(map(list, examples.parts(self.batch_size, filled=on_gpu)))
        mine = parts[self.processes.rank :: self.processes.count]
        rounds = -(-len(parts) // self.processes.count) if passes.sharded else len(mine)
        made: list[tuple[Tensor, int, tuple[Tensor, ...]]] = []
        model.eval()
        heap.trim()
        with torch.random.fork_rng(devices=[]):  # data loaders draw from the global random state of the host
            batches = DataLoader(
                cast("Any", examples.batches),
                batch_sampler=[*mine, *parts[: rounds - len(mine)]],  # of a parted model all take as many passes
                collate_fn=head.collator(examples.tokenizer),
                pin_memory=self.device.type == "cuda",
            )
            for number, collated in enumerate(batches, start=1):
                made.append(passes(partial(self._pass, model, examples, collated, predict)))
                self.seen(number, rounds)
        heap.trim()
        losses: list[float] = torch.stack([loss for loss, *_ in made]).tolist() if made else []
        told = [
            (loss, count, [rows.cpu().numpy() for rows in predicted])
            for loss, (_, count, predicted) in zip(losses, made, strict=True)
        ][: len(mine)]
        each = self.processes.gathered(told)
        ordered = [each[number % len(each)][number // len(each)] for number in range(len(parts) if each else 0)]
        counted = sum(count for _, count, _ in ordered)
        loss = sum(loss for loss, *_ in ordered) / counted if counted else float("nan")
        return stacked([predicted for *_, predicted in ordered]), loss

    def _pass(
        self, model: nn.Module, examples: EvaluationSet, collated: Batch, predict: bool
    ) -> tuple[Tensor, int, tuple[Tensor, ...]]:
        """The loss of a batch and the number of its decisions, 0 without labels, and what is predicted, if wanted."""
        head: Head[Any] = examples.task.head
        batch = moved(collated, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            outputs = head.outputs(model, batch)
            labelled = "labels" in batch
            loss = task_loss(head.decisions(outputs, batch)) if labelled else torch.zeros((), device=self.device)
            predicted = head.predictions(model, batch, outputs, examples.tokenizer) if predict else ()
        return loss, head.count(collated) if labelled else 0, predicted


def stacked(parts: Sequence[Sequence[np.ndarray]]) -> Arrays:
    """What a head predicted for several batches, one array a place; rows of narrower batches are filled up with -100.

    Args:
        parts: As many arrays for each batch.

    >>> [rows.tolist() for rows in stacked([[np.array([[1, 2]])], [np.array([[3]])]])]
    [[[1, 2], [3, -100]]]
    """
    return tuple(map(_rows, zip(*parts, strict=True)))


def _rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    filled = [
        np.pad(part, ((0, 0), (0, width - part.shape[1]), *((0, 0),) * (part.ndim - 2)), constant_values=IGNORED)
        for part in parts
    ]
    return np.concatenate(filled)
