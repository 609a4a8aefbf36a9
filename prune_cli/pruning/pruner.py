"""The pruner: joins scope, criterion, averaging, schedule, pattern and selection into two calls around the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from prune_cli.pruning.averaging import SmoothedImportance
from prune_cli.pruning.criteria import Criterion, SmoothedCriterion, WeightSlice
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.schedules import Schedule
from prune_cli.pruning.selection import Cutoff, Divergence, InvalidScores, NotFinite, Scores

_SLICE = 1 << 18  # weights handled at a time on a CPU: the temporaries of 2^18 float32 stay in its caches


@final
@dataclass(frozen=True)
class Matrix:
    """One prunable weight matrix.

    Attributes:
        name: Its name in the model.
        parameter: The weights, [out, in].
        start: Position of its first weight among all prunable weights.
    """

    name: str
    parameter: nn.Parameter
    start: int

    def slices(self) -> Iterator[tuple[int, int]]:
        """First and one-past-last weight of each slice, counted in this matrix."""
        size = self.parameter.numel()
        width = _SLICE if self.parameter.device.type == "cpu" else size
        for lo in range(0, size, width):
            yield lo, min(lo + width, size)

    def flat(self) -> Tensor:
        """The weights as one row; a view."""
        return self.parameter.detach().view(-1)


@final
class Pruner:
    """Prunes the weights of a model while it trains.

    Around every optimizer step, once gradients are clipped:

        pruner.before_optimizer_step(step, learning_rates)    # score: old weights, their gradients
        optimizer.step()
        pruner.after_optimizer_step(step)                     # select, remove

    Nothing is stored of a mask but the cutoff that defines it: with the importance, which changes once a window, that is
    enough to repeat it. Memory is three float32 a weight for a smoothed criterion (two without uncertainty), none for
    another, and one byte more with `regrow=False`.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        *,
        criterion: Criterion,
        schedule: Schedule,
        pattern: Unstructured,
        sparsity: float,
        total_steps: int,
    ) -> None:
        """Prepare to prune.

        Args:
            weights: Prunable matrices by name, [out, in] each, contiguous.
            criterion: How important a weight is.
            schedule: How sparse the model is to be after each step.
            pattern: Which weights compete.
            sparsity: Fraction removed at the end, in [0, 1].
            total_steps: Optimizer steps of the whole run.
        """
        self.criterion = criterion
        self.schedule = schedule
        self.pattern = pattern
        self.target = sparsity
        self.total_steps = total_steps
        self.matrices: list[Matrix] = []
        self.prunable = 0
        for name, parameter in weights.items():
            self.matrices.append(Matrix(name, parameter, self.prunable))
            self.prunable += parameter.numel()
        self.averages = self._averages()
        self.removed = 0
        self.cutoff: Cutoff | None = None
        self.masks: list[Bool[Tensor, " _"]] | None = None
        self.masked = True
        self._looked = False

    def before_optimizer_step(self, step: int, learning_rates: Sequence[float]) -> None:
        """Score the weights by their clipped gradients and average the scores.

        Args:
            step: Steps finished before this one.
            learning_rates: What the step is about to apply, one for each matrix.

        Raises:
            InvalidScores: If the criterion gives no score for each weight or, looked at in the first step alone, because
                looking waits for the device, one that is no number.
        """
        if self.target == 0:
            return
        for matrix, average, learning_rate in zip(self.matrices, self.averages, learning_rates, strict=False):
            weight, grad = matrix.flat(), _gradient(matrix).view(-1)
            for lo, hi in matrix.slices():
                at = WeightSlice(weight[lo:hi], grad[lo:hi], learning_rate, matrix.start + lo)
                score = self._score(at, matrix.name)
                if not self._looked and not score.isfinite().all():
                    raise self._culprit(matrix.name)
                average.update(score, step, lo, hi)
        self._looked = True

    def after_optimizer_step(self, step: int) -> None:
        """Remove weights where the schedule says so.

        Args:
            step: Steps finished before this one.

        Raises:
            InvalidScores: If training has diverged, or the criterion gives no number.
        """
        if self.target > 0 and self.schedule.selects(step, self.total_steps, self.criterion.delta_t):
            sparsity = self.schedule.sparsity(step, self.total_steps, self.target)
            self._select(round(sparsity * self.prunable), step)
            self._remove()
            self.masked = True
        elif self.masks is not None:
            self._hold(self.masks)
        else:
            self.masked = self.removed == 0  # removed weights have trained on

    @property
    def target_now(self) -> float:
        """Fraction of the prunable weights that the last selection removed."""
        return self.removed / self.prunable

    def zeros(self) -> list[int]:
        """Weights that are zero at this moment, matrix by matrix."""
        counts = torch.stack([(matrix.parameter.detach() == 0).sum() for matrix in self.matrices])
        return [int(count) for count in counts]

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beside the weights."""
        cutoff = self.cutoff or Cutoff(0.0, 0)
        state = {
            "removed": torch.tensor(self.removed),
            "cutoff.score": torch.tensor(cutoff.score),
            "cutoff.tie": torch.tensor(cutoff.tie),
            "masked": torch.tensor(self.masked),
        }
        for matrix, average in zip(self.matrices, self.averages, strict=False):
            state |= {f"{kind}.{matrix.name}": buffer for kind, buffer in average.buffers().items()}
        if self.masks is not None:
            state |= {f"mask.{matrix.name}": mask for matrix, mask in zip(self.matrices, self.masks, strict=True)}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            KeyError: If the state is that of another model or criterion.
        """
        self.removed = int(state["removed"])
        self.masked = bool(state["masked"])
        self.cutoff = Cutoff(state["cutoff.score"].item(), int(state["cutoff.tie"])) if self.removed else None
        for matrix, average in zip(self.matrices, self.averages, strict=False):
            for kind, buffer in average.buffers().items():
                buffer.copy_(state[f"{kind}.{matrix.name}"])
        if not self.pattern.regrow and self.removed:
            self.masks = [state[f"mask.{m.name}"].to(m.parameter.device) for m in self.matrices]

    def _averages(self) -> list[SmoothedImportance]:
        if not isinstance(self.criterion, SmoothedCriterion) or self.target == 0:
            return []
        c = self.criterion
        return [SmoothedImportance(m.flat(), delta_t=c.delta_t, beta1=c.beta1, beta2=c.beta2) for m in self.matrices]

    def _score(self, at: WeightSlice, name: str) -> Tensor:
        score = self.criterion.score(at)
        if score.shape != at.weight.shape:
            raise InvalidScores(
                f"{type(self.criterion).__name__}.score gives {list(score.shape)} for {list(at.weight.shape)} weights of {name}:"
                " it must give each weight its own score"
            )
        return score

    def _culprit(self, name: str) -> InvalidScores:
        """Why a score or an importance is no number: weights and gradients are looked at once it has happened."""
        for what, tensors in (
            ("weights", [matrix.parameter.detach() for matrix in self.matrices]),
            ("gradients", [grad for matrix in self.matrices if (grad := matrix.parameter.grad) is not None]),
        ):
            if not all(bool(tensor.isfinite().all()) for tensor in tensors):
                return Divergence(
                    f"the importance of {name} has infinite or not-a-number values, for there are such {what}: training has"
                    " diverged. Lower trainer.learning_rate, or use trainer.precision=fp32"
                )
        return InvalidScores(
            f"{type(self.criterion).__name__}.score gives infinite or not-a-number values for {name}, where weights and"
            " gradients are finite: mend the criterion"
        )

    def _importance(self) -> Iterator[Scores]:
        """The importance of all weights, slice by slice, in order of position."""
        for index, matrix in enumerate(self.matrices):
            weight = matrix.flat()
            for lo, hi in matrix.slices():
                start = matrix.start + lo
                if self.averages:
                    values = self.averages[index].importance(lo, hi)
                else:
                    values = self._score(WeightSlice(weight[lo:hi], None, 0.0, start), matrix.name)
                yield Scores(values, start, matrix.name)

    def _select(self, remove: int, step: int) -> None:
        """Find the cutoff, unless neither the importance nor the count has changed since the last one."""
        unchanged = self.averages and remove == self.removed and step % self.criterion.delta_t != 0
        if not unchanged:
            try:
                self.cutoff = self.pattern.select(self._importance, remove)
            except NotFinite as error:
                raise self._culprit(error.name) from error
            self.removed = remove

    def _remove(self) -> None:
        """Zero what falls below the cutoff."""
        if self.cutoff is None:
            return
        scores = self._importance()
        masks: list[Tensor] = []
        for matrix in self.matrices:
            weight = matrix.flat()
            parts: list[Tensor] = []
            for lo, hi in matrix.slices():
                part = self.cutoff.removed(next(scores))
                weight[lo:hi].masked_fill_(part, 0)
                parts.append(part)
            if not self.pattern.regrow:
                masks.append(torch.cat(parts))
        self.masks = masks or None

    def _hold(self, masks: Sequence[Bool[Tensor, " _"]]) -> None:
        """Zero what the optimizer has moved."""
        for matrix, mask in zip(self.matrices, masks, strict=True):
            matrix.flat().masked_fill_(mask, 0)


def _gradient(matrix: Matrix) -> Tensor:
    grad = matrix.parameter.grad
    if grad is None:
        raise ValueError(f"{matrix.name} has no gradient: it is frozen or unused; leave it out by model.exclude")
    return grad
