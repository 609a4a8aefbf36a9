"""W&B gets what it should, and takes nothing down with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import wandb
from wandb.sdk.lib import import_hooks

from prune_cli.artifacts.result import Result
from prune_cli.redaction import redact
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.tracking.sync import filled_in
from prune_cli.tracking.wandb import Wandb
from tests.tiers import exhaustive

MakeTracker = Callable[..., Isolated]
ReadRun = Callable[[Path], list[Any]]


@pytest.fixture
def make_tracker(tmp_path: Path) -> MakeTracker:
    def make(run: str = "first", timeout: float = 60.0, config: dict[str, Any] | None = None, **options: Any) -> Isolated:
        folder = tmp_path / run
        folder.mkdir(exist_ok=True)
        tracked = TrackedRun(
            folder=folder,
            run_id=f"{run}-id",
            name=f"rte-{run}",
            project="prune-lm",
            entity=None,
            group="rte-bert",
            tags=["rte", "0.9", "long" * 30],
            job_type="run",
            primary_metric="f1",
            config=redact(config or {"seed": 1}),
            timeout=timeout,
            **options,
        )
        return Isolated(Wandb(), "wandb", tracked)

    return make


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the user reads; W&B's own log goes to files."""
    return [record.message for record in caplog.records if record.name.startswith("prune_cli.tracking")]


def services() -> list[psutil.Process]:
    """Services of W&B that live."""
    children = psutil.Process().children()
    return [each for each in children if each.name() == "wandb-core" and each.status() != psutil.STATUS_ZOMBIE]


def history(records: list[Any]) -> list[dict[str, Any]]:
    """Rows that were logged, without W&B's own columns."""
    rows = []
    for record in records:
        if record.HasField("history"):
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.append({key: value for key, value in row.items() if not key.startswith("_")})
    return rows


def test_an_offline_run_can_be_read_back(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
) -> None:
    config = {"sparsity": 0.9, "trainer": {"batch_size": 8}, "hub": {"token": "do-not-tell"}}
    tracker = make_tracker(config=config)
    location = tracker.start()  # not logged in, hence offline
    tracker.log({"step": 10, "loss": 0.5, "sparsity": 0.25, "target_sparsity": 0.3})
    tracker.log({"step": 10, "eval_f1": 0.75, "sparsity": 0.25, "layer_sparsity": [0.2, 0.3]})
    tracker.finish(run_summary(result, []))

    folder = tmp_path / "first"
    (offline,) = folder.glob("wandb/offline-run-*")
    assert location == str(offline)
    records = wandb_records(folder)

    (run,) = [record.run for record in records if record.HasField("run")]
    assert (run.run_id, run.display_name) == ("first-id", "rte-first")
    assert (run.project, run.run_group, run.job_type) == ("prune-lm", "rte-bert", "run")
    assert list(run.tags) == ["rte", "0.9", ("long" * 30)[:64]]
    logged_config = {item.key: json.loads(item.value_json) for item in run.config.update}
    del logged_config["_wandb"]
    assert logged_config == {"sparsity": 0.9, "trainer": {"batch_size": 8}, "hub": {"token": "[hidden]"}}

    rows = history(records)
    assert rows[0] == {"step": 10, "train/loss": 0.5, "sparsity": 0.25, "target_sparsity": 0.3}
    assert rows[1] == {"step": 10, "eval/f1": 0.75, "frontier/f1": 0.75, "metric": 0.75, "sparsity": 0.25}
    axes = {record.metric.glob_name or record.metric.name: record.metric.step_metric for record in records}
    assert axes["eval/*"] == "step"
    assert axes["frontier/*"] == "sparsity"

    logged_summary: dict[str, Any] = {}
    for record in records:
        logged_summary |= {item.key: json.loads(item.value_json) for item in record.summary.update}
    assert logged_summary["metric"] == 0.75
    assert logged_summary["best_at_target"] == 0.8125
    assert logged_summary["final/sparsity"] == 0.9
    assert logged_summary["final/zeros"] == 36

    (table,) = offline.glob("files/media/table/layers_*.table.json")
    assert json.loads(table.read_text()) == {
        "columns": ["layer", "shape", "weights", "zeros", "sparsity"],
        "data": [["layer.0.query.weight", "4x5", 20, 19, 0.95], ["layer.0.output.weight", "5x4", 20, 17, 0.85]],
    }
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [0]
    assert b"do-not-tell" not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


EARLIER = [{"step": step, "loss": step / 8} for step in (10, 20, 30)]


