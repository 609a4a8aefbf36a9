"""The optimal BERT surgeon: curvature in blocks, and an update of what remains (Kurtic et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightRows, gradient
from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.matrices import Weights

_GIB = 1 << 30
_GRID = (-3, -2, -1, 0, 1, 2)
"""Powers of ten, over the mean curvature, among which `damp=auto` chooses; a large one is all but magnitude."""


@final
@dataclass(frozen=True, kw_only=True)
class Obert(Criterion):
    r"""Loss of a removed weight when the others of its block make up for it (oBERT, Kurtic et al. 2022, arXiv:2203.07259).

    With the damped empirical Fisher information of a block of neighbouring weights, \(F = \lambda I + \frac1m \sum g g^T\) over
    the last m mini-batches, a weight's score is

        w^2 / (2 * [F^-1]_qq)                                   (equation 6)

    with zeros for the gradients of weights that are zero, which make up for nothing (as in the authors' code). When the
    weights Q of a block are removed, the kept ones K move by F_KK^-1 F_KQ w_Q (equation 5 for all of Q at once). Both are
    computed from the m gradients by the Woodbury identity, so that no block is ever inverted. Scores change at the first step
    of each window. Memory is 4 bytes a weight for each gradient that is kept, 4 for the score and 1 for the mask: 69 with 16.

    >>> from prune_cli.pruning.matrices import Matrix
    >>> scorer = Obert(block=2, gradients=1, damp=1.0).scorer(Matrix("weight", torch.nn.Linear(2, 1), 0), 10)
    >>> at = WeightRows(torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 1.0]]), None, 0.1, 0)
    >>> scorer.observe(at, slice(0, 1), 0)  # F = [[2, 1], [1, 2]], its inverse has 2/3 on the diagonal
    >>> scorer.importance(at, slice(0, 1))
    tensor([[0.7500, 3.0000]])

    Attributes:
        block: Weights of a block, neighbours in a row, >= 1; the last one of a row may have fewer.
        gradients: How many of the last mini-batches' gradients are kept, m, >= 1.
        damp: The damping lambda, > 0, or "auto": for each matrix the power of ten that loses least when half of its first rows
            are removed at once, as gradients tell that the curvature was not made from; chosen anew with each window until as
            many gradients are kept as there will be.
        update: Move the kept weights when others are removed.
        memory: Largest size of what is kept, in GiB, > 0.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    block: int = 64
    gradients: int = 16
    damp: str | float = "auto"
    update: bool = True
    memory: float = 8.0

    def problems(self) -> Iterator[str]:
        """See `Criterion`."""
        yield from super().problems()
        for name, least in (("block", 1), ("gradients", 2 if self.damp == "auto" else 1)):
            if getattr(self, name) < least:
                yield f"{name} is {getattr(self, name)}: give a whole number from {least} on"
        if self.damp != "auto" and not (isinstance(self.damp, float) and 0 < self.damp < math.inf):
            yield f"damp is {self.damp}: give auto, or a number above 0, as published 1e-7"
        if not 0 < self.memory < math.inf:
            yield f"memory is {self.memory:g}: give GiB, a number above 0"

    def incompatibilities(self, layout: ModelLayout) -> Iterator[str]:
        """See `Criterion`."""
        weights = sum(map(math.prod, layout.shapes.values()))
        needed = 4 * weights * (self.gradients + 1)
        if needed > self.memory * _GIB:
            most = int(self.memory * _GIB / (4 * weights)) - 1
            fewer = f"criterion.gradients={most} at most, or " if most >= 2 else ""
            yield (
                f"criterion.gradients={self.gradients} of {weights:,} weights take {needed / _GIB:.1f} GiB, and"
                f" criterion.memory={self.memory:g} allows less: give {fewer}"
                f"criterion.memory={math.ceil(10 * needed / _GIB) / 10:g}"
            )

    @property
    def row_by_row(self) -> bool:
        """See `Criterion`; the damping that is chosen depends on the first rows."""
        return self.damp != "auto"

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _Surgeon(self, weights, delta_t)


