"""Distillation: a teacher beside the labels, which is the student's own best, its running mean, or another model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import torch
from torch.nn.functional import kl_div, log_softmax, nll_loss

from prune_cli.distillation.base import Need, Regularization
from prune_cli.distillation.states import distance
from prune_cli.heads.decisions import Choice, Number, in_pieces
from prune_cli.marks import BY_CONTENT
from prune_cli.models.locations import folder_problems

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.distillation.states import Kind, Reading
    from prune_cli.heads.decisions import Decisions


@final
@dataclass(frozen=True, kw_only=True)
class Distillation(Regularization):
    """A teacher's predictions beside the labels (self-regularization of PINS, Ren and Zhu 2023, section 3.3).

    Attributes:
        weight: Weight of the labels' term: "adaptive", the student's own confidence a_b on each record being that of the
            teacher's term; or the teacher's weight as a number from 0 to 1.
        temperature: Softens both distributions, > 0.
        update: When the student becomes the teacher: after an evaluation that is the "best" so far, after every one
            ("latest"), or "never"; or after the first one, from where on the teacher is the running mean of the student's
            weights ("ema", the mean teacher of Tarvainen and Valpola 2017, arXiv:1703.01780).
        decay: Of that running mean, a step, in [0, 1).
        first_teacher: Folder of a dense fine-tuned model that teaches first; null to have none until the first evaluation.
        hidden: Weight of the distance to what the teacher's blocks put out, normalized (SquareHead, Kurtic et al. 2023,
            arXiv:2310.06927); >= 0, there 1.
        attention: Weight of the same distance for the attention inside of the blocks, >= 0.
    """

    weight: str | float = "adaptive"
    temperature: float = 2.0
    update: str = "best"
    decay: float = 0.999
    first_teacher: str | None = field(default=None, metadata=BY_CONTENT)
    hidden: float = 0.0
    attention: float = 0.0

    @property
    def needs(self) -> frozenset[Need]:
        """See `Regularization`."""
        return frozenset(("teacher", *self._weights()))

    def _weights(self) -> dict[Kind, float]:
        """The kinds of states that are learned from, and with which weight."""
        weights: dict[Kind, float] = {"hidden": self.hidden, "attention": self.attention}
        return {kind: weight for kind, weight in weights.items() if weight > 0}

    def problems(self) -> Iterator[str]:
        """See `Regularization`."""
        if self.weight != "adaptive" and not (isinstance(self.weight, int | float) and 0 <= self.weight <= 1):
            yield f"weight is {self.weight}: give adaptive, or the teacher's weight from 0 to 1"
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            yield f"temperature is {self.temperature:g}: give a number above 0, as published 2"
        if self.update not in ("best", "latest", "ema", "never"):
            yield f"update is {self.update}: give best, latest, ema or never"
        if not 0 <= self.decay < 1:
            yield f"decay is {self.decay:g}: give a decay from 0 to below 1, such as 0.999"
        for name in ("hidden", "attention"):
            if not 0 <= getattr(self, name) < math.inf:
                yield f"{name} is {getattr(self, name):g}: give a weight from 0 (none) on, such as 1"
        if self.first_teacher is not None:
            yield from (f"first_teacher={self.first_teacher}: {problem}" for problem in folder_problems(self.first_teacher))
        elif self.update == "never":
            yield "first_teacher is missing: with update=never give the folder of a fine-tuned model"

    def renews(self, step: int, metric: float, best: float | None) -> bool:
        """See `Regularization`."""
        return self.update in ("latest", "ema") or (self.update == "best" and (best is None or metric > best))

    @property
    def mean_decay(self) -> float | None:
        """See `Regularization`."""
        return self.decay if self.update == "ema" else None

    def loss(self, student: Reading, teacher: Reading | None, second: Reading | None) -> Tensor:
        """See `Regularization` and `decision_loss`."""
        assert teacher is not None, "it is needed"
        return self.decision_loss(student.decisions, teacher.decisions)

    def state_loss(self, student: Reading, teacher: Reading | None) -> Tensor | None:
        """See `Regularization` and `states.distance`."""
        assert teacher is not None, "it is needed"
        parts = [weight * distance(student.states[kind], teacher.states[kind]) for kind, weight in self._weights().items()]
        return torch.stack(parts).sum() if parts else None

    def decision_loss(self, student: Decisions, teacher: Decisions) -> Tensor:
        """Loss of a batch of decisions, whatever they are: records, tokens, starts and ends of answers.

            a_b  = 1 - H(p_b) / log C
            loss = a_b * tau^2 * KL(q_b^tau || p_b^tau) + (1 - a_b) * CE_b

        p is the student's and q the teacher's distribution; no gradient flows through a_b. With a fixed weight a_b is that
        weight. A number has no distribution, so no confidence: its loss is a * (student - teacher)^2 + (1 - a) * (student -
        label)^2, and "adaptive" weighs both alike (0.5).

        Returns:
            The sum over the decisions, a scalar.
        """
        pairs = zip(student, teacher, strict=True)
        return torch.stack([self._decision_loss(mine, taught) for mine, taught in pairs]).sum()

    def _decision_loss(self, student: Choice | Number, teacher: Choice | Number) -> Tensor:
        if isinstance(student, Number) and isinstance(teacher, Number):
            values, taught = student.values.float(), teacher.values.float()
            a = 0.5 if self.weight == "adaptive" else float(self.weight)
            return (a * (values - taught) ** 2 + (1 - a) * (values - student.labels) ** 2).sum()
        assert isinstance(student, Choice) and isinstance(teacher, Choice), "both come from the same head"
        return in_pieces(self._choices, student, teacher)

    def _choices(self, student: Choice, teacher: Choice | None) -> Tensor:
        assert teacher is not None
        tau = self.temperature
        log_p = log_softmax(student.logits.float(), -1)
        labelled = nll_loss(log_p, student.labels, reduction="none")
        a = confidence(log_p, student.classes) if self.weight == "adaptive" else float(self.weight)
        log_p, log_q = log_softmax(log_p / tau, -1), log_softmax(teacher.logits.float() / tau, -1)
        taught = kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1).mul(tau**2)
        return (a * taught + (1 - a) * labelled).sum()


def confidence(log_p: Tensor, classes: Tensor | None = None) -> Tensor:
    """How sure a model is of each decision: 1 - H(p) / log C, without gradient.

    Args:
        log_p: Logarithms of its probabilities, [decisions, classes], at least two classes.
        classes: C of each decision, [decisions], > 1, where some logits are masked; None where all classes count.

    Returns:
        [decisions], from 0 (uniform) to 1 (certain).

    >>> import torch
    >>> confidence(torch.tensor([[0.0, 0.0], [100.0, 0.0]]).log_softmax(-1))
    tensor([0., 1.])
    >>> confidence(torch.tensor([[0.0, 0.0, -1e30]]).log_softmax(-1), torch.tensor([2]))
    tensor([0.])
    """
    log_p = log_p.detach()
    entropy = -log_p.exp().mul_(log_p).sum(-1)
    return 1 - entropy / (math.log(log_p.shape[-1]) if classes is None else classes.log())
