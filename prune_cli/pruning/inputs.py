"""What the layers of prunable matrices read, for criteria that ask for it."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prune_cli.pruning.matrices import Matrix
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

    def take(self) -> Float[Tensor, " inner"]:
        """The mean squares since they were taken last; zeros where nothing was read."""
        squares = self._sums / max(1, self._count)
        self._sums.zero_()
        self._count = 0
        return squares

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
