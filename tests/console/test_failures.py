"""How exceptions are told."""

from __future__ import annotations

import errno

from prune_cli.console.failures import failure_of
from prune_cli.errors import UserError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_a_user_error_is_told_as_it_is() -> None:
    failure = failure_of(UserError("one", "two"))
    assert (failure.problems, failure.code) == (("one", "two"), 2)


def test_a_full_disk_is_found_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/runs/x")
    by_torch = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 9664 vs 9556")
    by_safetensors = RuntimeError("I/O error: No space left on device (os error 28)")
    for error in (full, caused(RuntimeError("saving failed"), full), by_torch, by_safetensors):
        failure = failure_of(error)
        assert failure.code == 2
        assert "space" in failure.problems[0]
        assert failure.problems[0].endswith(
            ": make room, or write elsewhere (output_dir=... of a run, --output of other commands)"
        )


def test_other_errors_of_files_are_not_the_users() -> None:
    failure = failure_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "x"))
    assert failure.code == 1


def test_an_unforeseen_error_is_told_by_its_last_line_and_notes() -> None:
    error = ValueError("first\nlast\n")
    error.add_note("The traceback is in run.log.")
    failure = failure_of(error)
    assert failure.code == 1
    assert failure.problems == ("ValueError: last\nThe traceback is in run.log.\nHYDRA_FULL_ERROR=1 shows where it happened.",)
    assert failure_of(ValueError()).problems[0].startswith("ValueError\n")
