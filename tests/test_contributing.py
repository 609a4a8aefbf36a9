"""The examples of CONTRIBUTING.md, followed to the letter, pass the contract tests, which find them by listing folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tiers import exhaustive

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NEEDED = ("prune_cli", "hydra_plugins", "conf", "tests", "pyproject.toml")


def examples() -> dict[str, str]:
    """The files that are to be written, and what is to stand in each: the block that follows the first mention."""
    blocks: dict[str, str] = {}
    for path in re.findall(r"`((?:conf|prune_cli)(?:/\w+)+\.(?:py|yaml))`", TEXT):
        if not (ROOT / path).exists():
            found = re.search(rf"`{re.escape(path)}`.*?```\w+\n(.*?)```", TEXT, re.DOTALL)
            assert found, path
            blocks.setdefault(path, found[1])
    return blocks


def test_there_is_an_example_of_each_kind() -> None:
    folders = {Path(path).parent.as_posix() for path in examples()}
    assert folders == {
        "conf/criterion",
        "conf/pattern",
        "conf/schedule",
        "conf/regularization",
        "conf/task",
        "conf/model",
        "prune_cli/pruning/criteria",
        "prune_cli/pruning/patterns",
        "prune_cli/pruning/schedules",
        "prune_cli/distillation",
        "prune_cli/tasks",
    }


@exhaustive
def test_what_was_followed_passes_the_contracts(tmp_path: Path) -> None:
    for name in NEEDED:
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(whole, tmp_path / name)
    made = examples()
    for path, block in made.items():
        (tmp_path / path).write_text(block, encoding="utf-8")
    stems = {Path(path).stem for path in made}
    own = [path for path in made if path.startswith(("prune_cli/pruning", "prune_cli/distillation"))]  # its doctests
    contracts = [
        "tests/pruning/test_contract.py",
        "tests/distillation/test_contract.py",
        "tests/config/test_compose.py",
        "tests/config/test_diagnose.py",
        "tests/tasks/test_contract.py",
    ]
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(*contracts, *own, "-k", f"{' or '.join(sorted(stems))} or culprit"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    passed = int(re.findall(r"(\d+) passed", ended.stdout)[-1])
    assert passed >= 30, ended.stdout
    assert "SKIPPED" not in ended.stdout
