"""The decisions of a batch, all that a loss needs to know: which class, or which number, and what would have been right.

Losses are sums over decisions. Whoever adds up several batches divides by the number of all their decisions, so that
accumulated batches equal one larger batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 1 << 22  # 16 MiB of float32; twice as many are a tenth faster on a CPU and take 0.15 GB more


class OutputLayer(Protocol):
    """Makes logits of hidden states, [n, width] -> [n, classes]."""

    @property
    def classes(self) -> int:
        """How many logits it makes of one state."""
        ...

    def __call__(self, hidden: Tensor) -> Tensor:
        """The logits."""
        ...


class Choice(NamedTuple):
    """Decisions for one of several classes each.

    Attributes:
        logits: [decisions, classes]; what `layer` makes them of, [decisions, width], where there is one.
        labels: The right classes, [decisions].
        classes: How many classes each decision has, [decisions], > 1, where the logits of some are masked by large negative
            numbers; None where all count.
        layer: Makes the logits, where they are too large to be held for all decisions at once.
    """

    logits: Tensor
    labels: Tensor
    classes: Tensor | None = None
    layer: OutputLayer | None = None


class Number(NamedTuple):
    """Decisions for a number each.

    Attributes:
        values: [decisions].
    """

    values: Tensor
    labels: Tensor


Decisions = Sequence[Choice | Number]
"""All decisions of a batch: one member, or two where each record has two (first and last token of an answer)."""


def task_loss(decisions: Decisions) -> Tensor:
    """Cross-entropy of choices and squared error of numbers, summed over the decisions of a batch.

    Returns:
        A scalar.
    """
    return torch.stack([_task_loss(each) for each in decisions]).sum()


def _task_loss(decisions: Choice | Number) -> Tensor:
    if isinstance(decisions, Number):
        return mse_loss(decisions.values.float(), decisions.labels, reduction="sum")
    return in_pieces(lambda at, _: cross_entropy(at.logits.float(), at.labels, reduction="sum"), decisions, None)


def in_pieces(loss: Callable[[Choice, Choice | None], Tensor], student: Choice, teacher: Choice | None) -> Tensor:
    """The sum of a loss over choices; where logits are made by a layer, a piece at a time, and again in the backward pass.

    So neither the student's logits nor the teacher's are ever held for a whole batch of texts.

    Args:
        loss: Sum over some choices, whose logits are there.
        student: The student's.
        teacher: The teacher's for the same, or those of another pass of the student; None without either.
    """
    if student.layer is None:
        return loss(student, teacher)

    def part(hidden: Tensor, taught: Tensor | None, labels: Tensor) -> Tensor:
        assert student.layer is not None
        teacher_choice = None
        if teacher is not None and taught is not None:
            assert teacher.layer is not None
            teacher_choice = Choice(teacher.layer(taught), labels)
        return loss(Choice(student.layer(hidden), labels), teacher_choice)

    count = max(1, LOGITS_AT_ONCE // student.layer.classes)
    hiddens = student.logits.split(count)
    taughts = [None] * len(hiddens) if teacher is None else teacher.logits.split(count)
    parts = zip(hiddens, taughts, student.labels.split(count), strict=True)
    losses = [cast("Tensor", checkpoint(part, *p, use_reentrant=False, preserve_rng_state=False)) for p in parts]
    return torch.stack(losses).sum()
