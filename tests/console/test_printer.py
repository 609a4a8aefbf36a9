"""Where commands print: nothing is wrapped or moves that is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from prune_cli.console.printer import heading, printer


def test_what_is_no_terminal_wraps_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    printer().print(Text("long/path " * 100))
    assert capsys.readouterr().out == "long/path " * 100 + "\n"
    monkeypatch.setenv("COLUMNS", "30")
    assert printer().width == 30


@pytest.mark.parametrize(
    ("variables", "moves", "colours"), [({}, True, True), ({"CI": "1"}, False, True), ({"NO_COLOR": "1"}, True, False)]
)
def test_the_environment_is_asked(variables: dict[str, str], moves: bool, colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():  # which makes it a terminal
        monkeypatch.setenv(name, value)
    console = printer()
    assert (console.is_interactive, not console.no_color) == (moves, colours)


def test_a_part_begins_with_a_line_on_a_terminal_alone() -> None:
    shown = []
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=40, color_system=None)
        heading(console, "job 2 of 3")
        shown.append(console.file.getvalue())  # pyright: ignore[reportAttributeAccessIssue]
    assert (shown[0].count("─") > 20, shown[1]) == (True, "job 2 of 3\n")
