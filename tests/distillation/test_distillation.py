"""The loss of self-regularization, by hand and against float64 numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from prune_cli.distillation.distillation import Distillation, confidence
from prune_cli.heads.decisions import Choice, Number, task_loss


def loss_of(
    rule: Distillation,
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    classes: torch.Tensor | None = None,
) -> torch.Tensor:
    return rule.decision_loss([Choice(student, labels, classes)], [Choice(teacher, labels, classes)])


def reference(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, tau: float, weight: float | None) -> float:
    """The formula, decision by decision: a KL(q||p) at temperature tau, times tau^2, and (1 - a) times cross-entropy."""
    total = 0.0
    for z, v, y in zip(student, teacher, labels, strict=True):
        p = np.exp(z) / np.exp(z).sum()
        p_soft = np.exp(z / tau) / np.exp(z / tau).sum()
        q_soft = np.exp(v / tau) / np.exp(v / tau).sum()
        a = 1 + (p * np.log(p)).sum() / math.log(len(z)) if weight is None else weight
        total += a * tau**2 * (q_soft * np.log(q_soft / p_soft)).sum() - (1 - a) * np.log(p[y])
    return total / len(labels)


@pytest.mark.parametrize("weight", ["adaptive", 0.0, 0.3, 1.0])
@pytest.mark.parametrize(("classes", "tau"), [(2, 2.0), (3, 3.0), (9, 1.5)])
def test_same_as_the_formula(weight: float | str, classes: int, tau: float) -> None:
    generator = np.random.default_rng(classes)
    student, teacher = generator.normal(size=(2, 50, classes)) * 3
    labels = generator.integers(0, classes, 50)
    rule = Distillation(weight=weight, temperature=tau)
    loss = loss_of(rule, torch.tensor(student), torch.tensor(teacher), torch.tensor(labels)) / len(labels)
    expected = reference(student, teacher, labels, tau, None if weight == "adaptive" else float(weight))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_by_hand() -> None:
    # certain student (a = 1) that agrees with its teacher: nothing to learn. Uniform student (a = 0): log 2.
    student = torch.tensor([[200.0, 0.0], [0.0, 0.0]])
    teacher = torch.tensor([[200.0, 0.0], [5.0, 0.0]])
    loss = loss_of(Distillation(), student, teacher, torch.tensor([1, 0])) / 2
    assert loss.item() == pytest.approx(math.log(2) / 2)


def test_masked_classes_count_for_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 3, generator=generator)
    labels = torch.tensor([0, 1, 2, 0])
    wide = torch.full((4, 5), -1e30)
    rule = Distillation()
    alone = loss_of(rule, student, teacher, labels)
    student, teacher = torch.cat([student, wide], dim=1), torch.cat([teacher, wide], dim=1)
    torch.testing.assert_close(loss_of(rule, student, teacher, labels, torch.tensor([3, 3, 3, 3])), alone)


def test_no_gradient_through_the_confidence_or_the_teacher() -> None:
    student = torch.tensor([[1.0, -0.5], [0.2, 0.1]], requires_grad=True)
    teacher = torch.tensor([[0.5, 0.5], [2.0, -1.0]], requires_grad=True)
    labels = torch.tensor([0, 1])
    fixed = confidence(student.log_softmax(-1))
    assert not fixed.requires_grad
    (loss_of(Distillation(), student, teacher.detach(), labels) / 2).backward()
    adaptive = student.grad
    student.grad = None
    parts = [
        loss_of(Distillation(weight=a.item()), student[i : i + 1], teacher[i : i + 1].detach(), labels[i : i + 1])
        for i, a in enumerate(fixed)
    ]
    (sum(parts) / 2).backward()  # type: ignore[union-attr]
    assert adaptive is not None
    torch.testing.assert_close(adaptive, student.grad)


def test_regression_weighs_squared_distances() -> None:
    student, teacher, labels = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0]), torch.tensor([1.0, 4.0])
    # to the teacher 1 and 0, to the labels 0 and 4
    mine, taught = [Number(student, labels)], [Number(teacher, labels)]
    assert Distillation(weight="adaptive").decision_loss(mine, taught).item() == 0.5 * 1 + 0.5 * 4
    assert Distillation(weight=1.0).decision_loss(mine, taught).item() == 1.0
    assert Distillation(weight=0.0).decision_loss(mine, taught).item() == 4.0
    assert task_loss(mine).item() == 4.0


def test_two_decisions_a_record_add_up() -> None:
    student, teacher = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    labels, rule = torch.tensor([0, 1, 2, 0]), Distillation()
    mine, taught = ([Choice(logits[half], labels[half]) for half in (slice(0, 2), slice(2, 4))] for logits in (student, teacher))
    torch.testing.assert_close(rule.decision_loss(mine, taught), loss_of(rule, student, teacher, labels))
    torch.testing.assert_close(task_loss(mine), task_loss([Choice(student, labels)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -0.5}, "weight is -0.5"),
        ({"weight": "heavy"}, "weight is heavy"),
        ({"temperature": 0.0}, "temperature is 0:"),
        ({"update": "sometimes"}, "update is sometimes"),
        ({"update": "never"}, "first_teacher is missing"),
    ],
)
def test_refuses_impossible_values(options: dict[str, object], message: str) -> None:
    (problem,) = Distillation(**options).problems()  # type: ignore[arg-type]
    assert problem.startswith(message)
