"""From values to objects: what fits is built, what does not is told with its key and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from prune_cli.config.build import build, construct, convert
from prune_cli.config.describe import about
from prune_cli.errors import UserError
from prune_cli.training.options import TrainerConfig

PINS = "prune_cli.pruning.criteria.Pins"


@dataclass(frozen=True, kw_only=True)
class Example:
    """Fields of every kind.

    Attributes:
        count: Number of things,
            at least one.
    """

    count: int
    share: float = 0.5
    """Part of the whole."""
    rule: str | float = "adaptive"
    names: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    limit: float | None = None
    on: bool = False

    def problems(self) -> Iterator[str]:
        if self.count < 1:
            yield f"count is {self.count}: give a number from 1 on"
        if self.names and self.limit is None:
            yield "names need a limit"
        if self.limit is not None and self.limit > 9:
            yield "too much of everything"


def problems_of(cls: type, values: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(UserError) as refused:
        construct(cls, values, "example")
    return refused.value.problems


def test_values_become_the_types_of_the_fields() -> None:
    made = construct(
        Example,
        {"count": 2, "share": 1, "rule": 1, "names": ["a", "b"], "sizes": {"x": 3}, "limit": 2, "on": True},
        "example",
    )
    assert made == Example(count=2, share=1.0, rule=1.0, names=("a", "b"), sizes={"x": 3}, limit=2.0, on=True)
    assert [type(value) for value in (made.share, made.rule, made.names, made.limit)] == [float, float, tuple, float]


def test_fields_with_a_default_may_be_left_out() -> None:
    assert construct(Example, {"count": 2}, "example") == Example(count=2)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"count": "two"}, "example.count=two does not fit: a whole number is needed (Number of things, at least one)"),
        ({"count": 1.5}, "example.count=1.5 does not fit: a whole number is needed (Number of things, at least one)"),
        ({"count": None}, "example.count=null does not fit: a whole number is needed (Number of things, at least one)"),
        ({"count": 1, "share": True}, "example.share=true does not fit: a number is needed (Part of the whole)"),
        ({"count": 1, "rule": None}, "example.rule=null does not fit: text or a number is needed"),
        ({"count": 1, "names": "a"}, "example.names=a does not fit: a list is needed"),
        ({"count": 1, "sizes": 3}, "example.sizes=3 does not fit: a mapping is needed"),
        ({"count": 1, "limit": "x"}, "example.limit=x does not fit: a number or null is needed"),
        ({}, "example.count is missing: give example.count=... (Number of things, at least one)"),
        ({"count": "???"}, "example.count is missing: give example.count=... (Number of things, at least one)"),
        ({"count": 0}, "example.count is 0: give a number from 1 on"),
        ({"count": 1, "names": ["a"]}, "example.names need a limit"),
        ({"count": 1, "limit": 10}, "example: too much of everything"),
        ({"count": 1, "on": 7}, "example.on=7 does not fit: true or false is needed"),
    ],
)
def test_a_value_that_cannot_be_is_told(values: dict[str, object], told: str) -> None:
    assert problems_of(Example, values) == (told,)


def test_everything_wrong_is_told_at_once() -> None:
    assert problems_of(Example, {"cuont": 1, "share": "x"}) == (
        "example.cuont is not known: did you mean count? (Example takes count, share, rule, names, sizes, limit, on)",
        "example.count is missing: give example.count=... (Number of things, at least one)",
        "example.share=x does not fit: a number is needed (Part of the whole)",
    )


def test_what_fits_is_looked_at_although_something_else_does_not() -> None:
    assert problems_of(Example, {"count": 0, "limit": "x", "names": ["a"], "on": 7}) == (
        "example.limit=x does not fit: a number or null is needed",
        "example.on=7 does not fit: true or false is needed",
        "example.count is 0: give a number from 1 on",
        "example.names need a limit",
    )


def test_at_the_top_there_is_no_key_before_a_field() -> None:
    with pytest.raises(UserError) as refused:
        construct(Example, {"count": 0, "share": "x", "cuont": 1})
    assert [problem.split(" ")[0] for problem in refused.value.problems] == ["cuont", "share=x", "count"]


def test_a_node_is_built_from_its_target() -> None:
    made = build({"_target_": PINS, "signed": True, "beta2": 0.9}, "criterion")
    assert (type(made).__name__, made.signed, made.beta2, made.beta1) == ("Pins", True, 0.9, 0.85)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere.to.be.Found", r"^criterion\._target_=nowhere\.to\.be\.Found cannot be imported .*PYTHONPATH"),
        (PINS + "s", r"^criterion\._target_=.*Pinss: there is no such class"),
        ("Pins", r"^criterion\._target_=Pins: there is no such class"),
        ("os.system", r"^criterion\._target_=os\.system is no dataclass"),
        ("prune_cli.pruning.criteria.Criterion", r"Criterion is not whole: it lacks scorer$"),
        ("prune_cli.pruning.criteria.WeightRows", r"WeightRows is no dataclass with a method `problems`"),
        ("prune_cli.models.locations.Location", r"Location is no dataclass with a method `problems`"),
    ],
)
def test_a_target_that_is_no_dataclass_is_refused(target: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build({"_target_": target}, "criterion")


@pytest.mark.parametrize("node", [3, ["pins"], None])
def test_what_is_no_node_is_refused(node: object) -> None:
    with pytest.raises(UserError, match=r"^criterion=.* is no option of criterion"):
        build(node, "criterion")


def test_a_node_without_target_is_refused() -> None:
    with pytest.raises(UserError, match=r"^criterion has no _target_"):
        build({"beta1": 0.5}, "criterion")


def test_numbers_may_come_as_text_from_the_environment() -> None:
    assert (convert("3", int, "k"), convert("0.5", float, "k"), convert("true", bool, "k")) == (3, 0.5, True)


def test_both_ways_of_documenting_a_field_are_read() -> None:
    assert about(Example, "count") == "Number of things, at least one"
    assert about(Example, "share") == "Part of the whole"
    assert about(Example, "on") == ""
    assert about(TrainerConfig, "batch_size") == "Training records of a batch over all processes, which share it evenly, > 0"
