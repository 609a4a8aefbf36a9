"""The pruner: joins matrices, criterion, schedule and pattern into two calls around the optimizer's step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import cast, final

import torch
from torch import Tensor

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows
from prune_cli.pruning.inputs import InputSquares, mean_squares
from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.matrices import Joined, Matrix, Weights, pieces
from prune_cli.pruning.patterns.base import Pattern, Rows
from prune_cli.pruning.peers import ALONE, Peers
from prune_cli.pruning.schedules import Schedule
from prune_cli.pruning.selection import CutoffFinder, Divergence, InvalidScores, NotFinite
from prune_cli.pruning.shards import share
from prune_cli.pruning.zeroing import integers, keep


class Apart(RuntimeError):
    """Processes that should hold the same weights do not."""


@final
class Pruner:
    """Prunes the weights of a model while it trains.

    Around every optimizer step, once gradients are clipped:

        pruner.score(step, learning_rates)    # of the old weights, by their gradients
        optimizer.step()
        pruner.select(step)                   # and zero what is not kept

    Memory is what the criterion keeps, and one byte a weight for the mask where it is used again: where the importance changes
    once a window, or the schedule holds removed weights at zero.

    Attributes:
        masked: Whether what the mask removes is zero at this moment.
        removed: Weights that the last selection removed.
        cutoffs: Finds them for the pattern.
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
        peers: Peers = ALONE,
    ) -> None:
        """Prepare to prune.

        Args:
            matrices: Sharded already, where they are to be.
            sparsity: Fraction removed at the end, in [0, 1].
            layout: What the matrices look like; None where no pattern asks for units.
            peers: The processes that prune the model together.
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
        self._pieces = pieces(pruned, join=criterion.elementwise)
        self._rows = [list(_placed(piece, piece.slices(pattern.together))) for piece in self._pieces]
        self.scorers: list[Scorer] = [criterion.scorer(piece, schedule.delta_t) for piece in self._pieces]
        self.masked, self.removed = True, 0
        self.idle: list[str] = []
        needs: frozenset[str] = criterion.needs if sparsity > 0 else frozenset()
        self._gradients = bool({"gradient", "removed"} & needs)
        self._inputs = [InputSquares(matrix) for matrix in pruned] if "input" in needs else None
        self._aside = [torch.zeros_like(piece.local()) for piece in self._pieces] if "removed" in needs else None
        self._steady = all(scorer.steady for scorer in self.scorers)
        keeps = self._aside is not None or schedule.holds or self._steady
        self._kept = [torch.ones_like(piece.local(), dtype=torch.bool) for piece in self._pieces] if keeps else None
        self._looked = False
        self._peers = peers
        self.cutoffs = CutoffFinder(peers.total) if peers.sharded else CutoffFinder()
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
        pruned = len(self.matrices) if self.scorers else 0
        ramp = self.schedule.sparsity(step, self.total_steps, self.target) / self.target if pruned else 0.0
        first = 0
        read = None if self._inputs is None else mean_squares(self._inputs, self._peers)
        for number, (piece, scorer) in enumerate(zip(self._pieces, self.scorers, strict=True)):
            weight = piece.local()
            grad = piece.gradient() if self._gradients else None
            inputs = None if read is None else read[number]
            aside = None if self._aside is None else self._aside[number]
            own = rates[first : first + len(piece.matrices)]
            first += len(piece.matrices)
            placed = self._rows[number]
            if isinstance(piece, Joined) and len(set(own)) > 1:
                placed = list(_placed(piece, piece.each()))
            for turn, (rows, start) in enumerate(placed):
                rate = own[turn % len(own)]  # one for each matrix if they differ, else the only one
                seen = weight[rows] if aside is None else weight[rows] + aside[rows]
                at = WeightRows(seen, None if grad is None else grad[rows], inputs, rate, start, pruned, ramp)
                scorer.observe(at, rows, step)
            if aside is not None and self._kept is not None:  # the optimizer has nothing to learn of removed weights
                grads = [None if each.parameter.grad is None else each.gradient() for each in piece.matrices]
                keep(grads, self._kept[number], piece)
            if not self._looked:
                self._look_at(piece, scorer)
        if not self._looked and self._gradients:
            self.idle = [matrix.name for matrix in self.matrices if matrix.parameter.grad is None]
        self._looked = True

    def select(self, step: int) -> None:
        """Remove weights where the schedule says so.

        Args:
            step: Steps finished before this one.

        Raises:
            InvalidScores: If training has diverged, or the criterion gives no number.
            Apart: If another process, which is to hold the same weights, holds others.
        """
        if self.target > 0 and self.schedule.selects(step, self.total_steps):
            asked = (self.schedule.sparsity(step, self.total_steps, self.target), step // self.schedule.delta_t)
            if self._steady and asked == self._selected:
                self._hold()  # nothing has changed that the mask was chosen by
            else:
                self._put_back()
                self._remove(asked[0])
                self._selected = asked
            self.masked = True
        elif self._kept is not None and (self._aside is not None or self.schedule.holds):
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
        kept = self.cutoffs.total(torch.stack([matrix.local().count_nonzero() for matrix in self.matrices]))
        counts = cast("list[int]", kept.tolist())  # pyright: ignore[reportUnknownMemberType] torch does not say
        return [matrix.size - count for matrix, count in zip(self.matrices, counts, strict=True)]

    def rows(self, matrix: int | None = None) -> Iterator[Rows]:
        """The importance of the weights, slice by slice in order of position.

        Args:
            matrix: Number of the only matrix that is wanted; None for all.
        """
        return (rows for *_, rows in self._runs(matrix))

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beside the weights; what is kept of sharded weights is sharded as they are."""
        state = {"removed": torch.tensor(self.removed), "masked": torch.tensor(self.masked)}
        if self._selected is not None:
            sparsity, window = self._selected
            state |= {
                "selected.sparsity": torch.tensor(sparsity, dtype=torch.float64),
                "selected.window": torch.tensor(window),
            }
        for kind, matrix, tensor in self._tensors():
            state[f"{kind}.{matrix.name}"] = matrix.joint(tensor)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave.

        Args:
            state: Of all weights, however many processes hold them.

        Raises:
            KeyError: If the state is that of another model or criterion.
        """
        self.masked, self.removed = bool(state["masked"]), int(state["removed"])
        if "selected.window" in state:
            self._selected = float(state["selected.sparsity"]), int(state["selected.window"])
        for kind, matrix, tensor in self._tensors():
            tensor.copy_(share(state[f"{kind}.{matrix.name}"], matrix.joint(tensor)))

    def _tensors(self) -> Iterator[tuple[str, Matrix, Tensor]]:
        """What is kept of the weights: its kind, the matrix, and the tensor itself."""
        for number, (piece, scorer) in enumerate(zip(self._pieces, self.scorers, strict=True)):
            kinds = {**scorer.buffers()}
            if self._kept is not None:
                kinds["mask"] = self._kept[number]
            if self._aside is not None:
                kinds["aside"] = self._aside[number]
            for kind, tensor in kinds.items():
                for matrix, part in zip(piece.matrices, piece.parts(tensor), strict=True):
                    yield kind, matrix, part

    def _runs(self, matrix: int | None = None) -> Iterator[tuple[int, slice, Weights, Rows]]:
        """The number of a piece, some of its rows, which matrices these are, and their importance; all of it in order."""
        first = 0
        for number, (piece, scorer) in enumerate(zip(self._pieces, self.scorers, strict=True)):
            if isinstance(piece, Joined) and not (matrix is None and self.pattern.anywhere):
                for each, rows, of in zip(piece.matrices, piece.each(), itertools.count(first), strict=False):
                    if matrix in (None, of):
                        at = WeightRows(each.local().reshape(-1, 1), None, None, 0.0, each.start)
                        yield number, rows, each, Rows(scorer.importance(at, rows).view(each.shape), of, 0, each.start)
            elif matrix in (None, first):
                weight = piece.local()
                for rows, start in self._rows[number]:
                    at = WeightRows(weight[rows], None, None, 0.0, start)
                    row = piece.matrices[0].first + rows.start
                    yield number, rows, piece, Rows(scorer.importance(at, rows), first, row, start)
            first += len(piece.matrices)

    def _look_at(self, piece: Weights, scorer: Scorer) -> None:
        """Refuse what is no number in the first step, and name the matrix."""
        for buffer in scorer.buffers().values():
            for matrix, part in zip(piece.matrices, piece.parts(buffer), strict=True):
                if not part.isfinite().all():
                    raise self._culprit(matrix.name)

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

    def _remove(self, sparsity: float) -> None:
        """Choose a mask, zero what it removes, and let the kept weights make up for it."""
        try:
            mask = self.pattern.select(self, sparsity)
        except NotFinite as error:
            wrong = (n for n in range(len(self.matrices)) if not all(bool(at.values.isfinite().all()) for at in self.rows(n)))
            if (number := next(wrong, None)) is None:
                raise Divergence(f"another process tells: {error}") from error
            raise self._culprit(self.matrices[number].name) from error
        self.removed = self.pattern.count(self.layout, sparsity)
        if self.removed == 0:
            return
        for number, rows, weights, at in self._runs():
            removed = mask(at)
            kept = removed.logical_not()
            if self._kept is not None:
                self._kept[number][rows] = kept.view_as(self._kept[number][rows])
            if isinstance(weights, Joined):
                values = [matrix.local() for matrix in weights.matrices]
            else:
                row = at.first - weights.first
                values = [weights.local()[row : row + len(kept)]]
                self.scorers[number].compensate(values[0], removed, rows)
            if self._aside is not None:
                together = weights.local() if isinstance(weights, Joined) else values[0]
                self._aside[number][rows] = (together * removed).view_as(self._aside[number][rows])
            keep(values, kept, weights)
        if self._peers.count > 1 and not self._peers.sharded:
            self._compare()

    def _compare(self) -> None:
        """Compare checksums of the weights, and so of the masks, with those of the other processes."""
        sums = torch.stack([integers(matrix.local()).sum(dtype=torch.int64) for matrix in self.matrices])
        apart = self._peers.highest(sums) != -self._peers.highest(-sums)
        if bool(apart.any()):
            raise Apart(
                f"the weights of {self.matrices[int(apart.int().argmax())].name} are not the same on all processes: let all of"
                " them compute on devices of one kind, with the same versions of everything, and go on from the last checkpoint"
            )

    def _hold(self) -> None:
        """Zero again what the optimizer has moved of removed weights."""
        if self.removed > 0:
            for piece, kept in zip(self._pieces, self._kept or (), strict=False):
                keep([matrix.local() for matrix in piece.matrices], kept, piece)

    def _put_back(self) -> None:
        """Give removed weights back what they were, where that is known."""
        if self._aside is not None:
            self._hold()
            for piece, aside in zip(self._pieces, self._aside, strict=True):
                for matrix, values in zip(piece.matrices, piece.parts(aside), strict=True):
                    matrix.local().add_(values)


def _placed(weights: Weights, parts: Iterator[slice]) -> Iterator[tuple[slice, int]]:
    """Rows to handle at a time, and the position of their first weight."""
    inner = weights.shape[1]
    return ((rows, weights.begins + rows.start * inner) for rows in parts)
