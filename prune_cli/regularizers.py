"""Regularization: what the student learns from beside the labels. A class here and a YAML in conf/regularization make one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from prune_cli.marks import BY_CONTENT

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class NoTeacher:
    """Plain fine-tuning: the task loss alone."""


@final
@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher's predictions beside the labels (self-regularization of PINS, Ren and Zhu 2023, section 3.3).

    Attributes:
        weight: Weight of the labels' term: "adaptive", the student's own confidence a_b on each record being that of the
            teacher's term; or the teacher's weight as a number from 0 to 1.
        temperature: Softens both distributions, > 0.
        update: When the student becomes the teacher: after an evaluation that is the "best" so far, after every one
            ("latest"), or "never".
        first_teacher: Folder of a dense fine-tuned model that teaches first; null to have none until the first evaluation.
    """

    weight: str | float = "adaptive"
    temperature: float = 2.0
    update: str = "best"
    first_teacher: str | None = field(default=None, metadata=BY_CONTENT)

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.weight != "adaptive" and not (isinstance(self.weight, (int, float)) and 0 <= self.weight <= 1):
            raise ValueError(f"weight is {self.weight!r}: give adaptive, or the teacher's weight from 0 to 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: give a number above 0, as published 2")
        if self.update not in ("best", "latest", "never"):
            raise ValueError(f"update is {self.update!r}: give best, latest or never")
        if self.update == "never" and self.first_teacher is None:
            raise ValueError("first_teacher is missing: with update=never give the folder of a fine-tuned model")

    def losses(self, student: Tensor, teacher: Tensor, labels: Tensor, classes: Tensor | None = None) -> Tensor:
        """Loss of each of a batch of decisions, whatever they are: records, tokens, starts of spans.

            a_b  = 1 - H(p_b) / log C
            loss = a_b * tau^2 * KL(q_b^tau || p_b^tau) + (1 - a_b) * CE_b

        p is the student's and q the teacher's distribution; no gradient flows through a_b. With a fixed weight a_b is that
        weight.

        Args:
            student: The student's logits, [decisions, classes].
            teacher: The teacher's logits, [decisions, classes], without gradient.
            labels: The right class of each, [decisions].
            classes: C of each decision, [decisions], where the logits of some classes are masked by large negative numbers;
                None where all classes count.

        Returns:
            [decisions].
        """
        from torch.nn.functional import cross_entropy, kl_div, log_softmax

        student, teacher = student.float(), teacher.float()
        tau = self.temperature
        labelled = cross_entropy(student, labels, reduction="none")
        log_p, log_q = log_softmax(student / tau, -1), log_softmax(teacher / tau, -1)
        taught = kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1).mul(tau**2)
        a = confidence(student, classes) if self.weight == "adaptive" else float(self.weight)
        return a * taught + (1 - a) * labelled

    def regression_loss(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Loss over a batch of numbers: squared distances to the teacher's prediction and to the label.

        A number has no class distribution, so no confidence: "adaptive" weighs both alike (0.5).

        Args:
            student: The student's predictions, [records].
            teacher: The teacher's predictions, [records], without gradient.
            labels: The right values, [records].

        Returns:
            The mean loss, a scalar.
        """
        student, teacher = student.float(), teacher.float()
        a = 0.5 if self.weight == "adaptive" else float(self.weight)
        return (a * (student - teacher) ** 2 + (1 - a) * (student - labels) ** 2).mean()


def confidence(logits: Tensor, classes: Tensor | None = None) -> Tensor:
    """How sure a model is of each decision: 1 - H(p) / log C, without gradient.

    Args:
        logits: [decisions, classes], at least two classes.
        classes: C of each decision, [decisions], > 1, where some logits are masked; None where all classes count.

    Returns:
        [decisions], from 0 (uniform) to 1 (certain).

    >>> import torch
    >>> confidence(torch.tensor([[0.0, 0.0], [100.0, 0.0]]))
    tensor([0., 1.])
    >>> confidence(torch.tensor([[0.0, 0.0, -1e30]]), torch.tensor([2]))
    tensor([0.])
    """
    log_p = logits.detach().log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return 1 - entropy / (math.log(logits.shape[-1]) if classes is None else classes.log())
