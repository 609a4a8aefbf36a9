"""Files that a user names with an option, such as --output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.files import is_stream, write_text


def check(option: str, path: Path) -> None:
    """Refuse a file that cannot be there, before anything is computed for it.

    Args:
        option: Its name, such as "--output".

    Raises:
        UserError: If it is a folder, or in none.
    """
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder: give the name of a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Tell what the system says of a file or folder that cannot be written.

    Raises:
        UserError: If the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{option} {path} cannot be written: {error.strerror or error}") from error


def write(option: str, path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        UserError: If the system refuses.
    """
    with writing(option, path):
        write_text(path, text)


def say(path: Path, text: str) -> None:
    """Say on the screen what was written; on standard error where the file itself may be standard output."""
    printer(stderr=is_stream(path)).print(text, soft_wrap=True)
