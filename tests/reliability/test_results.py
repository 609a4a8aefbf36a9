"""A result is never wrong and never lost: what a run begins with, what it promises, and what counts as finished."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from prune_cli.artifacts.result import Best
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError
from prune_cli.pruning.pruner import Pruner
from prune_cli.run.measured import best_at_target
from prune_cli.run.run import Outcome
from tests.made_runs import made_run
from tests.tiers import quick
from tests.whole_runs import Killed, assert_same_end, dies, do

STEPS = ("trainer.max_steps=40", "trainer.eval_steps=10", "trainer.save_steps=10", "schedule.delta_t=5")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return do(tmp_path_factory.mktemp("undisturbed"), *STEPS)


def killed(monkeypatch: pytest.MonkeyPatch, folder: Path, where: Any, name: str, call: int, *overrides: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies(getattr(where, name), call))
        with pytest.raises(Killed):
            do(folder, *STEPS, *overrides)


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.rglob(pattern)
    return found


def started_from(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [record.getMessage() for record in caplog.records]
    return [Path(text.split()[3]).name for text in told if text.startswith("going on from")]


@pytest.fixture(autouse=True)
def _log_reaches_pytest(caplog: pytest.LogCaptureFixture):
    """The package's logger hands nothing on while a run writes its own log."""
    logger = logging.getLogger("prune_cli")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


