"""The first and the last value that an option takes, and the nearest that it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from prune_cli.distillation import Distillation
from prune_cli.pruning.criteria import Fisher, Magnitude, Obert, Pins, Platon, Random, SoftMovement, Wanda
from prune_cli.pruning.patterns import Block, Floor, NofM, Uniform, Units
from prune_cli.pruning.schedules import Cubic, OneShot, Stepped

BELOW, ABOVE = -1e-9, 1 + 1e-9
DECAY = ([0.0, 1 - 1e-9], [BELOW, 1.0, math.nan])
SHARE = ([0.0, 1.0], [BELOW, ABOVE, math.nan])
POSITIVE = ([1e-9, 1e9], [0.0, -1.0, math.inf, math.nan])
WEIGHT = ([0.0, 1e9], [BELOW, math.inf, math.nan])
LENGTH = ([0.0, 0.5, 1.0, 7.0, "2ep", "0.5ep"], [BELOW, 1.5, math.inf, math.nan, "2", "ep", "-1ep"])

EDGES: list[tuple[type, str, tuple[list[Any], list[Any]]]] = [
    (Pins, "beta1", DECAY),
    (Pins, "beta2", ([1e-9, 1.0], [0.0, ABOVE, math.nan])),
    (Platon, "beta1", DECAY),
    (Platon, "beta2", DECAY),
    (Fisher, "beta", DECAY),
    (Wanda, "beta", DECAY),
    (SoftMovement, "learning_rate", POSITIVE),
    (SoftMovement, "penalty", WEIGHT),
    (Random, "seed", ([0], [-1])),
    (Obert, "block", ([1], [0])),
    (Obert, "gradients", ([2], [1])),
    (Obert, "damp", (["auto", *POSITIVE[0]], ["self", *POSITIVE[1]])),
    (Obert, "memory", POSITIVE),
    (Uniform, "allocation", (["uniform", "erk"], ["none"])),
    (Uniform, "sparsities", ([{"a": 0.0}, {"a": 1.0}], [{"a": BELOW}, {"a": ABOVE}, {"(": 0.5}])),
    (Floor, "keep", SHARE),
    (Block, "block", ([(1, 1)], [(0, 1), (1, 0)])),
    (NofM, "n", ([1, 3], [0, 4])),
    (NofM, "m", ([3], [2])),
    (Units, "units", ([("heads",), ("layers",), ("heads", "neurons")], [(), ("layers", "heads"), ("heads", "heads"), ("x",)])),
    (Units, "inside", DECAY),
    (Cubic, "delta_t", ([1], [0])),
    (Cubic, "first", ([0.0, 1 - 1e-9], [BELOW, 1.0, math.nan])),
    (Cubic, "initial", LENGTH),
    (Cubic, "final", LENGTH),
    (OneShot, "initial", LENGTH),
    (Stepped, "cuts", ([2], [1])),
    (Stepped, "first", ([1e-9, 1 - 1e-9], [0.0, 1.0, math.nan])),
    (Distillation, "weight", (["adaptive", 0.0, 1.0, 1], ["heavy", BELOW, ABOVE, math.nan])),
    (Distillation, "temperature", POSITIVE),
    (Distillation, "update", (["best", "latest", "ema"], ["never", "sometimes"])),
    (Distillation, "decay", DECAY),
    (Distillation, "hidden", WEIGHT),
    (Distillation, "attention", WEIGHT),
]  # fmt: skip


@pytest.mark.parametrize(("option", "field", "values"), EDGES, ids=lambda value: getattr(value, "__name__", None))
def test_what_an_option_takes(option: type, field: str, values: tuple[list[Any], list[Any]]) -> None:
    fits, refused = values
    assert [value for value in fits if list(option(**{field: value}).problems())] == []
    for value in refused:
        told = list(option(**{field: value}).problems())
        assert told, f"{field}={value} is taken"
        assert all(problem.startswith((f"{field} ", "first_teacher is missing", "n is ")) for problem in told), told


def test_published_decays_are_told() -> None:
    assert list(Platon(beta1=2.0, beta2=3.0).problems()) == [
        "beta1 is 2: give a decay from 0 to below 1, as published 0.85",
        "beta2 is 3: give a decay from 0 to below 1, as published 0.95",
    ]


def test_one_gradient_does_where_nothing_is_chosen_by_others() -> None:
    assert list(Obert(gradients=1, damp=0.1).problems()) == []
    assert list(Magnitude().problems()) == []
