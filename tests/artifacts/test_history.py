"""The local history survives kills and refuses broken lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prune_cli.artifacts.history import History
from prune_cli.errors import UserError


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "history.jsonl")
    history.begin(None)
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
    history.begin(None)
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


def test_a_resumed_run_has_the_records_of_its_checkpoint_whatever_became_of_the_file(history: History, tmp_path: Path) -> None:
    history.save(tmp_path / "copy.jsonl")
    history.append({"step": 40})
    for became in ("", '{"step": 10}\n', "{broken\n", None):
        if became is None:
            history.path.unlink()
        else:
            history.path.write_text(became)
        resumed = History(history.path)
        resumed.begin(tmp_path / "copy.jsonl")
        resumed.append({"step": 35})
        assert [record["step"] for record in resumed.records] == [10, 20, 20, 30, 35]
        assert History.read(history.path) == resumed.records


def test_a_run_that_begins_has_no_records(history: History) -> None:
    history.begin(None)
    assert (history.records, history.path.read_bytes()) == ([], b"")


def test_an_evaluation_is_on_the_disk_when_it_is_written(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr("prune_cli.artifacts.history.os.fsync", lambda _: seen.append(history.path.read_bytes()))
    history.append({"step": 31, "loss": 0.5})
    assert seen == []
    history.append({"step": 32, "eval_f1": 0.5})
    assert [line.splitlines()[-1] for line in seen] == [b'{"step": 32, "eval_f1": 0.5}']


def test_a_save_that_fails_leaves_the_file_alone(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    before = history.path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prune_cli.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        history.begin(None)
    assert history.path.read_bytes() == before
