"""The local history survives kills and refuses broken lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prune_cli.errors import UserError
from prune_cli.tracking.history import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "history.jsonl")
    for step in (10, 20, 20, 30):
        history.append({"step": step, "loss": step / 8})
    return history


def test_every_record_is_one_line_and_comes_back(history: History) -> None:
    assert history.path.read_text().splitlines()[1] == '{"step": 20, "loss": 2.5}'
    assert History.read(history.path) == [
        {"step": 10, "loss": 1.25},
        {"step": 20, "loss": 2.5},
        {"step": 20, "loss": 2.5},
        {"step": 30, "loss": 3.75},
    ]


def test_a_number_that_is_not_finite_becomes_null(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append({"step": 1, "loss": float("nan"), "layer_sparsity": [0.5, float("inf")]})
    line = history.path.read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {"step": 1, "loss": None, "layer_sparsity": [0.5, None]}


@pytest.mark.parametrize("torn", ['{"step": 40, "lo', '{"step": 40}', '{"step": 40, "text": "\xc3'])
def test_a_torn_last_line_is_dropped(history: History, torn: str) -> None:
    with history.path.open("ab") as file:
        file.write(torn.encode("latin-1"))
    assert [record["step"] for record in History.read(history.path)] == [10, 20, 20, 30]


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", '{"loss": 1.0}', '{"step": 1.5}', ""])
def test_a_broken_line_elsewhere_is_named(history: History, line: str) -> None:
    lines = history.path.read_text().splitlines()
    lines[2] = line
    history.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"history\.jsonl, line 3 is not .*Delete that line"):
        History.read(history.path)


def test_truncate_keeps_what_the_checkpoint_has_seen(history: History) -> None:
    with history.path.open("a") as file:
        file.write('{"step": 40, "lo')
    history.truncate(20)
    history.append({"step": 25})
    assert [record["step"] for record in History.read(history.path)] == [10, 20, 20, 25]
    assert list(history.path.parent.iterdir()) == [history.path]


def test_truncate_to_nothing_and_without_a_file(history: History, tmp_path: Path) -> None:
    history.truncate(-1)
    assert History.read(history.path) == []
    absent = History(tmp_path / "absent.jsonl")
    absent.truncate(10)
    assert not absent.path.exists()


def test_truncate_that_fails_leaves_the_history_alone(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    before = history.path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prune_cli.tracking.history.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        history.truncate(10)
    assert history.path.read_bytes() == before
