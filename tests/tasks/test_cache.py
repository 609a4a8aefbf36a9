"""Records that were encoded before are taken as they were, and only those."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from prune_cli.tasks import cache
from prune_cli.tasks.cache import encoded
from prune_cli.tasks.text_classification import TextClassification

TEXTS = ["the cat sat", "a dog ran away", "so it is"]


@pytest.fixture
def task(glue_task: Callable[..., TextClassification], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A task that counts how often it encodes, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "LEAST", 2)
    made = glue_task("sst2")
    calls: list[bool] = []
    original = TextClassification.encode

    def encode(self: TextClassification, records: Dataset, tokenizer: Any, *, training: bool) -> Dataset:
        calls.append(training)
        return original(self, records, tokenizer, training=training)

    monkeypatch.setattr(TextClassification, "encode", encode)
    return made, calls


def records(texts: list[str] = TEXTS) -> Dataset:
    return Dataset.from_dict({"sentence": texts, "label": [n % 2 for n in range(len(texts))]})


def test_the_same_is_encoded_once(task: Any, tiny_tokenizer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    made, calls = task
    tokenizer = tiny_tokenizer(TEXTS)
    first = encoded(made, records(), tokenizer, training=True)
    assert capfd.readouterr() == ("", ""), "no bar is drawn over what is nobody's business"
    again = encoded(made, records(), tokenizer, training=True)
    assert calls == [True]
    assert again.to_list() == first.to_list()
    assert again.features == first.features


def test_whatever_is_different_is_encoded(task: Any, tiny_tokenizer: Any) -> None:
    made, calls = task
    tokenizer = tiny_tokenizer(TEXTS)
    encoded(made, records(), tokenizer, training=True)
    encoded(made, records(), tokenizer, training=False)
    encoded(made, records([*TEXTS[:2], "so it was"]), tokenizer, training=True)
    encoded(made, records().select([1, 0, 2]), tokenizer, training=True)
    encoded(made, records(), tiny_tokenizer(["other words"]), training=True)
    encoded(dataclasses.replace(made, max_length=7), records(), tokenizer, training=True)
    assert len(calls) == 6


def test_a_torn_entry_is_encoded_again(task: Any, tiny_tokenizer: Any, tmp_path: Path) -> None:
    made, calls = task
    tokenizer = tiny_tokenizer(TEXTS)
    encoded(made, records(), tokenizer, training=True)
    [entry] = (tmp_path / "prune-lm" / "encoded").iterdir()
    next(entry.glob("*.arrow")).write_bytes(b"torn")
    assert encoded(made, records(), tokenizer, training=True)["input_ids"][:] != []
    assert len(calls) == 2
    assert len(encoded(made, records(), tokenizer, training=True)) == 3
    assert len(calls) == 2


def test_a_home_that_cannot_be_written_costs_time_alone(
    task: Any, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, calls = task
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        assert len(encoded(made, records(), tiny_tokenizer(TEXTS), training=True)) == 3
    assert len(calls) == 2


def test_the_last_used_are_kept(task: Any, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = task
    monkeypatch.setattr(cache, "KEPT", 2)
    for number in range(4):
        encoded(made, records([*TEXTS, str(number)]), tiny_tokenizer(TEXTS), training=True)
    assert len(list((tmp_path / "prune-lm" / "encoded").iterdir())) == 2


def test_few_records_leave_no_file(task: Any, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LEAST", 4)
    encoded(task[0], records(), tiny_tokenizer(TEXTS), training=True)
    assert not (tmp_path / "prune-lm").exists()
