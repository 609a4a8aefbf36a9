"""Runs are grouped by what differs between them, and compared with dense ones and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prune_cli.comparison.groups import Comparison, compare
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import find_runs
from prune_cli.comparison.significance import differences, in_words, paired_t, summed_up
from prune_cli.errors import UserError
from tests.made_runs import made_run


def compared(folder: Path, **options: Any) -> Comparison:
    rows = [row(run) for run in find_runs([folder])]
    return compare(connect(rows), rows, **options)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three seeds each of dense runs, and of two criteria at 90%; one run more at another learning rate."""
    for seed, noise in ((1, 0.0), (2, 0.01), (3, -0.01)):
        made_run(tmp_path, sparsity=0.0, seed=seed, metric=0.85 + noise)
        made_run(tmp_path, seed=seed, metric=0.83 + noise)
        made_run(tmp_path, criterion="magnitude", seed=seed, metric=0.80 + 1.1 * noise)
    return tmp_path


def test_groups_are_told_apart_by_what_differs_and_by_nothing_else(runs: Path) -> None:
    comparison = compared(runs)
    assert comparison.by == ("sparsity", "criterion")
    assert [(*group.values.values(), len(group.runs)) for group in comparison.groups] == [
        (0.0, None, 3),
        (0.9, "magnitude", 3),
        (0.9, "pins", 3),
    ]
    assert comparison.common["task"] == "mrpc" and "seed" not in comparison.common


def test_mean_deviation_and_drop(runs: Path) -> None:
    dense, _, pins = compared(runs).groups
    assert (pins.mean, pins.deviation) == (pytest.approx(0.83), pytest.approx(0.01))
    assert (pins.drop, dense.drop) == (pytest.approx(0.02), None)


def test_the_drop_is_from_the_best_dense_group_of_the_same_records(runs: Path) -> None:
    made_run(runs, sparsity=0.0, learning_rate=2e-4, metric=0.87)
    made_run(runs, sparsity=0.0, learning_rate=3e-4, metric=0.99, records="sha256:others")
    comparison = compared(runs)
    drops = {(group.values["criterion"]): group.drop for group in comparison.groups if group.pruned}
    assert drops == {"magnitude": pytest.approx(0.07), "pins": pytest.approx(0.04)}
    assert set(comparison.by) == {"sparsity", "criterion", "records", "trainer.learning_rate"}


def test_what_no_run_needs_to_say_tells_nothing_apart(tmp_path: Path) -> None:
    """An option follows from its group's choice; a file of an earlier version lacks a key; a path is no content."""
    made_run(tmp_path, task="mrpc")
    made_run(tmp_path, task="rte", primary_metric="accuracy")
    kept = made_run(tmp_path, task="rte", seed=2, primary_metric="accuracy")
    text = (kept / "result.json").read_text()
    (kept / "result.json").write_text(text.replace('"max_steps": 100,', "").replace("sha256:rte", ""))
    assert compared(tmp_path).by == ("task",)


def test_where_by_sort_and_best(runs: Path) -> None:
    only = compared(runs, where=["criterion=magnitude", "sparsity=0.9"])
    assert [group.mean for group in only.groups] == [pytest.approx(0.8)]
    by_seed = compared(runs, by=["seed"], where=["criterion=pins", "sparsity=0.90"], sort=["-mean"])
    assert [group.values["seed"] for group in by_seed.groups] == [2, 1, 3]
    assert [group.values["criterion"] for group in compared(runs, best=True).groups] == [None, "pins"]
    merged = compared(runs, by=["criterion"])
    assert [len(group.runs) for group in merged.groups] == [3, 3, 3], "dense and pruned ones are never one number"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ["sparsty=0.9"]}, "sparsty is no column of these runs: did you mean sparsity?"),
        ({"where": ["sparsity"]}, "give KEY=VALUE"),
        ({"where": ["sparsity=high"]}, "sparsity holds double values, and high is none"),
        ({"where": ["sparsity=0.5"]}, "no finished run has sparsity=0.5"),
        ({"by": ["seeds"]}, "seeds is no column"),
        ({"sort": ["-criterio"]}, "criterio is no column"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], message: str, runs: Path) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        compared(runs, **options)


def test_a_difference_at_every_seed_is_more_than_noise(runs: Path) -> None:
    (sentence,) = in_words(compared(runs))
    assert sentence.startswith("90% removed: criterion=pins beats criterion=magnitude by 0.0300 F1 (3 shared seeds, ")
    assert sentence.endswith("p = 0.00037): more than noise.")  # differences 0.030, 0.029, 0.031: t = 51.96, 2 degrees


def test_a_difference_within_the_spread_may_well_be_noise(tmp_path: Path) -> None:
    for seed, (pins, magnitude) in enumerate([(0.80, 0.79), (0.82, 0.83), (0.81, 0.79)], start=1):
        made_run(tmp_path, seed=seed, metric=pins)
        made_run(tmp_path, seed=seed, metric=magnitude, criterion="magnitude")
    (sentence,) = in_words(compared(tmp_path))
    assert sentence.endswith("p = 0.53): may well be noise.")  # differences 0.01, -0.01, 0.02: t = 0.756


def test_without_shared_seeds_nothing_is_claimed(tmp_path: Path) -> None:
    made_run(tmp_path, seed=1, metric=0.9)
    made_run(tmp_path, seed=2, metric=0.1, criterion="magnitude")
    (sentence,) = in_words(compared(tmp_path))
    assert "share 3 seeds" in sentence and "add seed=1,2,3" in sentence


def test_a_lucky_seed_hides_no_difference_between_others(runs: Path) -> None:
    (before,) = in_words(compared(runs))
    made_run(runs, seed=1, metric=0.99, criterion="sensitivity")
    assert in_words(compared(runs)) == [before]


