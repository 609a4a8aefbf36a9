"""Evaluating and predicting: what a model says of records, in a precision, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from prune_cli.heads import IGNORED
from prune_cli.heads.decisions import task_loss
from prune_cli.training import heap
from prune_cli.training.hardware import moved

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.heads.base import Head
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
    """

    batch_size: int
    device: torch.device
    precision: str
    seen: Callable[[int, int], None] = _nobody

    def score(self, model: nn.Module, sets: Mapping[str, EvaluationSet]) -> tuple[dict[str, float], dict[str, list[Prediction]]]:
        """Evaluate.

        Args:
            model: With the task's head, on the device.
            sets: The sets by split, the one behind the primary metric first.

        Returns:
            The task's metrics with the `loss` of the first split, and the predictions by split, none where the task makes none.
        """
        metrics: dict[str, float] = {}
        predictions: dict[str, list[Prediction]] = {}
        for split, examples in sets.items():
            task = examples.task
            outputs, loss = self._outputs(model, examples, predict=task.predicts)
            if not metrics:
                metrics = {"loss": loss, **task.metrics_of_loss(loss)}
            predictions[split] = []
            if task.predicts:
                predictions[split] = examples.predictions(outputs)
                metrics |= task.score(predictions[split], examples.records, split)
        return metrics, predictions

    def predicted(self, model: nn.Module, examples: EvaluationSet) -> list[Prediction]:
        """Predict, for records that may have no answers."""
        return examples.predictions(self._outputs(model, examples, predict=True)[0])

    @torch.no_grad()
    def _outputs(self, model: nn.Module, examples: EvaluationSet, *, predict: bool) -> tuple[Arrays, float]:
        """The head's predictions for a set if wanted, in the order of its batches, and the mean loss over its decisions."""
        head: Head[Any] = examples.task.head
        on_gpu = self.device.type != "cpu"  # where a batch costs a launch an operation, however few records it has
        collected: list[tuple[Tensor, ...]] = []
        losses: list[Tensor] = []
        count = 0
        model.eval()
        heap.trim()
        with torch.random.fork_rng():  # data loaders draw from the global random state
            batches = DataLoader(
                cast("Any", examples.batches),
                batch_sampler=list(map(list, examples.parts(self.batch_size, filled=on_gpu))),
                collate_fn=head.collator(examples.tokenizer),
                pin_memory=self.device.type == "cuda",
            )
            for number, collated in enumerate(batches, start=1):
                batch = moved(collated, self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                    outputs = head.outputs(model, batch)
                    if "labels" in batch:
                        losses.append(task_loss(head.decisions(outputs, batch)))
                        count += head.count(collated)
                    if predict:
                        collected.append(head.predictions(model, batch, outputs, examples.tokenizer))
                self.seen(number, len(batches))
        heap.trim()
        loss = sum(torch.stack(losses).tolist()) / count if losses else float("nan")
        return stacked(collected), loss


def stacked(parts: Sequence[tuple[Tensor, ...]]) -> Arrays:
    """What a head predicted for several batches, one array a place; rows of narrower batches are filled up with -100.

    Args:
        parts: One tuple a batch, of the same length each.

    >>> [rows.tolist() for rows in stacked([(torch.tensor([[1, 2]]),), (torch.tensor([[3]]),)])]
    [[[1, 2], [3, -100]]]
    """
    return tuple(_rows([part.cpu().numpy() for part in place]) for place in zip(*parts, strict=True))


def _rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    filled = [
        np.pad(part, ((0, 0), (0, width - part.shape[1]), *((0, 0),) * (part.ndim - 2)), constant_values=IGNORED)
        for part in parts
    ]
    return np.concatenate(filled)
