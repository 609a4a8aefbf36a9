"""What differs between two runs is told, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from prune_cli.comparison.diff import ABSENT, Line, differences
from prune_cli.comparison.runs import Run, read
from tests.made_runs import made_run


def run(path: Path) -> Run:
    found = read(path)
    assert found is not None
    return found


def test_every_part_of_a_run_is_compared(tmp_path: Path) -> None:
    others = {"versions": {"torch": "2.14.0"}, "records": "sha256:others"}
    one = made_run(tmp_path, seed=1, metric=0.8)
    other = made_run(tmp_path / "other", seed=2, metric=0.85, sparsity=0.8, **others)
    rows = [{"right": right, "prediction": {}} for right in (False, True, True)]
    for path, changed in ((one, rows), (other, [rows[1], *rows[1:]])):
        (path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
        result = json.loads((path / "result.json").read_text())
        result["promised"]["predictions.jsonl"]["bytes"] = (path / "predictions.jsonl").stat().st_size
        (path / "result.json").write_text(json.dumps(result))
    told = {(line.part, line.name): (line.one, line.other) for line in differences(run(one), run(other))}
    assert told[("configuration", "sparsity")] == (0.9, 0.8)
    assert told[("configuration", "trainer.save_steps")] == (51, 52)
    assert told[("content", "records")] == ("sha256:mrpc", "sha256:others")
    assert told[("environment", "versions.torch")] == ("2.13.0", "2.14.0")
    assert told[("environment", "versions.python")] == ("3.11.7", ABSENT)
    assert told[("result", "F1")] == (0.8, 0.85)
    assert told[("predictions", "right alone, of 3 records")] == (0, 1)
    assert told[("zeros of layers", "bert.encoder.layer.0.output.dense.weight")] == (90, 80)
    assert not any(name == "output_dir" for _, name in told)


def test_a_run_says_the_same_as_itself(tmp_path: Path) -> None:
    one = made_run(tmp_path)
    assert differences(run(one), run(one)) == []


def test_an_unfinished_run_has_a_configuration_to_compare(tmp_path: Path) -> None:
    one, other = made_run(tmp_path), made_run(tmp_path, seed=2)
    (other / "result.json").unlink()
    lines = differences(run(one), run(other))
    assert [line.name for line in lines] == ["trainer.save_steps", "seed", "state"]


def test_a_change_is_told_of_numbers_alone() -> None:
    changes = [Line(part="", name="", one=one, other=other).change for one, other in ((1, 3), (True, 2), (None, 1.5))]
    assert changes == [2, None, None]
