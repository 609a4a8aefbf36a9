"""What layers read in training: mean squares by hand, and what cannot be read."""

from __future__ import annotations

import pytest
import torch

from prune_cli.pruning.inputs import InputSquares, mean_squares
from prune_cli.pruning.matrices import Matrix
from prune_cli.pruning.peers import ALONE
from prune_cli.pruning.selection import InvalidScores


class Anything(torch.nn.Linear):
    """A layer that takes whatever it is called with."""

    def forward(self, *inputs):
        return inputs


def means(squares: InputSquares) -> list[float]:
    return mean_squares([squares], ALONE)[0].tolist()


def test_mean_squares_over_all_that_was_read_in_training() -> None:
    layer = torch.nn.Linear(2, 3)
    squares = InputSquares(Matrix("weight", layer, 0))
    layer(torch.tensor([[1.0, 2.0]]))
    assert means(squares) == [1.0, 4.0]
    layer(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
    layer(torch.tensor([[[5.0, 1.0]]]))
    layer.eval()
    layer(torch.tensor([[9.0, 9.0]]))
    assert means(squares) == pytest.approx([35 / 3, 5 / 3])
    assert means(squares) == [0.0, 0.0]


def test_a_layer_that_is_called_with_something_else_is_named() -> None:
    layer = Anything(2, 3)
    squares = InputSquares(Matrix("encoder.weight", layer, 0))
    for inputs in ((), (torch.zeros(1, 5),)):
        with pytest.raises(InvalidScores, match=r"the inputs of encoder\.weight cannot be told"):
            layer(*inputs)
    assert means(squares) == [0.0, 0.0]


def test_a_matrix_that_is_not_all_of_its_layer_is_refused_at_once() -> None:
    """Experts are called with tokens that others read; a projection of XLNet is one of five."""
    experts = torch.nn.Module()
    experts.weight = torch.nn.Parameter(torch.zeros(2, 3, 4))
    experts.q = torch.nn.Parameter(torch.zeros(4, 3))
    for matrix in (Matrix("experts.weight.0", experts, 0, 0), Matrix("attention.q", experts, 0)):
        with pytest.raises(InvalidScores, match=f"the inputs of {matrix.name} cannot be told"):
            InputSquares(matrix)
