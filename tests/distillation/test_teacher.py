"""When the student becomes the teacher, and what the teacher says."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from prune_cli.distillation import Distillation
from prune_cli.distillation.teacher import Teacher
from prune_cli.heads.classification import Classification
from prune_cli.heads.decisions import Choice
from prune_cli.models import blank_copy, in_order


def make_student(seed: int = 0) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=20)
    config.num_labels = 3
    return BertForSequenceClassification(config)


INPUTS = {"input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]]), "attention_mask": torch.ones(2, 3, dtype=torch.long)}
BATCH = {**INPUTS, "labels": torch.tensor([0, 2])}


def taught_by(teacher: Teacher) -> torch.Tensor | None:
    reading = teacher.reading(Classification(), BATCH)
    if reading is None:
        return None
    (made,) = reading.decisions
    assert isinstance(made, Choice)
    assert made.labels is BATCH["labels"]
    return made.logits


def logits_of(model: BertForSequenceClassification) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**INPUTS).logits


@pytest.mark.parametrize(
    ("update", "expected"), [("best", [True, False, True, False]), ("latest", [True] * 4), ("never", [False] * 4)]
)
def test_rule(update: str, expected: list[bool]) -> None:
    teacher = Teacher(Distillation(update=update, first_teacher="somewhere"), make_student)
    student = make_student()
    assert [teacher.consider(student, 10, metric) for metric in (0.5, 0.4, 0.6, 0.6)] == expected
    assert teacher.version == sum(expected)
    assert teacher.best == 0.6


def test_teaches_the_copy_and_not_the_student_of_today() -> None:
    teacher, student = Teacher(Distillation(), make_student), make_student()
    assert taught_by(teacher) is None
    teacher.consider(student, 10, 0.5)
    then = logits_of(student)
    with torch.no_grad():
        student.classifier.bias.add_(1)
    student.train()
    taught = taught_by(teacher)
    assert taught is not None
    assert not taught.requires_grad
    assert not taught.is_inference()
    torch.testing.assert_close(taught, then)
    teacher.consider(student, 10, 0.9)
    taught = taught_by(teacher)
    assert taught is not None
    torch.testing.assert_close(taught, logits_of(student))


def test_a_first_teacher_stays_until_it_is_beaten_and_its_labels_are_mapped() -> None:
    first, student = make_student(1), make_student(2)
    unordered = logits_of(first)
    first.config.id2label = {0: "no", 1: "perhaps", 2: "Yes"}
    in_order(first, ("yes", "no", "perhaps"), "the first teacher")
    teacher = Teacher(Distillation(), make_student, first=first, first_metric=0.8)
    assert not teacher.consider(student, 10, 0.7)
    taught = taught_by(teacher)
    assert taught is not None
    torch.testing.assert_close(taught, unordered[:, [2, 0, 1]])
    assert teacher.weights() == {}, "it is read from its own folder again"
    assert teacher.consider(student, 10, 0.81)
    taught = taught_by(teacher)
    assert taught is not None
    torch.testing.assert_close(taught, logits_of(student))


def test_what_was_put_on_the_student_is_not_put_on_the_teacher() -> None:
    student = make_student()
    vars(student)["forward"] = lambda **_: pytest.fail("the student's own wrapper was called")  # as accelerate would set one
    teacher = Teacher(Distillation(), partial(blank_copy, student))
    teacher.consider(student, 10, 0.5)
    assert "forward" not in vars(teacher.model)
    del vars(student)["forward"]
    torch.testing.assert_close(taught_by(teacher), logits_of(student), rtol=0, atol=0)


def test_a_copy_leaves_the_random_state_alone() -> None:
    student = make_student()
    before = torch.random.get_rng_state()
    copied = blank_copy(student)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(copied) is type(student)
    assert copied.config is not student.config
    assert {n: t.shape for n, t in copied.state_dict().items()} == {n: t.shape for n, t in student.state_dict().items()}


def test_state_comes_back() -> None:
    teacher, student = Teacher(Distillation(), make_student), make_student()
    teacher.consider(student, 10, 0.5)
    weights = {name: tensor.clone() for name, tensor in teacher.weights().items()}
    later = make_student(3)
    restored = Teacher(Distillation(), make_student)
    restored.load(teacher.state(), weights)
    assert (restored.version, restored.best) == (1, 0.5)
    taught = taught_by(restored)
    assert taught is not None
    torch.testing.assert_close(taught, logits_of(student))
    restored.consider(later, 10, 0.9)
    taught = taught_by(restored)
    assert taught is not None
    torch.testing.assert_close(taught, logits_of(later))


def test_classes_may_differ_in_case_alone() -> None:
    model = make_student(1)
    unordered = logits_of(model)
    model.config.id2label = {0: "US", 1: "it", 2: "us"}
    in_order(model, ("us", "it", "US"), "a model")
    torch.testing.assert_close(logits_of(model), unordered[:, [2, 1, 0]])


def test_a_mean_teacher_follows_the_student_from_the_first_evaluation_on() -> None:
    teacher, student = Teacher(Distillation(update="ema", decay=0.75), make_student), make_student(1)
    teacher.follow(student)
    assert taught_by(teacher) is None
    assert teacher.consider(student, 10, 0.5)
    assert not teacher.consider(student, 10, 0.9)
    first = {name: weight.detach().clone() for name, weight in student.named_parameters()}
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(1)
    teacher.follow(student)
    assert teacher.model is not None
    for name, weight in teacher.model.named_parameters():
        torch.testing.assert_close(weight, first[name] + 0.25)
        assert not weight.requires_grad

    resumed = Teacher(Distillation(update="ema", decay=0.75), make_student)
    resumed.load(teacher.state(), {name: tensor.clone() for name, tensor in teacher.weights().items()})
    for each in (teacher, resumed):
        each.follow(student)
    taught, again = taught_by(teacher), taught_by(resumed)
    assert taught is not None
    assert again is not None
    assert torch.equal(taught, again)


def test_other_teachers_do_not_follow() -> None:
    teacher, student = Teacher(Distillation(), make_student), make_student(1)
    teacher.consider(student, 10, 0.5)
    then = taught_by(teacher)
    with torch.no_grad():
        student.classifier.bias.add_(1)
    teacher.follow(student)
    now = taught_by(teacher)
    assert then is not None
    assert now is not None
    assert torch.equal(then, now)
