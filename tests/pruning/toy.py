"""Prunable matrices without a model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from prune_cli.pruning.matrices import Matrix


def matrices(weights: Mapping[str, nn.Parameter]) -> list[Matrix]:
    """Matrices of these weights, [out, in] each, in their order."""
    made: list[Matrix] = []
    start = 0
    for name, weight in weights.items():
        module = nn.Module()
        module.register_parameter(name, weight)
        made.append(Matrix(name, module, start))
        start += weight.numel()
    return made
