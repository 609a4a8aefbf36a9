"""Which weights a run ends with, and when it ends: the best evaluation instead of the last, and dense runs that stop early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import torch

from prune_cli.distillation.teacher import tensors
from prune_cli.pruning.shards import held, joint, share

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from prune_cli.artifacts.history import History
    from prune_cli.pruning.pruner import Pruner


@final
class BestWeights:
    """A copy of the weights at the best evaluation that had the final number of zeros, on the CPU: 4 bytes a weight.

    Of a model that is parted among processes, each keeps its part.

    Evaluations of another number of records than the first such one do not count: their metrics cannot be compared.

    Attributes:
        step: Of the evaluation; None before the first.
    """

    def __init__(self, pruner: Pruner) -> None:
        self.step: int | None = None
        self._pruner = pruner
        self._metric = -math.inf
        self._records = 0
        self._weights: dict[str, Tensor] = {}

    def consider(self, model: PreTrainedModel, metric: float, step: int, records: int) -> None:
        """Keep the weights that were just evaluated, if they are the best so far; of equal ones the earlier stay.

        Args:
            model: The masked model.
            metric: Its primary metric; higher is better.
        """
        comparable = self.step is None or (records == self._records and metric > self._metric)
        if not (self._pruner.complete and comparable):
            return
        self.step, self._metric, self._records = step, metric, records
        self._weights = {name: held(tensor).to("cpu", copy=True) for name, tensor in tensors(model).items()}

    @torch.no_grad()
    def put_back(self, model: PreTrainedModel) -> None:
        """Give a model the weights."""
        for name, tensor in tensors(model).items():
            held(tensor).copy_(self._weights[name])

    def state(self) -> dict[str, Any]:
        """The small part of the state, for JSON."""
        return {"step": self.step, "metric": self._metric, "records": self._records}

    def weights(self, model: PreTrainedModel) -> dict[str, Tensor]:
        """The large part, parted among processes as the model is."""
        return {name: joint(self._weights[name], tensor) for name, tensor in tensors(model).items()}

    def load(self, model: PreTrainedModel, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Take back what a checkpoint holds.

        Args:
            weights: Whole.
        """
        self.step, self._metric, self._records = state["step"], state["metric"], state["records"]
        self._weights = {name: share(weights[name], tensor).clone() for name, tensor in tensors(model).items()}


@final
class Patience:
    """Tells when a run has not become better for a while. It asks the history alone, which a resumed run has whole."""

    def __init__(self, history: History, primary_metric: str, evaluations: int) -> None:
        """Remember.

        Args:
            primary_metric: Higher is better.
            evaluations: In a row without a better one, after which it is over, > 0.
        """
        self.evaluations = evaluations
        self._history = history
        self._key = f"eval_{primary_metric}"

    @property
    def over(self) -> bool:
        """Whether so many evaluations in a row brought nothing better."""
        values = [record[self._key] for record in self._history.records if self._key in record]
        metrics = [-math.inf if value is None else value for value in values]
        return len(metrics) > self.evaluations and max(metrics[: -self.evaluations]) >= max(metrics[-self.evaluations :])