@pytest.mark.parametrize(
    ("real", "noise", "more"),
    [
        (9, 1, ["So are 1 more.", "1 of 10 differences may well be noise."]),
        (8, 1, ["1 of 9 differences may well be noise."]),
        (9, 0, ["So are 1 more."]),
    ],
)
def test_a_screen_is_told_the_real_differences_and_how_many_others_there_are(
    real: int, noise: int, more: list[str], tmp_path: Path
) -> None:
    made_tasks(tmp_path, real, noise)
    told = summed_up(compared(tmp_path))
    assert len(told) == 8 + len(more) and all("more than noise" in line for line in told[:8])
    assert told[8:] == more


def test_a_screen_that_takes_all_is_told_all(tmp_path: Path) -> None:
    made_tasks(tmp_path, 7, 1)
    comparison = compared(tmp_path)
    assert summed_up(comparison) == in_words(comparison)
    assert len(in_words(comparison)) == 8


def made_tasks(folder: Path, real: int, noise: int) -> None:
    """Tasks in which two criteria differ, and tasks in which they do not."""
    for number in range(real + noise):
        task, apart = f"task{number}", 0.03 if number < real else 0.0
        for seed in (1, 2, 3):
            made_run(folder, task=task, seed=seed, metric=0.8 + seed * 0.001)
            made_run(
                folder,
                task=task,
                criterion="magnitude",
                seed=seed,
                metric=0.8 - apart + (0.0021, 0.0009, 0.0032)[seed - 1],
            )


def test_a_sentence_says_where_and_what_differs(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        made_run(tmp_path, seed=seed, metric=0.8)
        made_run(tmp_path, seed=seed, metric=0.7 + 1e-5 * seed % 2e-5, criterion="magnitude", learning_rate=2e-4)
        made_run(tmp_path, seed=seed, metric=0.9, sparsity=0.0, task="rte", model="bert")
        made_run(tmp_path, seed=seed, metric=0.9, sparsity=0.0, task="rte", model="bert", learning_rate=2e-4)
    assert in_words(compared(tmp_path)) == [
        "mrpc, minilm, 90% removed: criterion=pins trainer.learning_rate=0.0001 beats criterion=magnitude"
        " trainer.learning_rate=0.0002 by 0.1000 F1 (3 shared seeds, paired t-test, p < 0.0001): more than noise.",
        "rte, bert, dense: trainer.learning_rate=0.0001 and trainer.learning_rate=0.0002 differ by less than 0.0001 F1"
        " (3 shared seeds, paired t-test, which cannot be made: it is the same at each): nothing says whether it is noise.",
    ]


def test_several_comparisons_are_corrected_for(runs: Path) -> None:
    for seed, metric in ((1, 0.829), (2, 0.842), (3, 0.817)):
        made_run(runs, criterion="random", seed=seed, metric=metric)
    found_ = {each.other.values["criterion"]: each for each in differences(compared(runs))}
    alone = paired_t([0.83 - 0.8, 0.84 - 0.811, 0.82 - 0.789])
    assert alone is not None
    assert found_["magnitude"].p == pytest.approx(2 * alone)  # the least of two is doubled
    assert found_["random"].p == pytest.approx(paired_t([0.001, -0.002, 0.003]))


def test_paired_t() -> None:
    assert paired_t([1, 2, 3, 4, 5]) == pytest.approx(0.0132356, rel=1e-4)
    assert paired_t([0.01] * 3) is paired_t([0.0] * 3) is None  # no deviation, no test


def test_a_difference_that_is_the_same_at_every_seed_is_not_called_real(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        made_run(tmp_path, seed=seed, metric=0.812)
        made_run(tmp_path, seed=seed, metric=0.684, criterion="magnitude")
    (sentence,) = in_words(compared(tmp_path))
    assert "by 0.1280 F1" in sentence and sentence.endswith("nothing says whether it is noise.")


def test_models_that_say_the_same_of_all_records_are_named(tmp_path: Path) -> None:
    for seed in (1, 2):
        made_run(tmp_path, seed=seed, metric=0.684, only_prediction="equivalent")
        made_run(tmp_path, seed=seed, metric=0.9, criterion="magnitude", only_prediction=None)
    assert in_words(compared(tmp_path))[1:] == [
        "criterion=pins: the model of 2 of 2 runs says the same of all records (equivalent): its metric is that of no skill."
    ]


def test_many_of_them_are_counted_on_a_screen(tmp_path: Path) -> None:
    for number in range(11):
        made_run(tmp_path, sparsity=0.5 + number / 100, metric=0.684, only_prediction="equivalent")
    comparison = compared(tmp_path)
    assert summed_up(comparison)[-1] == "So it is in 3 more rows."
    assert len(in_words(comparison)) == len(summed_up(comparison)) + 2


def test_a_difference_is_that_of_shared_seeds(runs: Path) -> None:
    made_run(runs, seed=4, metric=0.99)  # of pins alone
    (difference,) = [each for each in differences(compared(runs)) if each.other.values["criterion"] == "magnitude"]
    assert (difference.seeds, difference.difference) == (3, pytest.approx(0.03))


def test_no_chance_is_more_than_certain(tmp_path: Path) -> None:
    for criterion, noise in (("pins", 0.0), ("magnitude", 0.01), ("random", 0.012)):
        for seed, sign in ((1, 1), (2, -1), (3, 0)):
            made_run(tmp_path, criterion=criterion, seed=seed, metric=0.8 + noise * sign)
    assert [each.p for each in differences(compared(tmp_path))] == [1.0, 1.0]
