"""Runs are found wherever they lie, and a broken one is told as such."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock

from prune_cli.comparison.query import row
from prune_cli.comparison.runs import done, find_runs
from prune_cli.errors import UserError
from tests.made_runs import made_run


def test_runs_are_found_at_any_depth_but_not_in_hidden_folders_or_inside_a_run(tmp_path: Path) -> None:
    made_run(tmp_path / "a" / "b", name="deep")
    made_run(tmp_path, name="near")
    made_run(tmp_path / ".multirun", name="hidden")
    made_run(tmp_path / "near" / "model", name="inside")
    assert [run.name for run in find_runs([tmp_path])] == ["deep", "near"]


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    made_run(tmp_path / "a", name="run")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a" / "itself")
    assert [run.name for run in find_runs([tmp_path])] == ["run"]


def test_a_run_in_two_places_counts_once(tmp_path: Path) -> None:
    made_run(tmp_path / "a", name="same")
    made_run(tmp_path / "b", name="same")
    assert [run.path for run in find_runs([tmp_path, tmp_path / "b", tmp_path / "a"])] == [tmp_path / "a" / "same"]


def test_the_folder_of_a_multirun_stands_for_its_runs(tmp_path: Path) -> None:
    one = made_run(tmp_path, seed=1)
    made_run(tmp_path, seed=2)
    sweep = tmp_path / ".multirun" / "today"
    sweep.mkdir(parents=True)
    (sweep / "1.json").write_text("{}")
    (sweep / "sweep.json").write_text(json.dumps({"jobs": [{"folder": str(one)}, {"folder": ""}, {"folder": "gone"}]}))
    assert [run.path for run in find_runs([sweep])] == [one]
    (sweep / "sweep.json").write_text('{"jobs": [')
    with pytest.raises(UserError, match="holds no run"):
        find_runs([sweep])


def test_a_result_that_a_study_keeps_is_a_run(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "runs", metric=0.75)
    (tmp_path / "results").mkdir()
    (folder / "result.json").rename(tmp_path / "results" / "kept.json")
    (tmp_path / "results" / "other.json").write_text('{"format": 1}')
    (tmp_path / "results" / "torn.json").write_text('{"format"')
    (run,) = find_runs([tmp_path / "results"])
    assert (run.state, run.result.metric, run.config["seed"]) == ("done", 0.75, 1)


HALVES = {
    "torn": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "of no kind": lambda text: '[1, "metric"]',
    "of another version": lambda text: text.replace('"format": 1', '"format": 99'),
    "lacking": lambda text: text.replace('"choices"', '"chosen"'),
    "odd": lambda text: text.replace('"files": {', '"files": 3, "others": {'),
    "odd layers": lambda text: text.replace('"layers": [', '"layers": [7, '),
    "in words": lambda text: text.replace('"metric": 0.8', '"metric": "0.8"'),
}


@pytest.mark.parametrize("kind", HALVES)
def test_a_broken_result_is_listed_as_such(kind: str, tmp_path: Path) -> None:
    file = made_run(tmp_path) / "result.json"
    file.write_text(HALVES[kind](file.read_text()))
    (run,) = find_runs([tmp_path])
    assert run.state == "broken" and run.problem and run.config["seed"] == 1
    assert row(run)["metric"] is None


def test_what_has_not_finished_says_how_far_it_is(tmp_path: Path) -> None:
    for name in ("failed", "gone", "interrupted", "running", "unreadable"):
        made_run(tmp_path, name=name)
        if name != "gone":
            (tmp_path / name / "result.json").unlink()
    (tmp_path / "gone" / "predictions.jsonl").unlink()
    (tmp_path / "failed" / "status.json").write_text(json.dumps({"problems": ["records are broken"]}))
    (tmp_path / "unreadable" / "config.yaml").write_bytes(b"seed: [\xff")
    with FileLock(tmp_path / "running" / ".lock"):
        runs = find_runs([tmp_path])
    assert {run.name: run.state for run in runs} == {
        "failed": "failed",
        "gone": "broken",
        "interrupted": "interrupted",
        "running": "running",
        "unreadable": "interrupted",
    }
    assert runs[0].problem == "records are broken" and "predictions.jsonl is gone" in runs[1].problem
    with pytest.raises(UserError, match=r"none of 5 runs has finished: failed is failed \(records are broken\); gone"):
        done(runs)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run: give run folders"):
        find_runs([tmp_path])
    with pytest.raises(UserError, match="nowhere: there is no such file or folder"):
        find_runs([tmp_path, tmp_path / "nowhere"])
