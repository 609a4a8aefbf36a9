"""Jobs of one multirun are as many W&B runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prune_cli.artifacts.run_folder import RunFolder
from tests.tiers import exhaustive
from tests.tracking.conftest import read_wandb_run

MAIN = "import sys; from prune_cli.cli import main; sys.argv[0] = 'prune'; main()"
TINY = (
    "task=mrpc model=tiny_bert data=synthetic data.train=80 data.validation=16 tracking=wandb trainer.precision=fp32"
    " trainer.max_steps=20 trainer.batch_size=8 trainer.eval_steps=10"
).split()


def launched(folder: Path, *overrides: str) -> None:
    command = [sys.executable, "-c", MAIN, "run", "-m", *TINY, f"output_dir={folder}", *overrides]
    ended = subprocess.run(
        command,
        cwd=folder.parent,
        env={**os.environ, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def read_back(folder: Path) -> dict[str, Any]:
    """What W&B has of a run."""
    records = read_wandb_run(folder)
    (run,) = [record.run for record in records if record.HasField("run")]
    summary: dict[str, Any] = {}
    for record in records:
        summary |= {item.key: json.loads(item.value_json) for item in record.summary.update}
    return {
        "id": run.run_id,
        "name": run.display_name,
        "group": run.run_group,
        "job_type": run.job_type,
        "tags": list(run.tags),
        "config": {item.key: json.loads(item.value_json) for item in run.config.update},
        "summary": summary,
    }


@exhaustive
def test_eight_jobs_are_eight_runs(isolated_wandb: pytest.MonkeyPatch, tmp_path: Path) -> None:
    launched(tmp_path / "runs", "sparsity=0.5,0.8", "criterion=pins,magnitude", "seed=1,2")
    results = {path.parent: RunFolder(path.parent).read_result() for path in tmp_path.glob("runs/*/result.json")}
    assert len(results) == 8
    logged = {folder: read_back(folder) for folder in results}
    assert len({run["id"] for run in logged.values()}) == 8
    for folder, result in results.items():
        run = logged[folder]
        assert (run["id"], run["name"]) == (result.id, folder.name)
        assert (run["group"], run["job_type"]) == ("mrpc-tiny_bert", "prune")
        assert run["tags"] == [
            "mrpc",
            "tiny_bert",
            result.choices["criterion"],
            f"sparsity-{result.sparsity.target:g}",
        ]
        assert (run["config"]["seed"], run["config"]["sparsity"]) == (result.seed, result.sparsity.target)
        assert run["config"]["choices"]["criterion"] == result.choices["criterion"]
        assert run["summary"]["metric"] == result.metric
        assert run["summary"]["final/zeros"] == result.sparsity.zeros_in_file
