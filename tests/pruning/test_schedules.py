"""Schedules by hand, and when they do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from prune_cli.pruning.schedules import Cubic, Linear, OneShot, Schedule, Stepped
from prune_cli.pruning.schedules.base import enough


def test_ramp_by_hand() -> None:
    schedule = Cubic(initial=100.0, final=400.0)
    # 1140 steps: the ramp runs from 100 to 740; half way, at 420, it is 1 - 1/8 of the way
    assert schedule.sparsity(99, 1140, 0.8) == 0.0
    assert schedule.sparsity(100, 1140, 0.8) == 0.0
    assert schedule.sparsity(420, 1140, 0.8) == pytest.approx(0.7)
    assert schedule.sparsity(740, 1140, 0.8) == 0.8
    assert schedule.sparsity(1139, 1140, 0.8) == 0.8


def test_same_as_the_formula_in_keep_ratios() -> None:
    schedule = Cubic(initial=10.0, final=20.0, first=0.1)
    for step in range(10, 80):
        r = 0.3 + (0.9 - 0.3) * (1 - (step - 10) / (100 - 10 - 20)) ** 3
        assert 1 - schedule.sparsity(step, 100, 0.7) == pytest.approx(r)


def test_linear_by_hand() -> None:
    schedule = Linear(initial=100.0, final=400.0, first=0.2)
    assert schedule.sparsity(100, 1140, 0.8) == 0.2
    assert schedule.sparsity(420, 1140, 0.8) == pytest.approx(0.5)
    assert schedule.sparsity(740, 1140, 0.8) == pytest.approx(0.8)


def test_first_jump_is_made_by_the_first_selection_and_never_beyond_the_target() -> None:
    for schedule in (Cubic(initial=10.0, first=0.3), Linear(initial=10.0, first=0.3)):
        assert [schedule.sparsity(10, 100, target) for target in (0.9, 0.2)] == [0.3, 0.2]


def test_one_shot_removes_once_and_holds() -> None:
    schedule = OneShot(initial=20.0)
    assert [step for step in range(100) if schedule.selects(step, 100)] == [20]
    assert schedule.sparsity(20, 100, 0.9) == 0.9
    assert schedule.holds
    (problem,) = schedule.incompatibilities(20)
    assert "at least 21 steps" in problem
    (problem,) = OneShot().incompatibilities(60)  # after 6 steps, and a window has 10
    assert "at least 95 steps" in problem  # of which a tenth is rounded to ten
    assert not list(OneShot().incompatibilities(95))


def test_stepped_cuts_by_hand() -> None:
    schedule = Stepped(initial=20.0, final=20.0, cuts=4, first=0.5)
    assert schedule.at(110) == [20, 43, 67, 90]
    assert [step for step in range(110) if schedule.selects(step, 110)] == schedule.at(110)
    # a cubic from 0.5 to 0.9: 0.9 - 0.4 * (1 - t)^3
    sparsities = [schedule.sparsity(step, 110, 0.9) for step in schedule.at(110)]
    expected = [0.5, 0.9 - 0.4 * (47 / 70) ** 3, 0.9 - 0.4 * (23 / 70) ** 3, 0.9]
    assert sparsities == pytest.approx(expected)
    assert schedule.cycles(110) == [21, 44, 68, 91]
    assert not Stepped(rewarm=False).cycles(110)
    (problem,) = schedule.incompatibilities(50)
    assert problem.startswith(
        "the run has 50 steps: 20 before the first of 4 cuts and 20 after the last one leave less than 10 steps for the scores"
    )
    assert "at least 70 steps" in problem
    assert not list(schedule.incompatibilities(70))


def test_epochs_are_told_in_steps() -> None:
    assert Cubic(initial="2ep", final="1.5ep").in_epochs
    assert Cubic(initial="2ep", final="1.5ep").with_epochs_of(114) == Cubic(initial=228.0, final=171.0)
    assert Stepped(initial=0.2).with_epochs_of(114) == Stepped(initial=0.2)


def test_selects_by_windows_in_the_ramp_and_always_at_the_target() -> None:
    schedule = Cubic(initial=0.1, final=0.35)
    selected = [step for step in range(60) if schedule.selects(step, 60)]
    assert selected == [10, 20, 30, *range(39, 60)]


def test_sixty_steps_are_a_legal_run_and_fifteen_are_not() -> None:
    assert not list(Cubic().incompatibilities(60))
    (problem,) = Cubic().incompatibilities(15)
    assert "15 steps" in problem
    assert "at least 17 steps" in problem
    assert not list(Cubic().incompatibilities(17))
    assert list(Cubic().incompatibilities(16))


def test_published_lengths_need_five_hundred_and_eleven_steps() -> None:
    schedule = Cubic(initial=100.0, final=400.0)
    (problem,) = schedule.incompatibilities(500)
    assert "at least 511 steps" in problem
    assert not list(schedule.incompatibilities(511))


def test_says_so_where_no_number_of_steps_would_do() -> None:
    (problem,) = Cubic(initial=0.6, final=0.5).incompatibilities(1000)
    assert "at least" not in problem
    assert "schedule.initial" in problem


@pytest.mark.parametrize(
    "options", [{"initial": -0.1}, {"final": 10.5}, {"first": 1.0}, {"initial": "2"}, {"final": "ep"}, {"delta_t": 0}]
)
def test_refuses_impossible_values(options: dict[str, Any]) -> None:
    (problem,) = Cubic(**options).problems()
    assert problem.startswith(next(iter(options)))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Stepped(cuts=1), "cuts is 1: give a whole number from 2 on, or schedule=oneshot"),
        (Stepped(first=0.0), "first is 0: give the fraction"),
        (OneShot(initial=-1.0), "initial is -1: give a fraction"),
    ],
)
def test_refuses_impossible_cuts(schedule: Schedule, message: str) -> None:
    (problem,) = schedule.problems()
    assert problem.startswith(message)


def test_a_learning_rate_begins_anew_behind_a_cut_that_is_not_the_last_step() -> None:
    assert Stepped(initial=10.0, final=1.0, cuts=2).at(20) == [10, 19]
    assert Stepped(initial=10.0, final=1.0, cuts=2).cycles(20) == [11]
    assert Stepped(initial=10.0, final=2.0, cuts=2).cycles(20) == [11, 19]
    assert Stepped(initial=10.0, final=2.0, cuts=2, rewarm=False).cycles(20) == ()


def test_enough_is_the_least_from_what_does_not_grow_with_the_run() -> None:
    steps = "steps (trainer.max_steps or trainer.epochs), or "
    assert enough(8, [2.0, 0.5], lambda steps: steps >= 12) == f"at least 12 {steps}"
    assert enough(2, [5.0, 1.0, 0.5], lambda steps: True) == f"at least 6 {steps}"
    assert enough(8, [2.0], lambda steps: False) == ""
