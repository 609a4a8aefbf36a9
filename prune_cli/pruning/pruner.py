"""The pruner: joins matrices, criterion, schedule and pattern into two calls around the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows
from prune_cli.pruning.inputs import InputSquares
from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.patterns.base import Mask, Pattern, Rows
from prune_cli.pruning.schedules import Schedule
from prune_cli.pruning.selection import Divergence, InvalidScores, NotFinite


@final
class Pruner:
    """Prunes the weights of a model while it trains.

    Around every optimizer step, once gradients are clipped:

        pruner.score(step, learning_rates)    # of the old weights, by their gradients
        optimizer.step()
        pruner.select(step)                   # and zero what is not kept

    A mask is kept as what defines it, a cutoff for instance, and is said again from the importance; a resumed run chooses it
    again. Memory is what the criterion keeps, and one byte a weight where the schedule holds removed weights at zero.

    Attributes:
        masked: Whether what the mask removes is zero at this moment.
        removed: Weights that the last selection removed.
        idle: Names of the matrices that had no part in the loss of the first step, where the criterion uses gradients.
    """

    def __init__(
        self,
        matrices: Sequence[Matrix],
        *,
        criterion: Criterion,
        schedule: Schedule,
        pattern: Pattern,
        sparsity: float,
        total_steps: int,
        layout: ModelLayout | None = None,
    ) -> None:
        """Prepare to prune.

        Args:
            sparsity: Fraction removed at the end, in [0, 1].
            layout: What the matrices look like; None where no pattern asks for units.
        """
        self.matrices = list(matrices)
        self.criterion = criterion
        self.schedule = schedule
        self.pattern = pattern
        self.target = sparsity
        self.total_steps = total_steps
        self.layout = layout or ModelLayout.of(self.matrices)
        self.prunable = sum(matrix.size for matrix in matrices)
        pruned = self.matrices if sparsity > 0 else []
        self.scorers: list[Scorer] = [criterion.scorer(matrix, schedule.delta_t) for matrix in pruned]
        self.masked, self.removed = True, 0
        self.idle: list[str] = []
        needs: frozenset[str] = criterion.needs if sparsity > 0 else frozenset()
        self._gradients = bool({"gradient", "removed"} & needs)
        self._inputs = [InputSquares(matrix) for matrix in pruned] if "input" in needs else None
        self._aside = [torch.zeros_like(matrix.local()) for matrix in pruned] if "removed" in needs else None
        holds = self._aside is not None or schedule.holds
        self._held = [torch.zeros_like(matrix.local(), dtype=torch.bool) for matrix in pruned] if holds else None
        self._looked = False
        self._mask: Mask | None = None
        self._selected: tuple[float, int] | None = None

    def score(self, step: int, learning_rates: float | Sequence[float]) -> None:
        """Let the criterion observe the step: clipped gradients, weights and learning rates as the update is to use them.

        Args:
            step: Steps finished before this one.
            learning_rates: What the step is about to apply: one for all, or one for each matrix.

        Raises:
            InvalidScores: If the criterion gives no score for each weight or, looked at in the first step alone, because
                looking waits for the device, one that is no number.
        """
        if not self.criterion.needs:
            return
        rates = [learning_rates] * len(self.matrices) if isinstance(learning_rates, int | float) else learning_rates
        count = len(self.scorers)
        ramp = self.schedule.sparsity(step, self.total_steps, self.target) / self.target if count else 0.0
        for number, (matrix, scorer) in enumerate(zip(self.matrices, self.scorers, strict=False)):
            weight = matrix.local()
            grad = matrix.gradient() if self._gradients else None
            inputs = None if self._inputs is None else self._inputs[number].take()
            aside = None if self._aside is None else self._aside[number]
            for rows, start in self._slices(matrix):
                seen = weight[rows] if aside is None else weight[rows] + aside[rows]
                at = WeightRows(seen, None if grad is None else grad[rows], inputs, rates[number], start, count, ramp)
                scorer.observe(at, rows, step)
            if aside is not None and self._held is not None and matrix.parameter.grad is not None:
                # The optimizer has nothing to learn of removed weights
                matrix.gradient().masked_fill_(self._held[number], 0)
            if not self._looked and not all(bool(buffer.isfinite().all()) for buffer in scorer.buffers().values()):
                raise self._culprit(matrix.name)
        if not self._looked and self._gradients:
            self.idle = [matrix.name for matrix in self.matrices if matrix.parameter.grad is None]
        self._looked = True

    def select(self, step: int) -> None:
        """Remove weights where the schedule says so.

        Args:
            step: Steps finished before this one.

        Raises:
            InvalidScores: If training has diverged, or the criterion gives no number.
        """
        if self.target > 0 and self.schedule.selects(step, self.total_steps):
            if self._aside is not None:
                self._hold()
                for matrix, values in zip(self.matrices, self._aside, strict=True):
                    matrix.local().add_(values)  # what was removed comes back as it was
            anew = self._select(self.schedule.sparsity(step, self.total_steps, self.target), step)
            self._remove(anew=anew)
            self.masked = True
        elif self._held is not None:
            self._hold()
        else:
            self.masked = self.removed == 0  # removed weights have trained on

    @property
    def complete(self) -> bool:
        """Whether the weights are masked, and as many of them as at the end."""
        return self.masked and (self.target == 0 or (self._selected is not None and self._selected[0] == self.target))

    @property
    def target_now(self) -> float:
        """Fraction of the prunable weights that the last selection removed."""
        return self.removed / self.prunable

    def zeros(self) -> list[int]:
        """Weights that are zero at this moment, matrix by matrix."""
        counts = torch.stack([(matrix.local() == 0).sum() for matrix in self.matrices])
        return [int(count) for count in counts]

    def rows(self, matrix: int | None = None) -> Iterator[Rows]:
        """The importance of the weights, slice by slice in order of position.

        Args:
            matrix: Number of the only matrix that is wanted; None for all.
        """
        for number in range(len(self.matrices)) if matrix is None else (matrix,):
            weight = self.matrices[number].local()
            for rows, start in self._slices(self.matrices[number]):
                at = WeightRows(weight[rows], None, None, 0.0, start)
                yield Rows(self.scorers[number].importance(at, rows), number, rows.start, start)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beside the weights."""
        state = {"removed": torch.tensor(self.removed), "masked": torch.tensor(self.masked)}
        if self._selected is not None:
            sparsity, window = self._selected
            state |= {
                "selected.sparsity": torch.tensor(sparsity, dtype=torch.float64),
                "selected.window": torch.tensor(window),
            }
        for matrix, scorer in zip(self.matrices, self.scorers, strict=False):
            state |= {f"{kind}.{matrix.name}": buffer for kind, buffer in scorer.buffers().items()}
        for kind, tensors in self._apart():
            state |= {f"{kind}.{matrix.name}": tensor for matrix, tensor in zip(self.matrices, tensors, strict=True)}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            KeyError: If the state is that of another model or criterion.
        """
        self.masked, self.removed, self._mask = bool(state["masked"]), int(state["removed"]), None
        if "selected.window" in state:
            self._selected = float(state["selected.sparsity"]), int(state["selected.window"])
        for matrix, scorer in zip(self.matrices, self.scorers, strict=False):
            for kind, buffer in scorer.buffers().items():
                buffer.copy_(state[f"{kind}.{matrix.name}"])
        for kind, tensors in self._apart():
            for matrix, tensor in zip(self.matrices, tensors, strict=True):
                tensor.copy_(state[f"{kind}.{matrix.name}"])

    def _apart(self) -> Iterator[tuple[str, list[Tensor]]]:
        """What is kept of removed weights, a tensor for each matrix."""
        if self._held is not None:
            yield "mask", self._held
        if self._aside is not None:
            yield "aside", self._aside

    def _slices(self, matrix: Matrix) -> Iterator[tuple[slice, int]]:
        """Rows to handle at a time, and the position of their first weight."""
        for rows in matrix.slices(self.pattern.together):
            yield rows, matrix.start + rows.start * matrix.shape[1]

    def _culprit(self, name: str) -> InvalidScores:
        """Why a score or an importance is no number: weights and gradients are looked at once it has happened."""
        for what, tensors in (
            ("weights", [matrix.local() for matrix in self.matrices]),
            ("gradients", [matrix.gradient() for matrix in self.matrices]),
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

    def _select(self, sparsity: float, step: int) -> bool:
        """Choose a mask, unless neither the importance nor the sparsity has changed since the last one; whether it did."""
        asked = (sparsity, step // self.schedule.delta_t)
        anew = asked != self._selected or not all(scorer.steady for scorer in self.scorers)
        if anew or self._mask is None:
            try:
                self._mask = self.pattern.select(self, sparsity)
            except NotFinite as error:
                raise self._culprit(error.name) from error
            self.removed, self._selected = self.pattern.count(self.layout, sparsity), asked
        return anew

    def _remove(self, *, anew: bool) -> None:
        """Zero what the mask removes; the kept weights make up for it where the mask is a new one."""
        assert self._mask is not None
        if self.removed == 0:
            return
        importance = self.rows()
        for number, matrix in enumerate(self.matrices):
            weight = matrix.local()
            for rows, _ in self._slices(matrix):
                part = self._mask(next(importance))
                if anew:
                    self.scorers[number].compensate(weight[rows], part, rows)
                if self._held is not None:
                    self._held[number][rows] = part
                if self._aside is not None:
                    self._aside[number][rows] = weight[rows] * part
                weight[rows].masked_fill_(part, 0)

    def _hold(self) -> None:
        """Zero again what the optimizer has moved of removed weights."""
        for matrix, mask in zip(self.matrices, self._held or (), strict=False):
            matrix.local().masked_fill_(mask, 0)
