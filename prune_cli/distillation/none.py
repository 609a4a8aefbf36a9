"""No regularization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from prune_cli.distillation.base import Regularization
from prune_cli.heads.decisions import task_loss

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.distillation.states import Reading


@final
@dataclass(frozen=True, kw_only=True)
class NoTeacher(Regularization):
    """Plain fine-tuning: the loss of the labels alone."""

    def problems(self) -> Iterator[str]:
        """See `Regularization`."""
        return iter(())

    def loss(self, student: Reading, teacher: Reading | None, second: Reading | None) -> Tensor:
        """See `Regularization`."""
        return task_loss(student.decisions)
