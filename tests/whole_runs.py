"""Whole runs of a tiny model, and ways to end them early."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig
from prune_cli.run.run import Outcome, run

SYNTHETIC = ("data=synthetic", "data.train=160", "data.validation=48")
SMALL = (
    "task=mrpc model=tiny_bert tracking=none trainer.precision=fp32"
    " trainer.max_steps=60 trainer.batch_size=8 trainer.learning_rate=1e-3 trainer.eval_steps=20 trainer.save_steps=15"
).split()


def config_of(folder: Path, *overrides: str, data: Sequence[str] = SYNTHETIC) -> RunConfig:
    with composer() as composed:
        cfg = composed([*SMALL, *data, f"output_dir={folder}", *overrides])
    return RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg))


def do(folder: Path, *overrides: str, data: Sequence[str] = SYNTHETIC) -> Outcome:
    return run(config_of(folder, *overrides, data=data), Console(quiet=True))


def weights_of(outcome: Outcome) -> dict[str, torch.Tensor]:
    return load_file(outcome.folder / "model" / "model.safetensors")


def history_of(outcome: Outcome) -> list[dict[str, Any]]:
    lines = (outcome.folder / "history.jsonl").read_text().splitlines()
    timed = ("seconds", "evaluation_seconds")
    return [{key: value for key, value in json.loads(line).items() if key not in timed} for line in lines]


def assert_same_end(one: Outcome, other: Outcome) -> None:
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert history_of(one) == history_of(other)
    for key in ("metric", "metrics", "best_at_target", "sparsity", "layers"):
        assert getattr(one.result, key) == getattr(other.result, key)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def dies(original: Callable[..., Any], call: int) -> Callable[..., Any]:
    """The function, but its n-th call (from 1) ends the process, so to say."""
    calls = 0

    def replacement(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return original(*args, **kwargs)

    return replacement
