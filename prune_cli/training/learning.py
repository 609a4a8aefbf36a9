"""What learns, from what, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import torch

from prune_cli.training.parallel import Passes
from prune_cli.training.processes import ALONE, Processes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from prune_cli.distillation import Regularization
    from prune_cli.distillation.teacher import Teacher
    from prune_cli.heads.base import Head
    from prune_cli.pruning.pruner import Pruner
    from prune_cli.training.batches import Batches
    from prune_cli.training.optimizer import LearningRate


@final
@dataclass(kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs that are finished, with what is done of the next.
        loss: Sum of the losses of the steps that are not logged yet, of this process's records; it stays on the device.
        logged: The last step that was logged.
        gradient: Norm of the last gradient before it was clipped.
        rate: Learning rate of the last step.
    """

    loss: Tensor
    step: int = 0
    epoch: float = 0.0
    logged: int = 0
    gradient: Tensor | None = None
    rate: float = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class Learning:
    """What learns, from what, and how.

    Attributes:
        model: The student, on the device.
        teacher: The teacher that it needs; None where it needs none.
        max_grad_norm: Norm at which a gradient is clipped, > 0.
        precision: fp32 or bf16.
        processes: Those of the run, each with its share of every step.
        passes: How something is computed with the student.
        seed: Of what several processes draw.
    """

    model: PreTrainedModel
    head: Head[Any]
    batches: Batches
    regularization: Regularization
    teacher: Teacher | None
    pruner: Pruner
    optimizer: torch.optim.Optimizer
    rate: LearningRate
    max_grad_norm: float
    precision: str
    device: torch.device
    processes: Processes = ALONE
    passes: Passes = field(default_factory=Passes)
    seed: int = 0
