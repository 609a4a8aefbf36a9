"""What W&B's API is sent, by a stand-in of it on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prune_cli.artifacts.result import Result
from prune_cli.cli.syncing import sync_shown
from prune_cli.errors import UserError
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.tracking.sync import offline_runs
from prune_cli.tracking.wandb import Wandb
from prune_cli.tracking.workspace import GROUPS, make, workspace
from tests.tiers import exhaustive
from tests.tracking.wandb_server import WandbServer, serving


@pytest.fixture
def server(isolated_wandb: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with serving(isolated_wandb) as taker:
        yield taker


def follow(folder: Path, result: Result, **changes: Any) -> Path:
    """Log a run of two evaluations."""
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "folder": folder,
        "run_id": f"{folder.name}-id",
        "name": folder.name,
        "project": "tests",
        "entity": None,
        "group": "rte-bert",
        "tags": ["rte", "pins"],
        "job_type": "prune",
        "primary_metric": "f1",
        "config": {"seed": 7, "choices": {"task": "rte"}},
        "timeout": 60.0,
    }
    tracker = Isolated(Wandb(), "wandb", TrackedRun(**{**values, **changes}))
    assert tracker.start() is not None
    tracker.log({"step": 10, "eval_f1": 0.5, "sparsity": 0.25})
    tracker.log({"step": 20, "eval_f1": 0.625, "sparsity": 0.5})
    tracker.finish(run_summary(result, [], sorted((folder / "figures").glob("*.png"))))
    return folder


def assert_sent(server: WandbServer, run_id: str) -> None:
    run = server.upserts[0]
    assert (run["name"], run["groupName"], run["jobType"]) == (run_id, "rte-bert", "prune")
    assert run["tags"] == ["rte", "pins"]
    assert json.loads(run["config"])["seed"] == {"value": 7}
    evaluated = [row for row in server.rows() if "eval/f1" in row]
    assert [(row["step"], row["metric"], row["sparsity"]) for row in evaluated] == [(10, 0.5, 0.25), (20, 0.625, 0.5)]
    assert server.summary()["metric"] == 0.75  # the final one
    assert server.summary()["final/sparsity"] == 0.9


def test_an_online_run_is_sent_as_it_goes(
    server: WandbServer, tmp_path: Path, result: Result, caplog: pytest.LogCaptureFixture
) -> None:
    follow(tmp_path / "first", result)
    assert_sent(server, "first-id")
    assert [record for record in caplog.records if record.name.startswith("prune_cli")] == []


@exhaustive
def test_model_and_pictures_are_handed_over_when_asked(server: WandbServer, tmp_path: Path, result: Result) -> None:
    for name in ("model", "figures"):
        (tmp_path / "first" / name).mkdir(parents=True)
    (tmp_path / "first" / "model" / "model.safetensors").write_bytes(b"weights")
    Image.new("RGB", (2, 2)).save(tmp_path / "first" / "figures" / "metric.png")
    follow(tmp_path / "first", result, artifacts=True)
    made = {artifact["artifactCollectionName"]: artifact["artifactTypeName"] for artifact in server.artifacts}
    assert made["first-model"] == "model"
    assert made["first-figures"] == "figures"
    assert any("figures/metric" in path for path in server.uploads)


@exhaustive
def test_nothing_is_handed_over_unasked(server: WandbServer, tmp_path: Path, result: Result) -> None:
    follow(tmp_path / "first", result)
    assert {artifact["artifactTypeName"] for artifact in server.artifacts} <= {"run_table"}


@exhaustive
def test_in_a_sweep_the_run_has_the_id_that_the_agent_gave_it(
    server: WandbServer, isolated_wandb: pytest.MonkeyPatch, tmp_path: Path, result: Result
) -> None:
    isolated_wandb.setenv("WANDB_SWEEP_ID", "sweep")
    isolated_wandb.setenv("WANDB_RUN_ID", "of-the-agent")
    follow(tmp_path / "first", result)
    assert server.upserts[0]["name"] == "of-the-agent"
    assert server.upserts[0]["sweep"] == "sweep"


@pytest.fixture
def offline(isolated_wandb: pytest.MonkeyPatch, tmp_path: Path, result: Result) -> Path:
    """Two runs that were logged offline, the first of them twice, as when it was killed and went on."""
    with isolated_wandb.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        runs = tmp_path / "runs"
        follow(runs / "first", result)
        (killed,) = (runs / "first" / "wandb").glob("offline-run-*")
        killed.rename(killed.with_name("offline-run-20200101_000000-first-id"))
        follow(runs / "first", result)
        follow(runs / "second", result)
    return runs


def test_offline_runs_are_sent_once_each(
    offline: Path, isolated_wandb: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [run.run_id for run in offline_runs([offline, offline / "first"])] == ["first-id", "second-id"]
    with serving(isolated_wandb) as server:
        assert sync_shown([offline / "first"]) == 0
        assert_sent(server, "first-id")
        assert sync_shown([offline]) == 0
        assert {run["name"] for run in server.upserts} == {"first-id", "second-id"}
        sent = len(server.upserts)
        assert sync_shown([offline]) == 0
        assert len(server.upserts) == sent
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert told == ["sent first", "sent before first", "sent second", "sent before first", "sent before second"]


@exhaustive
def test_what_cannot_be_sent_is_told_and_kept(
    offline: Path, isolated_wandb: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="nobody is logged in at W&B"):
        sync_shown([offline])
    isolated_wandb.setattr("prune_cli.cli.syncing.check_login", lambda: None)  # a login that has run out, say
    assert sync_shown([offline / "second"]) == 2
    told = capsys.readouterr().out
    assert "failed" in told
    assert "1 of 1 could not be sent: `wandb login`" in told
    assert not offline_runs([offline / "second"])[0].synced


def test_no_offline_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run was logged offline there"):
        sync_shown([tmp_path])
    with pytest.raises(UserError, match="there is no such folder"):
        sync_shown([tmp_path / "none"])


def test_the_workspace_groups_runs_by_task_criterion_and_sparsity() -> None:
    pytest.importorskip("wandb_workspaces")
    view = workspace("tester", "tests")
    assert [group.name for group in view.runset_settings.groupby] == [*GROUPS]  # type: ignore[union-attr]
    said = view._to_model().model_dump_json()
    assert "final/sparsity" in said
    assert '"grouping":[{"section":"config","name":"choices.value.task"}' in said


@exhaustive
def test_the_workspace_and_the_report_are_saved(server: WandbServer) -> None:
    pytest.importorskip("wandb_workspaces")
    made = make("tests", None, report=True)
    assert [what for what, _ in made] == ["view", "report"]
    assert all(url.startswith(server.url) for _, url in made)
    view, report = server.views
    assert (view["entityName"], view["projectName"]) == ("tester", "tests")
    assert "final/sparsity" in view["spec"]
    assert "final/sparsity" in report["spec"]


def test_without_a_login_there_is_no_workspace(isolated_wandb: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb_workspaces")
    with pytest.raises(UserError, match="wandb login"):
        make("tests", None, report=False)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="prune-lm\\[workspaces\\]"):
        make("tests", None, report=False)
