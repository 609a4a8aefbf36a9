"""The reference says what there is."""

from __future__ import annotations

from pathlib import Path

from prune_cli.config.reference import reference


def test_the_reference_is_that_of_the_classes() -> None:
    written = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
    assert written.read_text(encoding="utf-8") == reference(), "make reference"
