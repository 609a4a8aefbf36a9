"""After a power cut at any moment a run is finished and whole, or goes on to the end that it would have had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prune_cli import files
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.run.run import Outcome
from tests.reliability.power import Disk, Image, distinct, written
from tests.tiers import quick
from tests.whole_runs import assert_same_end, do

STEPS = ("trainer.max_steps=30", "trainer.eval_steps=10", "trainer.save_steps=12", "schedule.delta_t=5")
SHOWN = int(os.environ.get("POWER_CUTS", "12"))
"""How many moments are tried, spread evenly, beside those at the end; `make soak` tries all."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return do(tmp_path_factory.mktemp("undisturbed"), *STEPS)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Image]]:
    root = tmp_path_factory.mktemp("recorded")
    disk = Disk(root)
    with disk.recording():
        do(root, *STEPS)
    return distinct(disk.cuts)


@pytest.mark.parametrize(("shown", "at_the_end"), quick([(3, 4)], [(3, 4), (SHOWN, 10)]))
def test_every_moment_ends_as_if_nothing_had_been(
    shown: int, at_the_end: int, images: list[tuple[str, Image]], undisturbed: Outcome, tmp_path: Path
) -> None:
    assert len(images) > 60
    early, late = images[:-at_the_end], images[-at_the_end:]
    chosen = [early[number * len(early) // shown] for number in range(min(shown, len(early)))] + late
    ended: list[str] = []
    for number, (moment, image) in enumerate(chosen):
        outcome = do(written(image, tmp_path / str(number)), *STEPS)
        ended.append(outcome.status)
        folder = RunFolder(outcome.folder)
        assert list(folder.broken_promises(outcome.result, thorough=True)) == [], moment
        assert_same_end(undisturbed, outcome)
        assert not list(folder.checkpoints.glob("*")), moment
    assert {"done", "skipped"} == set(ended), "both kinds of moment are tried"


def test_a_result_never_outlives_what_it_promises(images: list[tuple[str, Image]], tmp_path: Path) -> None:
    """At every moment, and not at some: wherever result.json is whole, so is all the rest."""
    finished = 0
    for number, (moment, image) in enumerate(images):
        if any(name.endswith("/result.json") and content and content.strip(b"\0") for name, content in image.items()):
            [run] = [path for path in written(image, tmp_path / str(number)).iterdir() if path.is_dir()]
            folder = RunFolder(run)
            assert list(folder.broken_promises(folder.read_result(), thorough=True)) == [], moment
            finished += 1
    assert finished >= 3


def test_without_syncs_it_would_fail(undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: the model is written and renamed, result.json alone is synced. The test must see that."""
    monkeypatch.setattr(files, "sync_tree", lambda folder: None)
    disk = Disk(tmp_path / "recorded")
    disk.root.mkdir()
    with disk.recording():
        do(disk.root, *STEPS)
    last = disk.cuts[-1].images[0]
    [run] = [path for path in written(last, tmp_path / "after").iterdir() if path.is_dir()]
    folder = RunFolder(run)
    assert folder.unfinished_reason() is None, "by their sizes the files are there"
    told = list(folder.broken_promises(folder.read_result(), thorough=True))
    assert any("model.safetensors has other content" in text for text in told)
