"""What a regularization is: what it needs to see of a batch, the loss that it makes of it, and who its teacher is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.distillation.states import Kind, Reading

Need = Literal["teacher", "hidden", "attention", "second_pass"]
NEEDS: tuple[Need, ...] = get_args(Need)


class Regularization(ABC):
    """What the student learns from beside the labels; a subclass is a frozen dataclass.

    Attributes:
        first_teacher: Folder of a fine-tuned model that teaches until the student becomes the teacher; None without one. A
            class whose users may give one makes it a field, with the metadata `prune_cli.marks.BY_CONTENT`.
    """

    first_teacher: str | None = None

    @property
    def needs(self) -> frozenset[Need]:
        """What `loss` wants to see beside the decisions of the student; each takes time and memory.

        "teacher": what a teacher makes of the batch. Until there is one, the loss is that of the labels, and `loss` waits.
        "hidden", "attention": what the blocks put out, and the attention inside of them, of student and teacher.
        "second_pass": what the student makes of the batch once more, with other dropout.
        """
        return frozenset()

    @property
    def kinds(self) -> list[Kind]:
        """Of the states that it needs."""
        kinds: tuple[Kind, ...] = ("hidden", "attention")
        return [kind for kind in kinds if kind in self.needs]

    @abstractmethod
    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""

    @abstractmethod
    def loss(self, student: Reading, teacher: Reading | None, second: Reading | None) -> Tensor:
        """Loss of a batch, that of the labels included.

        Args:
            teacher: What the teacher made of it, without gradient; None where it is not needed.
            second: What the student made of it the second time, with a gradient of its own; None where it is not needed.

        Returns:
            The sum over the decisions, a scalar: batches add up to a larger one.
        """

    def state_loss(self, student: Reading, teacher: Reading | None) -> Tensor | None:
        """Further loss, of states; None without one. It is not asked as long as a teacher is needed and there is none.

        Args:
            student: See `loss`.
            teacher: See `loss`.

        Returns:
            The sum over the rows of the batch, a scalar.
        """
        return None

    def renews(self, step: int, metric: float, best: float | None) -> bool:
        """Whether the student, which has just been evaluated, becomes the teacher; asked where a teacher is needed.

        Args:
            metric: Primary metric of the student; higher is better.
            best: Primary metric of the best student so far, or of the first teacher; None without either.
        """
        return False

    @property
    def mean_decay(self) -> float | None:
        """Decay, a step, of the teacher as a running mean of the student's weights, in [0, 1); None for one that stays."""
        return None