@final
class _Surgeon(Scorer):
    """The last gradients of one matrix, and the scores that they led to."""

    steady = True

    def __init__(self, criterion: Obert, weights: Weights, delta_t: int) -> None:
        self._criterion = criterion
        self._delta_t = delta_t
        weight = weights.local()
        self.gradients: Tensor = weight.new_zeros((criterion.gradients, *weight.shape), dtype=torch.float32)
        self.scores = torch.zeros_like(weight, dtype=torch.float32)
        self.seen = torch.zeros(1, dtype=torch.int64)  # gradients that the scores were made from; on the host
        self.damp: Tensor = weight.new_zeros(1, dtype=torch.float64)  # 0 before the first window

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        self.gradients[step % len(self.gradients), rows] = gradient(at)
        if step % self._delta_t == 0:
            settled = self.seen == len(self.gradients)  # the damping was chosen from as many gradients as there will be
            self.seen.fill_(min(step + 1, len(self.gradients)))
            weight = self._blocks(at.weight[None])[:, 0]
            there = (weight != 0)[:, None]  # what is gone makes up for nothing
            grads = self._blocks(self.gradients[: step + 1, rows]) * there
            if rows.start == 0 and not settled:
                self.damp.copy_(self._chosen(grads, weight))
            losses = curvature_losses(weight, grads, self.damp)
            self.scores[rows] = self._rows(losses, at.weight)

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return self.scores[rows].clone()

    def compensate(self, weight: Float[Tensor, "rows inner"], removed: Bool[Tensor, "rows inner"], rows: slice) -> None:
        if self._criterion.update and self.seen > 0:
            gone = self._blocks(removed[None])[:, 0] > 0
            moved = compensation(
                self._blocks(weight[None])[:, 0], gone, self._blocks(self.gradients[: int(self.seen), rows]), self.damp
            )
            weight += self._rows(moved, weight)

    def buffers(self) -> dict[str, Tensor]:
        return {"gradients": self.gradients, "scores": self.scores, "damp": self.damp, "seen": self.seen}

    def _blocks(self, rows: Tensor) -> Float[Tensor, "blocks m block"]:
        """Rows in blocks, the last one of a row filled up with zeros; in float64."""
        size = min(self._criterion.block, rows.shape[-1])
        filled = pad(rows.double(), (0, -rows.shape[-1] % size))
        return filled.reshape(len(rows), -1, size).transpose(0, 1)

    def _rows(self, blocks: Float[Tensor, "blocks block"], like: Float[Tensor, "rows inner"]) -> Tensor:
        wide = -(-like.shape[1] // blocks.shape[1]) * blocks.shape[1]
        return blocks.reshape(len(like), wide)[:, : like.shape[1]].to(like.dtype)

    def _chosen(self, grads: Float[Tensor, "blocks m block"], weight: Float[Tensor, "blocks block"]) -> Tensor:
        """The damping: as given, or that of the grid which loses least of what the other half of the gradients tells."""
        if isinstance(self._criterion.damp, float):
            return torch.full_like(self.damp, self._criterion.damp)
        mean = grads.square().mean().clamp_min(1e-30).log10().round()  # a round number, whatever the order of the sum
        fitted_on, held_out = grads[:, 0::2], grads[:, 1::2]
        if held_out.shape[1] == 0:
            return 10**mean
        damps, losses = [10 ** (mean + power) for power in _GRID], list[Tensor]()
        for damp in damps:
            scores = curvature_losses(weight, fitted_on, damp)
            removed = scores <= scores.flatten().median()
            moved = compensation(weight, removed, fitted_on, damp).masked_fill(removed, 0)
            change = (held_out @ (moved - weight * removed)[:, :, None]).sum(0)  # of the loss, for each gradient
            losses.append(change.square().mean())
        return torch.stack(damps).gather(0, torch.stack(losses).argmin(0, keepdim=True))


def curvature_losses(
    weight: Float[Tensor, "blocks block"], grads: Float[Tensor, "blocks m block"], damp: Tensor
) -> Float[Tensor, "blocks block"]:
    """Loss of each weight if it alone is removed and the others of its block make up for it.

    Args:
        grads: Gradients of m mini-batches.
        damp: The damping lambda, one number.
    """
    m = grads.shape[1]
    factor = _cholesky(grads, m * damp)
    solved = torch.cholesky_solve(grads, factor)
    left = (1 - (grads * solved).sum(1)).clamp_min(1e-12)  # lambda times the diagonal of the inverse
    return damp * weight.square() / (2 * left)


def compensation(
    weight: Float[Tensor, "blocks block"],
    removed: Bool[Tensor, "blocks block"],
    grads: Float[Tensor, "blocks m block"],
    damp: Tensor,
) -> Float[Tensor, "blocks block"]:
    """By how much the kept weights of a block move when others are removed; zero for these.

    Args:
        removed: Which of them are.
        grads: Gradients of m mini-batches.
        damp: The damping lambda, one number.
    """
    kept = grads * ~removed[:, None]
    pull = (grads * (weight * removed)[:, None]).sum(2, keepdim=True)
    return (kept.mT @ torch.cholesky_solve(pull, _cholesky(kept, grads.shape[1] * damp)))[:, :, 0]


def _cholesky(grads: Float[Tensor, "blocks m block"], damp: Tensor) -> Float[Tensor, "blocks m m"]:
    gram = grads @ grads.mT
    gram.diagonal(dim1=1, dim2=2).add_(damp)
    # what is without _ex waits for the device to see whether it failed
    made = torch.linalg.cholesky_ex(gram)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] torch does not say
    factor, failed = cast("tuple[Tensor, Tensor]", made)
    return torch.where(failed.view(-1, 1, 1) == 0, factor, torch.nan)  # scores that are no numbers are refused
