"""What a shell completes, asked as Bash asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prune_cli.config.option_files import names
from prune_cli.paths import CONF


def completed(*words: str) -> list[str]:
    """What is offered for the last of some words."""
    asked = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_PRUNE_COMPLETE": "complete_bash"}
    command = [str(Path(sys.executable).parent / "prune")]
    return subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60).stdout.split()


CRITERIA = (
    "beta",
    "block",
    "gradients",
    "damp",
    "update",
    "memory",
    "signed",
    "beta1",
    "beta2",
    "seed",
    "learning_rate",
    "penalty",
)
"""Fields of any criterion, in the order of the files."""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("prune", "run", "crit"), ["criterion=", *(f"criterion.{name}=" for name in CRITERIA)]),
        (("prune", "run", "sparsity", "=", "0.9", "trainer.le"), ["trainer.learning_rate=", "trainer.learning_rate_schedule="]),
        (("prune", "run", "sparsity", "=", "0.9", "trainer.max_s"), ["trainer.max_steps=", "trainer.max_steps=..."]),
        (("prune", "run", "exp"), [f"experiment={name}" for name in names("experiment", [CONF])]),
        (("prune", "run", "task", "=", "squ"), ["squad", "squad_v2"]),
        (("prune", "run", "-m", "data", "=", ""), ["hub", "local", "synthetic"]),
        (("prune", "run", "data", "="), ["hub", "local", "synthetic"]),
        (("prune", "run", "sparsity", "=", "0"), []),
        (("prune", "run", "trainer.learning_rate", "="), []),
        (("prune", "list", "reg"), ["regularizations"]),
        (("prune", "fetch", "m"), ["mpnet_base"]),
        (("prune", "st"), ["study", "status"]),
    ],
)  # fmt: skip
def test_what_is_offered(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_options_of_a_folder_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("name: mine\nspeed: 3\n")
    assert completed("prune", "run", "--config-dir", str(tmp_path), "task", "=", "mi") == ["mine"]
    assert completed("prune", "run", "--config-dir", str(tmp_path), "task.sp") == ["task.speed=", "task.speed=..."]
    assert len(names("task", [CONF])) > 10