def test_offline_a_resumed_run_is_given_all_that_came_before(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
) -> None:
    isolated_wandb.setenv("WANDB_MODE", "offline")
    tracker = make_tracker(earlier=EARLIER)
    tracker.start()
    tracker.log({"step": 40, "loss": 5.0})
    tracker.finish(run_summary(result, []))
    rows = [row["train/loss"] for row in history(wandb_records(tmp_path / "first")) if "train/loss" in row]
    assert rows == [1.25, 2.5, 3.75, 5.0]


@pytest.mark.parametrize(("there", "sent"), [(0, [10, 20, 30, 40]), (2, [30, 40]), (3, [40]), (4, [])])
def test_online_a_resumed_run_is_given_what_it_lacks(there: int, sent: list[int]) -> None:
    logged: list[int] = []
    tracker: Any = Wandb()
    tracker._tracked = SimpleNamespace(primary_metric="f1")
    tracker._run = SimpleNamespace(starting_step=there, log=lambda row: logged.append(row["step"]))
    for record in [*EARLIER, {"step": 40, "loss": 5.0}]:  # as they are handed on
        tracker.log(record)
    assert logged == sent


@pytest.mark.parametrize(("anew", "resume"), [(True, None), (False, "allow")])
def test_a_run_that_is_made_anew_replaces_the_one_at_wandb(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    result: Result,
    anew: bool,
    resume: str | None,
) -> None:
    given: dict[str, Any] = {}
    isolated_wandb.setattr("wandb.init", lambda **options: given.update(options) or 1 / 0)
    tracker = make_tracker(anew=anew)
    tracker.start()
    tracker.finish(run_summary(result, []))
    assert given["resume"] == resume


KILLED = """
import os, signal, sys
from pathlib import Path
from prune_cli.pruning.pruner import Pruner
from tests.whole_runs import do

step, original = 0, Pruner.score
def killed(*arguments):
    global step
    step += 1
    if step == 45:
        os.kill(os.getpid(), signal.SIGKILL)
    original(*arguments)
if sys.argv[2] == "killed":
    Pruner.score = killed
print(do(Path(sys.argv[1]), "tracking=wandb", "trainer.log_steps=2").folder)
"""


@exhaustive
def test_after_a_kill_all_rows_arrive(
    isolated_wandb: pytest.MonkeyPatch, tmp_path: Path, project_root: Path, wandb_records: ReadRun
) -> None:
    isolated_wandb.setenv("WANDB_MODE", "offline")

    def started(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path / "runs"), how]
        return subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)

    assert started("killed").returncode == -signal.SIGKILL
    resumed = started("resumed")
    assert resumed.returncode == 0, resumed.stderr
    folder = Path(resumed.stdout.splitlines()[-1])
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    rows = [row for row in history(wandb_records(folder)) if "step" in row]
    assert [row["step"] for row in rows] == [line["step"] for line in lines]
    assert len(rows) == 21  # more than the killed run, or the resumed one alone, has made


def test_runs_of_one_process_stay_apart_and_a_failed_one_is_marked(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
) -> None:
    isolated_wandb.setenv("WANDB_MODE", "offline")
    for run, loss, outcome in (("first", 1.0, None), ("second", 2.0, run_summary(result, []))):
        tracker = make_tracker(run)
        tracker.start()
        tracker.log({"step": 1, "loss": loss})
        tracker.finish(outcome)
    for run, loss, exit_code in (("first", 1.0, 1), ("second", 2.0, 0)):
        records = wandb_records(tmp_path / run)
        assert [record.run.run_id for record in records if record.HasField("run")] == [f"{run}-id"]
        assert [row["train/loss"] for row in history(wandb_records(tmp_path / run)) if "train/loss" in row] == [loss]
        assert [record.exit.exit_code for record in records if record.HasField("exit")] == [exit_code]


def test_a_disabled_wandb_writes_nothing(
    isolated_wandb: pytest.MonkeyPatch, make_tracker: MakeTracker, tmp_path: Path, result: Result
) -> None:
    isolated_wandb.setenv("WANDB_MODE", "disabled")
    tracker = make_tracker()
    assert tracker.start() is None
    tracker.log({"step": 1})
    tracker.finish(run_summary(result, []))
    assert list((tmp_path / "first").iterdir()) == []


def test_an_unreachable_server_means_offline(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
    caplog: pytest.LogCaptureFixture,
) -> None:
    isolated_wandb.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    isolated_wandb.setenv("WANDB_API_KEY", "0" * 40)
    isolated_wandb.setattr("prune_cli.tracking.wandb._ONLINE_SHARE", 0.1)
    tracker = make_tracker(timeout=20.0)
    location = tracker.start()
    assert location is not None and "offline-run-" in location
    tracker.log({"step": 1, "loss": 1.0})
    tracker.finish(run_summary(result, []))
    assert history(wandb_records(tmp_path / "first"))[0] == {"step": 1, "train/loss": 1.0}
    (warning,) = told(caplog)
    assert "logged offline" in warning and "connection refused" in warning


