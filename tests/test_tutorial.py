"""The commands of the tutorial, as they are written, with a smaller model and fewer steps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli import conftest

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    prune (.*)$", TEXT, re.MULTILINE)
SMALLER = ("model=minilm", "model=tiny_bert trainer.max_steps=20 trainer.batch_size=8 criterion.delta_t=2")
WORDS = {"positive": ("good", "great"), "negative": ("bad", "cold"), "mixed": ("odd", "so so")}

prune, root_logger, hub_has_every_model = conftest.prune, conftest.root_logger, conftest.hub_has_every_model


@pytest.mark.slow
def test_every_command_works_in_its_order(prune: Any, tmp_path: Path) -> None:
    rows = [
        f"The {thing} was {word}.,{label}"
        for thing in "soup wine cake room bread tea".split()
        for label, words in WORDS.items()
        for word in words
    ]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,sentiment", *rows]))
    assert [command.split()[0] for command in COMMANDS[:2]] == ["run", "predict"]
    for command in COMMANDS:
        made = sorted((tmp_path / "runs").glob("classification-*"))
        words = shlex.split(command.replace(*SMALLER).replace("RUN", made[0].name if made else "RUN"))
        ended = prune(*words)
        assert ended.code == 0, (words, ended.err)
    assert len((tmp_path / "predicted.jsonl").read_text().splitlines()) == len(rows)
