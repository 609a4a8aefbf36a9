"""The cubic schedule by hand, and when it does not fit."""

from __future__ import annotations

import pytest

from prune_cli.pruning.schedules import Cubic


def test_ramp_by_hand() -> None:
    schedule = Cubic(initial=100.0, final=400.0)
    # 1140 steps: the ramp runs from 100 to 740; half way, at 420, it is 1 - 1/8 of the way
    assert schedule.sparsity(99, 1140, 0.8) == 0.0
    assert schedule.sparsity(100, 1140, 0.8) == 0.0
    assert schedule.sparsity(420, 1140, 0.8) == pytest.approx(0.7)
    assert schedule.sparsity(740, 1140, 0.8) == 0.8
    assert schedule.sparsity(1139, 1140, 0.8) == 0.8


def test_same_as_the_formula_in_keep_ratios() -> None:
    schedule = Cubic(initial=10.0, final=20.0, initial_keep_ratio=0.9)
    for step in range(10, 80):
        r = 0.3 + (0.9 - 0.3) * (1 - (step - 10) / (100 - 10 - 20)) ** 3
        assert 1 - schedule.sparsity(step, 100, 0.7) == pytest.approx(r)


def test_selects_by_windows_in_the_ramp_and_always_at_the_target() -> None:
    schedule = Cubic(initial=0.1, final=0.35)
    selected = [step for step in range(60) if schedule.selects(step, 60, 10)]
    assert selected == [10, 20, 30, *range(39, 60)]


def test_sixty_steps_are_a_legal_run_and_fifteen_are_not() -> None:
    assert not list(Cubic().misfits(60, 10))
    (problem,) = Cubic().misfits(15, 10)
    assert "15 steps" in problem
    assert "at least 17 steps" in problem
    assert not list(Cubic().misfits(17, 10))
    assert list(Cubic().misfits(16, 10))


def test_published_lengths_need_five_hundred_and_eleven_steps() -> None:
    schedule = Cubic(initial=100.0, final=400.0)
    (problem,) = schedule.misfits(500, 10)
    assert "at least 511 steps" in problem
    assert not list(schedule.misfits(511, 10))


def test_says_so_where_no_number_of_steps_would_do() -> None:
    (problem,) = Cubic(initial=0.6, final=0.5).misfits(1000, 10)
    assert "at least" not in problem
    assert "schedule.initial" in problem


@pytest.mark.parametrize("options", [{"initial": -0.1}, {"final": 10.5}, {"initial_keep_ratio": 0.0}])
def test_refuses_impossible_values(options: dict[str, float]) -> None:
    (problem,) = Cubic(**options).problems()
    assert problem.startswith(next(iter(options)))
