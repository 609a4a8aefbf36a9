"""The protocol that every objective follows, and what several share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation

Batch = Mapping[str, Any]
Features = Sequence[Mapping[str, Any]]
View = TypeVar("View")

IGNORED = -100
"""Label of what is not learned, and padding of outputs."""


class Objective(Protocol[View]):
    """How a head is trained and read.

    `view` is the one pass through a model, student or teacher; everything else works on what it gave.
    """

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Make a batch of encoded records; `labels` are in it where the records have them."""
        ...

    def view(self, model: nn.Module, batch: Batch) -> View:
        """Run a model on a batch and keep what loss and outputs need."""
        ...

    def loss(self, view: View, batch: Batch, taught: View | None, rule: Distillation | None) -> Tensor:
        """The mean loss over the decisions of a batch, whatever its padding.

        Args:
            view: The student's.
            batch: With labels.
            taught: The teacher's; None for the plain task loss.
            rule: How both are weighed; None without a teacher.
        """
        ...

    def outputs(self, model: nn.Module, batch: Batch, view: View) -> tuple[Tensor, ...]:
        """What a task's `predictions` reads: tensors with one row a record of the batch."""
        ...


def inputs_of(batch: Batch) -> dict[str, Any]:
    """The batch without its labels."""
    return {name: value for name, value in batch.items() if name != "labels"}


def padded(tokenizer: PreTrainedTokenizerBase, features: Features) -> dict[str, Tensor]:
    """Pad what the tokenizer made to the longest record, and leave the other columns out."""
    from transformers import DataCollatorWithPadding

    names = [name for name in tokenizer.model_input_names if name in features[0]]
    return dict(DataCollatorWithPadding(tokenizer)([{name: feature[name] for name in names} for feature in features]))


def decision_losses(
    student: Tensor, labels: Tensor, teacher: Tensor | None, rule: Distillation | None, classes: Tensor | None = None
) -> Tensor:
    """The loss of each decision: cross-entropy, or that of self-regularization.

    Args:
        student: The student's logits, [decisions, classes].
        labels: The right classes, [decisions].
        teacher: The teacher's logits; None for plain cross-entropy.
        rule: How both are weighed; None without a teacher.
        classes: How many classes each decision has, [decisions], where some of the logits are masked; None for all.

    Returns:
        [decisions].
    """
    if teacher is None or rule is None:
        return cross_entropy(student.float(), labels, reduction="none")
    return rule.losses(student, teacher, labels, classes)
