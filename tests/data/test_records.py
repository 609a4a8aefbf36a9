from __future__ import annotations

from typing import Any

import pytest

from prune_cli.data.records import Split, Unreadable, checked
from prune_cli.errors import UserError


def rows(*records: Any) -> dict[str, Split]:
    return {"train": Split(records, lambda number: f"here:{number + 10}", "here")}


GOOD = {"sentence1": "a", "sentence2": "b", "label": 1}


def problems(task: Any, splits: dict[str, Split]) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        checked(task, splits)
    return caught.value.problems


def test_only_the_columns_of_the_task_are_kept(glue_task):
    _, datasets = checked(glue_task("mrpc"), rows({**GOOD, "idx": "x"}, {"idx": 3, **GOOD}))
    assert datasets["train"].to_list() == [GOOD, GOOD]


def test_every_bad_record_is_told_in_order_with_its_place(glue_task):
    assert problems(
        glue_task("mrpc"),
        rows(GOOD, {**GOOD, "label": 7}, Unreadable("torn"), {**GOOD, "sentence1": 3}, [1], {"sentence1": "a", "x": 1}),
    ) == (
        "here:11: `label` is 7, outside 0 to 1 (not_equivalent, equivalent).",
        "here:12: torn.",
        "here:13: `sentence1` is an integer (3), not text.",
        "here:14: not an object with named columns but a list.",
        "here:15: no column `sentence2`, `label`; there are `sentence1`, `x`"
        " (task.text_columns and task.label_column name others).",
    )


def test_more_than_five_are_counted(glue_task):
    found = problems(glue_task("mrpc"), rows(*[{**GOOD, "label": label} for label in (*range(3, 11), 3)]))
    assert len(found) == 6
    assert found[0].startswith("here:10: `label` is 3, outside 0 to 1")
    assert found[0].endswith("(1 more record likewise).")
    assert found[4].startswith("here:14: `label` is 7, outside")
    assert found[5] == "here: 3 more records are unusable."


def test_all_splits_are_told_at_once(glue_task):
    bad = Split([{**GOOD, "label": 5}], lambda number: f"there:{number}", "there")
    found = problems(glue_task("mrpc"), {**rows({**GOOD, "label": 4}), "validation": bad})
    assert [text.split(" ")[0] for text in found] == ["here:10:", "there:0:"]


def test_no_records(glue_task):
    assert problems(glue_task("mrpc"), rows()) == ("here: no records.",)


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        ("mrpc", True, "`label` is bool (True), not an integer"),
        ("mrpc", 1.0, "`label` is a number (1.0), not an integer"),
        ("mrpc", "1", "`label` is '1', and the labels are not_equivalent, equivalent"),
        ("stsb", "3", "`label` is text ('3'), not a number"),
        ("stsb", False, "`label` is bool (False), not a number"),
        ("mrpc", None, "`label` is empty"),
    ],
)
def test_types_of_labels(glue_task, task: str, label: Any, message: str):
    assert problems(glue_task(task), rows({**GOOD, "label": label})) == (f"here:10: {message}.",)


def test_a_whole_number_is_a_score(glue_task):
    _, datasets = checked(glue_task("stsb"), rows({**GOOD, "label": 5}, {**GOOD, "label": 2.5}))
    assert datasets["train"]["label"][:] == [5, 2.5]


def test_long_values_are_shortened(glue_task):
    (message,) = problems(glue_task("mrpc"), rows({**GOOD, "label": "x" * 1000}))
    assert len(message) < 140
