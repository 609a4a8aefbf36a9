"""A matrix as the rules see it, rows for outputs, however a layer stores it."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


class Affine(NamedTuple):
    """A linear layer.

    Attributes:
        weight: [out, in].
        bias: [out]; zeros where the layer has none.
        biased: Whether it has one.
    """

    weight: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"]
    biased: bool

    @classmethod
    def of(cls, layer: nn.Module) -> Affine:
        """That of a Linear, or of GPT-2's Conv1D, whose weight is stored [in, out]; on the CPU, wherever the layer is.

        Raises:
            TypeError: If it is another.
        """
        if isinstance(layer, Conv1D):
            weight = layer.weight.detach().cpu().T
        elif isinstance(layer, nn.Linear):
            weight = layer.weight.detach().cpu()
        else:
            raise TypeError(f"{type(layer).__name__} is no linear layer")
        bias = None if layer.bias is None else layer.bias.detach().cpu()
        return cls(weight, weight.new_zeros(len(weight)) if bias is None else bias, bias is not None)

    @property
    def rows(self) -> Bool[Tensor, " out"]:
        """Outputs that depend on any input."""
        return (self.weight != 0).any(1)

    @property
    def columns(self) -> Bool[Tensor, " in"]:
        """Inputs that any output depends on."""
        return (self.weight != 0).any(0)

    def times(self, factor: float) -> Affine:
        """All that comes out, multiplied."""
        return Affine(self.weight * factor, self.bias * factor, self.biased)
