"""The reference says what there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from prune_cli.config.reference import reference

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_that_of_the_classes() -> None:
    written = ROOT / "docs" / "configuration.md"
    assert written.read_text(encoding="utf-8") == reference(), "make reference"


def test_the_commands_are_those_there_are(tmp_path: Path) -> None:
    made = tmp_path / "commands.md"
    arguments = "-m typer prune_cli.cli.app utils docs --name prune --title Commands --output".split()
    subprocess.run([sys.executable, *arguments, str(made)], check=True, capture_output=True, cwd=ROOT)
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), "make reference"
