"""What the layers of prunable matrices read, for criteria that ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.peers import Peers
from prune_cli.pruning.selection import InvalidScores


@final
class InputSquares:
    """The mean square of each input of a matrix, over all that its layer reads in the training of one step.

    Padding is read like everything else. Where activations are computed again in the backward pass, both passes are read,
    which leaves the mean as it is.
    """

    def __init__(self, matrix: Matrix) -> None:
        """Begin to watch.

        Args:
            matrix: Its layer is watched for as long as it lives.

        Raises:
            InvalidScores: If the layer has other weights too, so that what it reads may be the input of those.
        """
        self._name = matrix.name
        if not (matrix.number is None and matrix.name.endswith("weight")):
            raise self._unknown()
        self._sums: Tensor = torch.zeros(matrix.shape[1], device=matrix.parameter.device)
        self._count = 0
        matrix.module.register_forward_pre_hook(self._read)

    def take(self) -> tuple[Float[Tensor, " inner"], int]:
        """The sum of squares of each input since it was taken last, and of how many."""
        sums, count = self._sums.clone(), self._count
        self._sums.zero_()
        self._count = 0
        return sums, count

    def _read(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not module.training:
            return
        if not inputs or inputs[0].shape[-1] != len(self._sums):
            raise self._unknown()
        read = inputs[0].detach().reshape(-1, len(self._sums))
        self._sums += read.float().square().sum(0)
        self._count += len(read)

    def _unknown(self) -> InvalidScores:
        return InvalidScores(
            f"the inputs of {self._name} cannot be told from what its layer is called with: leave it out by model.exclude,"
            " or choose a criterion that does without inputs"
        )


def mean_squares(inputs: Sequence[InputSquares], peers: Peers) -> list[Float[Tensor, " inner"]]:
    """The mean squares of the inputs of some matrices, over what layers read on all processes; zeros where they read nothing."""
    sums, counts = zip(*(each.take() for each in inputs), strict=True)
    if peers.count == 1:
        return [squares / max(1, count) for squares, count in zip(sums, counts, strict=True)]
    joined = peers.total(torch.cat([*sums, torch.tensor(counts, dtype=torch.float32).to(sums[0].device)]))
    *totals, read = torch.split(joined, [*map(len, sums), len(counts)])
    return [squares / count for squares, count in zip(totals, read.clamp_min(1), strict=True)]
