"""The short version of `make soak`: processes are killed for good, at moments that a fixed seed draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.commands import Interrupted
from tests.reliability.processes import Tally
from tests.reliability.soak import PHASES, SCENARIOS, Soak, ending, phase
from tests.tiers import exhaustive


@exhaustive
@pytest.mark.parametrize("name", ["self-regularized, bf16", "first teacher"])
def test_killed_and_resumed_is_as_if_undisturbed(name: str, tmp_path: Path) -> None:
    tally = Soak(tmp_path, seed=1).scenario(name, kills=4)
    assert (tally.counts["kills"], tally.differences) == (4, [])


@exhaustive
def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without which the tests above could not fail."""
    found: list[Path] = []

    def altered(folder: Path) -> dict:
        found.append(folder)
        return {**ending(folder), "metric": len(found)}

    monkeypatch.setattr("tests.reliability.soak.ending", altered)
    tally: Tally = Soak(tmp_path, seed=2).scenario("no teacher", kills=1)
    assert tally.differences == ["no teacher, run 1: metric"]


@exhaustive
@pytest.mark.parametrize("name", ["export, sparse", "push", "report", "plot", "predict"])
def test_an_interrupted_command_leaves_all_or_nothing(name: str, tmp_path: Path) -> None:
    assert Interrupted(tmp_path, seed=3).command(name, interruptions=3).differences == []


@exhaustive
def test_a_part_that_is_left_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above."""
    found: list[Path] = []

    def altered(folder: Path, *, contents: bool) -> dict[str, str]:
        assert contents
        found.append(folder)
        return {"a part": ""} if len(found) == 2 else {"all": ""}

    monkeypatch.setattr("tests.reliability.commands.left_in", altered)
    (difference,) = Interrupted(tmp_path, seed=3).command("plot", interruptions=1).differences
    assert "left ['a part']" in difference


def test_the_scenarios_cross_what_matters() -> None:
    said = [" ".join(overrides) for overrides in SCENARIOS.values()]
    for one in ("precision=fp32", "precision=bf16"):
        for other in (
            "save_steps=20",
            "save_steps=15",
            "first_teacher",
            "regularization=none",
            "schedule.regrow=false",
        ):
            assert any(one in text and other in text for text in said), (one, other)


def test_phases(tmp_path: Path) -> None:
    run = tmp_path / "run"
    seen = [phase(tmp_path)]
    for made in ("history.jsonl", "checkpoints/.staging/checkpoint-1/x", ".prune-1-a.tmp/x", "result.json"):
        (run / made).parent.mkdir(parents=True, exist_ok=True)
        (run / made).touch()
        seen.append(phase(tmp_path))
    assert seen == ["start-up", "steps and evaluations", "writing a checkpoint", "final save", "tidying"]
    assert set(seen) < set(PHASES)
