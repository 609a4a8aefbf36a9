"""`prune compare` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import Prune
from tests.made_runs import made_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    made_run(tmp_path / "runs", sparsity=0.0, metric=0.85)
    made_run(tmp_path / "runs", metric=0.8)
    (made_run(tmp_path / "runs", metric=0.7, name="torn") / "result.json").write_text('{"form')
    return tmp_path / "runs"


def test_a_table_and_what_is_not_in_it(prune: Prune, runs: Path) -> None:
    ended = prune("compare", str(runs))
    assert ended.code == 0
    assert "0.8000" in ended.out and "+0.0500" in ended.out
    assert "1 run is not in the table:\n  broken torn: " in ended.out


def test_json_tells_all(prune: Prune, runs: Path) -> None:
    told = json.loads(prune("compare", str(runs), "--json").out)
    assert [group["mean"] for group in told["groups"]] == [0.85, 0.8]
    assert [run["state"] for run in told["unfinished"]] == ["broken"]


def test_csv_goes_to_standard_output_alone(prune: Prune, runs: Path) -> None:
    ended = prune("compare", str(runs), "--csv", "--columns", "mean")
    assert ended.out == "sparsity,mean\n0.0,0.85\n0.9,0.8\n"
    assert ended.err == "1 of 3 runs have not finished and are left out\n"


def test_a_query(prune: Prune, runs: Path) -> None:
    ended = prune("compare", str(runs), "--csv", "--sql", "SELECT state, count(*) AS n FROM runs GROUP BY ALL ORDER BY n")
    assert ended.out == "state,n\nbroken,1\ndone,2\n"
    assert "learning_rate" in prune("compare", str(runs), "--sql", "DESCRIBE runs").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--csv", "--json"], "--csv and --json do not go together"),
        (["--sql", "SELECT nothing FROM runs"], "--sql: Binder Error"),
        (["--sql", "SELECT * FROM read_text('/etc/hostname')"], "--sql: "),
        (["--sql", "SELECT 1", "--best"], "leave --where, --by, --sort, --columns and --best out"),
        (["--sql", "SELECT 1", "--latex"], "leave --latex out"),
    ],
)
def test_what_cannot_work_is_refused(options: list[str], message: str, prune: Prune, runs: Path) -> None:
    ended = prune("compare", str(runs), *options)
    assert (ended.code, message in ended.err) == (2, True), ended.err
