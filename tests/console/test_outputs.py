"""Files that commands write are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.commands import Prune
from tests.made_runs import made_run


@pytest.mark.parametrize(
    "command",
    [
        ["report", "runs", "--output", "out/report.html"],
        ["plot", "runs", "--output", "out/plot.png"],
        ["push", "runs/run", "somebody/model", "--dry-run", "--output", "out/hub"],
    ],
    ids=lambda command: command[0],
)
def test_a_full_disk_ends_a_command_with_nothing_left_there(
    command: list[str], prune: Prune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(tmp_path / "runs", name="run")
    (run / "model" / "README.md").write_text("A card.\n")
    (tmp_path / "out").mkdir()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        ended = prune(*command)
    assert (ended.code, ended.err) == (
        2,
        f"Error:\n--output {command[-1]} cannot be written: No space left on device\n",
    )
    assert not list((tmp_path / "out").iterdir())
    assert prune(*command).code == 0
    assert (tmp_path / command[-1]).exists()
