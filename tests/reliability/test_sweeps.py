"""The short version of `python -m tests.reliability.sweeps`."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.sweeps import soak
from tests.tiers import exhaustive


@exhaustive
def test_a_killed_grid_that_is_launched_again_ends_as_one_that_nobody_killed(tmp_path: Path) -> None:
    tally = soak(tmp_path, runs=4, kills=2, seed=1)
    assert tally.kills == 2
    assert len(tally.ends) == 4
    assert set(tally.ends) <= {"done", "skipped"}
    assert all(times == 1 for times in tally.times_done.values())
    assert tally.differences == []