def test_a_training_that_has_finished_goes_straight_to_its_end(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed(monkeypatch, tmp_path, RunFolder, "finish", 1)
    assert only(tmp_path, "checkpoint-40")
    monkeypatch.setattr(Pruner, "score", lambda *_: pytest.fail("it took a step more"))
    resumed = do(tmp_path, *STEPS)
    assert started_from(caplog) == ["checkpoint-40"]
    assert resumed.result.steps == 40
    assert_same_end(undisturbed, resumed)


@pytest.mark.parametrize("content", quick(["garbage"], ["", "{}", "garbage", "[]", '{"format": 1}']))
def test_a_broken_result_means_unfinished_and_costs_no_checkpoint(
    undisturbed: Outcome,
    tmp_path: Path,
    content: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    killed(monkeypatch, tmp_path, RunFolder, "clear_checkpoints", 1)
    only(tmp_path, "result.json").write_text(content)
    resumed = do(tmp_path, *STEPS)
    assert resumed.status == "done"
    assert started_from(caplog) == ["checkpoint-40"]
    assert "result.json" in caplog.text
    assert_same_end(undisturbed, resumed)


@pytest.mark.parametrize(
    "name",
    quick(
        ["model/model.safetensors"],
        ["model/model.safetensors", "model/tokenizer.json", "history.jsonl", "predictions.jsonl"],
    ),
)
def test_finished_is_what_has_all_that_it_promises(
    name: str, undisturbed: Outcome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / undisturbed.folder.name
    shutil.copytree(undisturbed.folder, folder)
    assert do(tmp_path, *STEPS).status == "skipped"
    broken = folder / name
    broken.write_bytes(broken.read_bytes()[:-1])
    assert f"{name.rpartition('/')[2]} has" in str(RunFolder(folder).unfinished_reason())
    redone = do(tmp_path, *STEPS)
    assert redone.status == "done"
    assert f"result.json promises {(undisturbed.folder / name).stat().st_size:,}" in caplog.text
    assert_same_end(undisturbed, redone)


@pytest.mark.parametrize(
    "promised", [3, [], {}, {"history.jsonl": 3}, {"history.jsonl": {"bytez": 3, "sha256": ""}}, {"model": {}}]
)
def test_promises_that_cannot_be_read_are_none(promised: object, undisturbed: Outcome, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "copy")
    shutil.copytree(undisturbed.folder, folder.path)
    folder.result.write_text(json.dumps({**undisturbed.result.plain(), "promised": promised}))
    said = "does not promise what a run leaves" if promised == {} else "it is not what a run writes: promised"
    assert said in str(folder.unfinished_reason())


def test_what_is_promised_is_told_by_size_and_verified_by_checksum(undisturbed: Outcome, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "copy")
    shutil.copytree(undisturbed.folder, folder.path)
    result = folder.read_result()
    assert {"model/model.safetensors", "model/config.json", "model/tokenizer.json"} <= result.promised.keys()
    assert list(folder.broken_promises(result, thorough=True)) == []
    weights = folder.model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert folder.unfinished_reason() is None
    [told] = folder.broken_promises(result, thorough=True)
    assert "model.safetensors has other content than result.json promises" in told
    (folder.model / "README.md").write_text("a card of my own")  # people may
    weights.unlink()
    assert "is gone" in str(folder.unfinished_reason())


ANOTHER_BEST = '{"step": 10, "eval_f1": 2.0, "target_sparsity": 0.9}\n'


@pytest.mark.parametrize("became", quick([ANOTHER_BEST], ["", None, ANOTHER_BEST, "garbage\n"]))
def test_the_history_and_the_best_come_from_the_checkpoint(
    became: str | None, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(monkeypatch, tmp_path, Pruner, "score", 38)
    history = only(tmp_path, "mrpc-*/history.jsonl")
    if became is None:
        history.unlink()
    else:
        history.write_text(became)
    assert_same_end(undisturbed, do(tmp_path, *STEPS))


def test_overwriting_is_done_once_and_then_goes_on(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(undisturbed.folder, tmp_path / undisturbed.folder.name)
    killed(monkeypatch, tmp_path, Pruner, "score", 25, "overwrite=true")
    assert not list(tmp_path.rglob("result.json"))
    resumed = do(tmp_path, *STEPS, "overwrite=true")
    assert started_from(caplog) == ["checkpoint-21"]
    assert_same_end(undisturbed, resumed)


def test_a_checkpoint_of_another_seed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(monkeypatch, tmp_path / "one", Pruner, "score", 25)
    killed(monkeypatch, tmp_path / "two", Pruner, "score", 25, "seed=1")
    theirs = only(tmp_path / "two", "checkpoints")
    shutil.rmtree(theirs)
    shutil.copytree(only(tmp_path / "one", "checkpoints"), theirs)
    with pytest.raises(UserError, match="belongs to another run"):
        do(tmp_path / "two", *STEPS, "seed=1")
    assert list(theirs.iterdir()), "nothing of it is thrown away"


def test_the_precision_that_a_run_began_with_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    capability = "prune_cli.training.hardware.bf16_in_hardware"
    auto = "trainer.precision=auto"
    monkeypatch.setattr(capability, lambda device: True)
    whole = do(tmp_path / "whole", *STEPS, auto)
    killed(monkeypatch, tmp_path / "moved", Pruner, "score", 25, auto)
    monkeypatch.setattr(capability, lambda device: False)  # the run goes on on another machine
    moved = do(tmp_path / "moved", *STEPS, auto)
    assert "in bf16" in caplog.text
    assert moved.result.precision == "bf16"
    assert_same_end(whole, moved)


def test_a_run_that_another_process_has_just_finished_is_not_made_again(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / undisturbed.folder.name
    original = RunFolder.held

    def late(self: RunFolder) -> Any:
        shutil.copytree(undisturbed.folder, folder, dirs_exist_ok=True)
        return original(self)

    monkeypatch.setattr(RunFolder, "held", late)
    assert do(tmp_path, *STEPS).status == "skipped"
    assert RunFolder(folder).read_result() == undisturbed.result


def test_what_may_be_meant_but_seldom_is_is_told_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "validation"):
        record = {"sentence1": "this is one", "sentence2": "this is another", "label": int(split == "validation")}
        (tmp_path / f"{split}.jsonl").write_text((json.dumps(record) + "\n") * 32)
    local = ("data=local", f"data.path={tmp_path}")
    do(tmp_path / "runs", "trainer.max_steps=2", "sparsity=0", "task.evaluation_splits=[train]", data=local)
    assert "ALL TRAINING RECORDS HAVE THE SAME LABEL (0)" in caplog.text
    assert "EVALUATED ON ITS TRAINING RECORDS" in caplog.text


def test_a_result_of_another_run_in_the_folder_is_not_this_runs(tmp_path: Path) -> None:
    """A folder that was copied or renamed, under the name of a run that was never made."""
    other = made_run(tmp_path, criterion="magnitude", name="copied")
    with pytest.raises(UserError, match=r"copied holds the result of another run \(.*, and this one is 0123"):
        RunFolder(other).read_result_of("0123")
    known = json.loads((other / "result.json").read_text())["id"]
    assert RunFolder(other).read_result_of(known).id == known


def test_the_best_is_chosen_among_evaluations_of_the_same_records() -> None:
    rows = [(10, 0.9, 16, 0.5), (20, 0.95, 16, 0.9), (30, 0.7, 200, 0.9), (40, 0.6, 200, 0.9)]  # a sample, and all
    history = [
        {"step": step, "eval_f1": metric, "evaluation_records": count, "target_sparsity": target}
        for step, metric, count, target in rows
    ]
    best = best_at_target(history, "f1", 0.9)
    assert best == Best(metric=0.7, step=30, records=200, metrics={"f1": 0.7})
