"""The answer is that of a full grid, in at most half its runs, and says how sure it is."""

from __future__ import annotations

import pytest

from prune_cli.comparison.budget import Answer, Point, next_position

GRID = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99]


@pytest.mark.parametrize("right", range(-1, len(GRID)))
def test_halving_finds_what_the_full_grid_gives_in_less_than_half_its_runs(right: int) -> None:
    near: dict[int, bool] = {}
    while (position := next_position(near, len(GRID))) is not None:
        assert position not in near
        near[position] = position <= right
    points = [Point(GRID[position], {1: 0.0 if enough else 1.0}) for position, enough in near.items()]
    answer = Answer(max_drop=0.01, metric="F1", grid=GRID, points=points)
    assert (None if answer.best is None else answer.best.sparsity) == (GRID[right] if right >= 0 else None)
    assert len(near) + 1 <= (len(GRID) + 1) / 2  # dense and those tried, of dense and the whole grid


def test_what_is_known_narrows_the_search_down() -> None:
    assert next_position({3: True, 5: False}, 12) == 4
    assert next_position({0: False, 5: True, 6: False}, 12) is None, "noise below an answer changes nothing"


def answered(*points: Point, max_drop: float = 0.01) -> list[str]:
    return Answer(max_drop=max_drop, metric="F1", grid=[0.5, 0.8, 0.9, 0.95], points=points).in_words()


def test_the_answer_in_words() -> None:
    said = answered(Point(0.8, {1: 0.002}), Point(0.9, {1: 0.03}))
    assert said == [
        "80.0% is the highest sparsity within 0.01 F1 of dense: it costs 0.0020.",
        "90.0% costs 0.0300, which is too much.",
        "One seed says nothing of its noise: seed=1,2,3 tells how sure this is.",
    ]


def test_uncertainty_is_said() -> None:
    sure = answered(Point(0.8, {1: 0.001, 2: 0.002, 3: 0.003}), Point(0.9, {1: 0.03, 2: 0.031, 3: 0.032}))
    # 0.002 and 0.001 / sqrt(3) * 4.3027, the 97.5th percentile of t with two degrees of freedom
    assert "0.0020 (95% confidence: -0.0005 to 0.0045, 3 seeds)" in sure[0] and len(sure) == 2
    unsure = answered(Point(0.8, {1: 0.0, 2: 0.018}), Point(0.9, {1: 0.03, 2: 0.031}))
    assert unsure[2] == "Whether 80.0% is within the budget is a matter of noise with 2 seeds: more would tell."


def test_the_ends_of_the_grid() -> None:
    assert "Not even 50.0% is within 0.01 F1 of dense: it costs 0.2000. Give a grid" in answered(Point(0.5, {1: 0.2}))[0]
    assert answered(Point(0.95, {1: 0.0}))[1].startswith("The grid ends there")


def test_a_worse_one_below_the_answer_is_told() -> None:
    said = answered(Point(0.5, {1: 0.02, 2: 0.02}), Point(0.9, {1: 0.0, 2: 0.0}), Point(0.95, {1: 0.1, 2: 0.1}))
    assert said[-1].startswith("50.0% costs 0.0200") and said[-1].endswith("noise below, or luck above.")
