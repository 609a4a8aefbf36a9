"""What every regularization keeps, found by listing conf/regularization: a new one is tested by existing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from prune_cli.config.build import build
from prune_cli.distillation.base import NEEDS, Regularization
from prune_cli.distillation.states import Reading, State
from prune_cli.heads.decisions import Choice, Number, OutputLayer, task_loss

CONF = Path(__file__).parents[2] / "conf" / "regularization"
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml"))
KINDS = ["choices", "numbers", "layered"]
ROWS, CLASSES = 6, 3


@pytest.fixture
def rule(option: str, monkeypatch: pytest.MonkeyPatch) -> Regularization:
    monkeypatch.setattr("prune_cli.distillation.distillation.folder_problems", lambda folder: [])
    values = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(CONF / f"{option}.yaml")))
    needed = {name: "MODEL" if value == "???" else value for name, value in values.items()}
    return build(needed, "regularization", "prune_cli.distillation.base.Regularization")


class Layer(nn.Linear):
    """Makes logits of hidden states, as a text's are made."""

    @property
    def classes(self) -> int:
        return self.out_features


def reading(kind: str, seed: int, *, learns: bool) -> tuple[Reading, Tensor]:
    """What a model made of a batch, and what its decisions are made of."""
    torch.manual_seed(seed)
    values = torch.randn(ROWS if kind == "numbers" else (ROWS, CLASSES)).requires_grad_(learns)
    labels = torch.arange(ROWS)
    mask = torch.ones(ROWS, 2, dtype=torch.bool)
    decisions: Choice | Number = Number(values, labels.float())
    if kind != "numbers":
        layer = cast("OutputLayer", Layer(CLASSES, CLASSES).requires_grad_(learns)) if kind == "layered" else None
        decisions = Choice(values, labels % CLASSES, layer=layer)
    states = [State(torch.randn(ROWS, 2, 4).requires_grad_(learns), mask)]
    return Reading([decisions], {"hidden": states, "attention": states}), values


def part(whole: Reading | None, rows: slice) -> Reading | None:
    """Some rows of a batch."""
    if whole is None:
        return None
    (decisions,) = whole.decisions
    cut = {name: value[rows] for name, value in decisions._asdict().items() if isinstance(value, Tensor)}
    states = {which: [State(s.values[rows], s.mask[rows]) for s in each] for which, each in whole.states.items()}
    return Reading([decisions._replace(**cut)], cast("Any", states))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", OPTIONS)
def test_the_loss_adds_up_and_reaches_every_pass_of_the_student(rule: Regularization, kind: str) -> None:
    student, values = reading(kind, 0, learns=True)
    teacher = reading(kind, 1, learns=False)[0] if "teacher" in rule.needs else None
    second, others = reading(kind, 2, learns=True) if "second_pass" in rule.needs else (None, None)

    def losses(rows: slice) -> list[Tensor]:
        seen = [part(each, rows) for each in (student, teacher, second)]
        assert seen[0] is not None
        loss, further = rule.loss(seen[0], seen[1], seen[2]), rule.state_loss(seen[0], seen[1])
        return [loss] if further is None else [loss, further]

    whole = losses(slice(None))
    parts = zip(losses(slice(0, 2)), losses(slice(2, None)), strict=True)
    for together, (one, other) in zip(whole, parts, strict=True):
        assert together.shape == () and math.isfinite(together.item())
        torch.testing.assert_close(together, one + other)
    sum(whole, torch.zeros(())).backward()
    for learned in (values, others):
        assert learned is None or (learned.grad is not None and learned.grad.ne(0).any())


@pytest.mark.parametrize("option", OPTIONS)
def test_labels_are_learned_from(rule: Regularization) -> None:
    student, _ = reading("choices", 0, learns=False)
    teacher = reading("choices", 1, learns=False)[0] if "teacher" in rule.needs else None
    second = reading("choices", 2, learns=False)[0] if "second_pass" in rule.needs else None
    (made,) = student.decisions
    right = student._replace(decisions=[made._replace(labels=cast("Choice", made).logits.argmax(-1))])
    wrong = student._replace(decisions=[made._replace(labels=cast("Choice", made).logits.argmin(-1))])
    assert task_loss(right.decisions) < task_loss(wrong.decisions)
    assert rule.loss(right, teacher, second) < rule.loss(wrong, teacher, second)


@pytest.mark.parametrize("option", OPTIONS)
def test_what_it_says_of_its_teacher_can_be_kept(rule: Regularization) -> None:
    assert rule.needs <= {*NEEDS}
    assert rule.mean_decay is None or 0 <= rule.mean_decay < 1
    assert all(isinstance(rule.renews(10, 0.5, best), bool) for best in (None, 0.4, 0.6))
    assert "teacher" in rule.needs or (rule.first_teacher is None and not rule.renews(10, 0.5, None))
