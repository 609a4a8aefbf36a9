"""A run's files for the tests of tracking, and a W&B that sees nothing of the user's login."""

from __future__ import annotations

import gc
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from wandb.proto import wandb_internal_pb2

from prune_cli.artifacts.result import Result
from prune_cli.tracking.wandb import _end_service
from tests.made_runs import made_values


@pytest.fixture
def result() -> Result:
    """Of a small run."""
    said = {
        "primary_metric": "f1",
        "metric": 0.75,
        "metrics": {"f1": 0.75, "accuracy": 0.5},
        "best_at_target": {"metric": 0.8125, "step": 30, "records": 408, "metrics": {"f1": 0.8125, "accuracy": 0.625}},
        "teacher_metric": None,
        "sparsity": {
            "target": 0.9,
            "measured": 0.9,
            "zeros_by_mask": 36,
            "zeros_in_file": 36,
            "prunable": 40,
            "parameters": 80,
            "of_model": 0.45,
        },
        "layers": [
            {"name": "layer.0.query.weight", "shape": [4, 5], "zeros": 19, "weights": 20, "sparsity": 0.95},
            {"name": "layer.0.output.weight", "shape": [5, 4], "zeros": 17, "weights": 20, "sparsity": 0.85},
        ],
        "steps": 40,
        "seconds": {"total": 12.5, "train": 10.0, "evaluate": 2.5},
        "steps_per_second": 4.0,
        "peak_memory_bytes": 1024,
        "files": {"model/model.safetensors": 320, "model/config.json": 80},
    }
    return Result.of({**made_values(), **said})


@pytest.fixture
def isolated_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """No login, no setting of the user's; nothing of W&B is alive before or after. Not offline by itself."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home" / "wandb"))
    _end_service(exit_code=0)
    yield monkeypatch
    monkeypatch.undo()
    _end_service(exit_code=0)
    with warnings.catch_warnings():
        # W&B drops the handle of a service that was killed without waiting for it: let Python complain here.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert [child for child in alive if child.name() == "wandb-core"] == []


@pytest.fixture
def wandb_records() -> Callable[[Path], list[Any]]:
    """Reads back a W&B run."""
    return read_wandb_run


def read_wandb_run(folder: Path) -> list[Any]:
    """Read the W&B run that was logged offline beneath a folder last.

    W&B's file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md) of protocol buffers, its
    first block beginning with seven bytes of W&B's own.
    """
    path = max(folder.glob("wandb/offline-run-*/*.wandb"))  # their names begin with the time
    data = path.read_bytes()
    record_class = vars(wandb_internal_pb2)["Record"]  # made at run time: type checkers do not see it
    position, block, header = 7, 32 * 1024, 7
    records, pending = [], b""
    while position + header <= len(data):
        left = block - position % block
        if left < header:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        pending += data[position + header : position + header + length]
        position += header + length
        if kind in (1, 4):  # a whole record, or the last part of one
            records.append(record_class.FromString(pending))
            pending = b""
    return records