def test_a_start_that_fails_is_told_once(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    result: Result,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(**_: object) -> None:
        raise OSError("no space left")

    isolated_wandb.setattr("wandb.init", fail)
    tracker = make_tracker()
    assert tracker.start() is None
    tracker.log({"step": 1})
    tracker.finish(run_summary(result, []))
    (warning,) = told(caplog)
    assert "OSError: no space left" in warning
    assert "first hold everything" in warning


def test_a_start_that_hangs_is_left_behind(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    result: Result,
    caplog: pytest.LogCaptureFixture,
) -> None:
    woken = threading.Event()
    isolated_wandb.setattr("wandb.init", lambda **_: woken.wait(60))
    isolated_wandb.setattr("prune_cli.tracking.isolation._GRACE", 0.1)
    tracker = make_tracker(timeout=1.0)
    assert tracker.start() is None
    tracker.log({"step": 1})
    tracker.finish(run_summary(result, []))
    (warning,) = told(caplog)
    assert "did not start within 1 s" in warning
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "tracker wandb"]
    assert worker.daemon
    woken.set()
    worker.join(10)


def test_a_start_that_ends_too_late_leaves_nothing_and_is_filled_in(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    caplog: pytest.LogCaptureFixture,
) -> None:
    init, woken = wandb.init, threading.Event()
    isolated_wandb.setenv("WANDB_MODE", "offline")
    isolated_wandb.setattr("wandb.init", lambda **options: woken.wait(60) and init(**options))
    isolated_wandb.setattr("prune_cli.tracking.isolation._GRACE", 0.1)
    isolated_wandb.setattr("prune_cli.tracking.wandb._kill_service", lambda: False)  # as where it is not there yet
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "history.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 0.5}\n')
    tracker = make_tracker(timeout=0.5)
    assert tracker.start() is None
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "tracker wandb"]
    woken.set()
    worker.join(60)
    assert not worker.is_alive()
    assert services() == []
    assert not import_hooks._post_import_hooks
    assert len(told(caplog)) == 1

    assert filled_in([tmp_path]) == 1
    assert [row["train/loss"] for row in history(wandb_records(tmp_path / "first"))] == [1.0, 0.5]
    assert filled_in([tmp_path]) == 0


def test_a_record_that_cannot_be_logged_ends_the_tracking_only(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = make_tracker()
    tracker.start()
    tracker.log({"step": 1, "loss": 1.0})
    tracker.log({1: "a key that W&B refuses"})  # type: ignore[dict-item]
    tracker.log({"step": 2, "loss": 2.0})
    tracker.finish(run_summary(result, []))
    assert len(told(caplog)) == 1
    assert history(wandb_records(tmp_path / "first")) == [{"step": 1, "train/loss": 1.0}]
    assert [r.exit.exit_code for r in wandb_records(tmp_path / "first") if r.HasField("exit")] == [1]


def test_a_service_that_hangs_holds_nothing_up(
    isolated_wandb: pytest.MonkeyPatch,
    make_tracker: MakeTracker,
    tmp_path: Path,
    wandb_records: ReadRun,
    result: Result,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = make_tracker(timeout=30.0)
    tracker.start()
    (service,) = services()
    service.send_signal(signal.SIGSTOP)
    for step in range(1000):
        tracker.log({"step": step, "loss": 1.0})
    tracker._timeout = 1.0
    tracker.finish(run_summary(result, []))
    (warning,) = told(caplog)
    assert "did not finish within 1 s" in warning

    caplog.clear()
    following = make_tracker("second")
    following.start()
    following.log({"step": 1, "loss": 2.0})
    following.finish(run_summary(result, []))
    assert told(caplog) == []
    assert history(wandb_records(tmp_path / "second"))[0] == {"step": 1, "train/loss": 2.0}


def test_a_process_that_never_finishes_its_tracker_still_ends(isolated_wandb: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolated_wandb.setenv("WANDB_MODE", "offline")
    script = f"""
import pathlib, psutil, signal
from prune_cli.tracking.base import TrackedRun
from prune_cli.tracking.isolation import Isolated
from prune_cli.tracking.rows import run_summary
from prune_cli.tracking.wandb import Wandb
tracked = TrackedRun(folder=pathlib.Path({str(tmp_path)!r}), run_id="a", name="a", project="p", entity=None,
                     group=None, tags=[], job_type="run", primary_metric="f1", config={{}}, timeout=30.0)
tracker = Isolated(Wandb(), "wandb", tracked)
assert tracker.start()
tracker._timeout = 1.0
for child in psutil.Process().children():
    child.send_signal(signal.SIGSTOP)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "did not finish within 1 s" in done.stderr
    assert "Traceback" not in done.stderr
