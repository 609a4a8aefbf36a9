"""Every tracker of conf/tracking is told the same, in its own library's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from prune_cli.artifacts.result import Result
from prune_cli.config.build import build
from prune_cli.paths import CONF
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from tests.event_files import scalars, texts

OPTIONS = {path.stem: yaml.safe_load(path.read_text())["trackers"] for path in (CONF / "tracking").glob("*.yaml")}
TRACKERS = sorted(name for name, trackers in OPTIONS.items() if trackers)
EARLIER = [{"step": 10, "loss": 1.0, "sparsity": 0.25}]
Track = Callable[..., None]


@pytest.fixture
def track(isolated_wandb: pytest.MonkeyPatch, tmp_path: Path, result: Result, monkeypatch: pytest.MonkeyPatch) -> Track:
    """Follow a run from step 10 to its end at step 40."""
    isolated_wandb.setenv("WANDB_MODE", "offline")
    pytest.importorskip("trackio")
    for module in ("trackio.utils", "trackio.sqlite_storage", "trackio"):
        monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path / "trackio", raising=False)

    def follow(name: str, *, value: float = 0.5, **changes: Any) -> None:
        (node,) = OPTIONS[name].values()
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        run = TrackedRun(
            folder=folder,
            run_id="id",
            name="rte-first",
            project="tests",
            entity=None,
            group="rte-bert",
            tags=["rte"],
            job_type="prune",
            primary_metric="f1",
            config={"seed": 7, "trainer": {"warmup": 0.25}},
            timeout=60.0,
            **changes,
        )
        tracker = Isolated(build(node, f"tracking.trackers.{name}"), name, run)
        assert tracker.start() is not None
        tracker.log({"step": 20, "eval_f1": value, "sparsity": 0.5, "target_sparsity": 0.5})
        tracker.finish(run_summary(result, [{"sentence": "so it is", "prediction": {"label": "yes"}}]))

    return follow


def trackio_rows() -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Configuration and rows of the one run in Trackio's database."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    [run] = list(trackio.Api().runs("tests"))
    return run.config or {}, SQLiteStorage.get_logs("tests", run.name)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_run_goes_through_without_a_word(name: str, track: Track, caplog: pytest.LogCaptureFixture) -> None:
    track(name, earlier=EARLIER)
    assert [record for record in caplog.records if record.name.startswith("prune_cli")] == []


@pytest.mark.parametrize("name", TRACKERS)
def test_what_cannot_be_logged_ends_the_tracking_alone(name: str, track: Track, caplog: pytest.LogCaptureFixture) -> None:
    track(name, value=object())  # type: ignore[arg-type]
    told = [record.message for record in caplog.records if record.name == "prune_cli.tracking.isolation"]
    assert len(told) <= 1  # some libraries write the object's name instead


def test_tensorboard_has_scalars_and_hyperparameters(track: Track, tmp_path: Path) -> None:
    track("tensorboard", earlier=EARLIER)
    found = scalars(tmp_path / "run" / "tensorboard")
    assert found["train/loss"] == [(10, 1.0)]
    assert found["eval/f1"] == [(20, 0.5)]
    assert found["sparsity"] == [(10, 0.25), (20, 0.5)]
    assert found["metric"][-1][1] == 0.75
    assert not any(tag.startswith("frontier/") for tag in found)
    assert "| so it is |" in texts(tmp_path / "run" / "tensorboard")["samples"]
    assert "| layer.0.query.weight | 4x5 | 20 | 19 | 0.95 |" in texts(tmp_path / "run" / "tensorboard")["layers"]


def test_tensorboard_has_a_resumed_run_once(track: Track, tmp_path: Path) -> None:
    track("tensorboard")
    track("tensorboard", value=0.25, earlier=EARLIER)
    assert scalars(tmp_path / "run" / "tensorboard")["eval/f1"] == [(20, 0.25)]


def test_trackio_has_rows_and_configuration(track: Track) -> None:
    track("trackio", earlier=EARLIER)
    config, rows = trackio_rows()
    assert config["seed"] == 7
    assert config["tags"] == ["rte"]
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [(10, 1.0)]
    assert [(row["step"], row["eval/f1"]) for row in rows if "eval/f1" in row] == [(20, 0.5)]
    assert rows[-1]["metric"] == 0.75
    assert json.dumps(rows[-1]["layers"]).count("layer.0.query.weight") == 1


def test_trackio_has_a_resumed_run_once(track: Track) -> None:
    track("trackio")
    track("trackio", value=0.25, earlier=EARLIER)
    _, rows = trackio_rows()
    assert [row["eval/f1"] for row in rows if "eval/f1" in row] == [0.25]


@pytest.mark.parametrize("name", [name for name in TRACKERS if name != "wandb"])
def test_a_missing_extra_is_said_before_anything_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (node,) = OPTIONS[name].values()
    tracker = build(node, "tracking")
    assert list(tracker.problems()) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    assert list(tracker.problems()) == [f"it needs an extra: pip install 'prune-lm[{name}]'"]
