"""Files and folders that are there whole or not at all, whoever else writes there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prune_cli.files import filled, write_text, written


def test_folders_that_are_filled_at_once_are_each_whole(tmp_path: Path) -> None:
    place = tmp_path / "place"
    both = threading.Barrier(2)

    def fill(name: str) -> None:
        for _ in range(30):
            both.wait(30)
            with filled(place) as folder:
                for part in range(3):
                    (folder / f"{name}-{part}").touch()

    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(fill, name) for name in ("one", "two")]:
            each.result()
    assert sorted(path.name for path in place.iterdir()) in (["one-0", "one-1", "one-2"], ["two-0", "two-1", "two-2"])
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_what_is_interrupted_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "before")
    with filled(tmp_path / "folder") as folder:
        (folder / "before").touch()
    with pytest.raises(KeyboardInterrupt), written(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="full"), filled(tmp_path / "folder") as folder:
        (folder / "half").touch()
        raise OSError(errno.ENOSPC, "full")
    assert (tmp_path / "file").read_text() == "before"
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "file",
        "folder",
        "folder/before",
    ]


def test_what_a_killed_process_left_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".prune-{ended.pid}-a.tmp").mkdir()
    (tmp_path / f".prune-{ended.pid}-b.tmp.html").touch()
    (tmp_path / f".prune-{os.getppid()}-c.tmp").touch()
    write_text(tmp_path / "file", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".prune-{os.getppid()}-c.tmp", "file"]


def test_a_link_a_pipe_and_a_device_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "text"

    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit((tmp_path / "pipe").read_text)
        write_text(tmp_path / "pipe", "through")
        assert read.result() == "through"
    assert (tmp_path / "pipe").is_fifo()

    write_text(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()


def test_new_files_and_folders_can_be_read_by_those_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with filled(tmp_path / "folder") as folder:
            (folder / "file").touch(mode=0o600)
        write_text(tmp_path / "file", "")
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert set(modes.values()) == {0o755, 0o644}


def test_links_in_a_circle_are_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        write_text(tmp_path / "link", "text")
