"""`prune plot` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import Prune
from tests.made_runs import made_run


def test_a_picture(prune: Prune, tmp_path: Path) -> None:
    made_run(tmp_path / "runs")
    (made_run(tmp_path / "runs", name="torn") / "result.json").unlink()
    ended = prune("plot", "runs", "--kind", "curves", "--output", "curves.svg", "--where", "task=mrpc")
    assert (ended.code, ended.out) == (0, "curves.svg (1 unfinished runs left out)\n")
    assert "Optimizer step" in (tmp_path / "curves.svg").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "curve"], "--kind curve is not known: did you mean curves? (one of frontier, curves, layers)"),
        (["--output", "x.jpg"], "--output x.jpg: give a file that ends in .pdf, .svg, .png"),
        (["--output", "no/x.pdf"], "--output no/x.pdf: there is no folder no"),
        (["--where", "task=rte"], "no finished run has task=rte"),
    ],
)
def test_what_cannot_work_is_refused(options: list[str], message: str, prune: Prune, tmp_path: Path) -> None:
    made_run(tmp_path / "runs")
    ended = prune("plot", "runs", *options)
    assert ended.code == 2 and message in ended.err
