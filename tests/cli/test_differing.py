"""`prune diff` and `prune show --command` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import Prune
from tests.made_runs import made_run


def test_what_differs_is_shown(prune: Prune, tmp_path: Path) -> None:
    one, other = made_run(tmp_path / "a", metric=0.8), made_run(tmp_path / "b", metric=0.85, sparsity=0.8, layers=9)
    ended = prune("diff", str(one), str(other))
    assert ended.code == 0
    for part in ("configuration", "result", "zeros of layers", "+0.05", "-0.1", "and 3 matrices more"):
        assert part in ended.out
    lines = json.loads(prune("diff", str(one), str(other), "--json").out)
    assert {"part": "result", "name": "F1", "one": 0.8, "other": 0.85} in lines
    assert "The two runs say the same." in prune("diff", str(one), str(one)).out


def test_one_run_is_asked_for(prune: Prune, tmp_path: Path) -> None:
    made_run(tmp_path, seed=1)
    one = made_run(tmp_path, seed=2)
    ended = prune("diff", str(tmp_path), str(one))
    assert ended.code == 2 and "holds 2 runs: give one of them, such as" in ended.err


def test_the_command_that_repeats_a_run(prune: Prune, tmp_path: Path) -> None:
    overrides = "task=mrpc model=tiny_bert data=synthetic data.train=32 tracking=none seed=7 trainer.max_steps=40".split()
    assert prune("run", *overrides, "data.validation=8", "sparsity=0.5").code == 0
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    ended = prune("show", "--command", str(folder))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("prune run task=mrpc model=tiny_bert data=synthetic ") and "seed=7" in ended.out
    again = prune("run", *ended.out.split()[2:], "tracking=none")
    assert "This configuration had finished before" in again.out
