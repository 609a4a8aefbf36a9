"""What a criterion is: it gives every matrix a scorer, which observes the steps and tells how important each weight is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

from jaxtyping import Bool, Float
from torch import Tensor

from prune_cli.pruning.layout import ModelLayout
from prune_cli.pruning.matrices import Weights
from prune_cli.pruning.selection import InvalidScores


class WeightRows(NamedTuple):
    """Neighbouring rows of one matrix: the unit in which scores are computed."""

    weight: Float[Tensor, "rows inner"]
    """The weights: before the optimizer step where gradients are used, else as they are."""
    grad: Float[Tensor, "rows inner"] | None
    """Their gradients after clipping; None for a criterion that needs none."""
    inputs: Float[Tensor, " inner"] | None
    """Mean square of each input that the layer read in this step; None for a criterion that needs none."""
    learning_rate: float
    """Learning rate of the step that is about to be taken."""
    start: int
    """Position of the first weight among all prunable weights, row by row."""
    matrices: int = 1
    """How many matrices are scored in this step."""
    ramp: float = 1.0
    """How far the schedule is in this step: the sparsity that it asks for over the final one, from 0 to 1."""


class Scorer(ABC):
    """The importance of the weights of one matrix, with whatever it keeps to know it.

    Attributes:
        steady: Whether the importance changes in the first step of each window of delta_t steps alone.
    """

    steady: ClassVar[bool] = False

    @abstractmethod
    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        """Take in a step; not called where the criterion needs nothing.

        Args:
            at: Weights and gradients of some rows.
            step: Steps finished before this one.
        """

    @abstractmethod
    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        """The importance of some rows, of which any but the weights may have been observed: any finite values.

        Args:
            at: The weights as they are, without gradients.
        """

    def compensate(  # noqa: B027 most criteria leave alone what remains
        self, weight: Float[Tensor, "rows inner"], removed: Bool[Tensor, "rows inner"], rows: slice
    ) -> None:
        """Change, in place, the weights that are kept when others are about to be removed; nothing, unless a scorer knows how.

        Args:
            weight: Some rows, with the weights that are about to be removed.
        """

    def buffers(self) -> dict[str, Tensor]:
        """What is kept, by name; the tensors themselves, not copies. A resumed run gets them back."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Criterion(ABC):
    """How important each weight is. Importance is compared across matrices; the lowest is removed first."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What the engine provides at every step, and no more than that:

    - "gradient": the clipped gradient;
    - "input": the mean square of each input of the layer;
    - "removed": what removed weights would be, of which the optimizer then changes none, and their gradients straight through
      the mask. They come back as they were when they were removed.

    Nothing for the importance of the weights as they are."""

    elementwise: ClassVar[bool] = False
    """Whether a weight's importance depends on that weight alone: its value, its gradients, its position. A scorer may then be
    given several matrices as one column, [weights, 1], and keeps tensors of that shape alone; `compensate` is not called."""

    @property
    def row_by_row(self) -> bool:
        """Whether the importance of a row does not depend on the other rows of its matrix, which may be on other devices."""
        return True

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        return iter(())

    def incompatibilities(self, layout: ModelLayout) -> Iterator[str]:
        """Why the criterion does not fit these matrices; its values have no problems."""
        return iter(())

    @abstractmethod
    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """Begin to score a matrix, or several in one column.

        Args:
            delta_t: Steps of a window, from one selection to the next.
        """


@dataclass(frozen=True, kw_only=True)
class WeightCriterion(Criterion):
    """A criterion that looks at the weights alone, at the moment of selection. Nothing is kept."""

    @abstractmethod
    def score(self, at: WeightRows) -> Float[Tensor, "rows inner"]:
        """Score each weight; any finite value, higher is more important."""

    def scorer(self, weights: Weights, delta_t: int) -> Scorer:
        """See `Criterion`."""
        return _AtSelection(self, weights.name)


@final
class _AtSelection(Scorer):
    """Scores whenever it is asked."""

    def __init__(self, criterion: WeightCriterion, name: str) -> None:
        self._criterion = criterion
        self._name = name

    def observe(self, at: WeightRows, rows: slice, step: int) -> None:
        raise AssertionError("the criterion needs nothing")

    def importance(self, at: WeightRows, rows: slice) -> Float[Tensor, "rows inner"]:
        return shaped(self._criterion.score(at), at, self._criterion, self._name)


def gradient(at: WeightRows) -> Float[Tensor, "rows inner"]:
    """The gradient of some rows, which the engine provides to every criterion that needs it."""
    assert at.grad is not None
    return at.grad


def shaped(score: Tensor, at: WeightRows, criterion: Criterion, name: str) -> Float[Tensor, "rows inner"]:
    """A score, if it is one for each weight.

    Raises:
        InvalidScores: If it is not.
    """
    if score.shape != at.weight.shape:
        raise InvalidScores(
            f"{type(criterion).__name__}.score gives {list(score.shape)} for {list(at.weight.shape)} weights of {name}:"
            " it must give each weight its own score"
        )
    return score
