"""A regularization of one's own is asked in a run, and gets what it needs and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prune_cli.distillation import Need, Regularization
from prune_cli.distillation.states import Reading
from prune_cli.errors import UserError
from prune_cli.heads.decisions import task_loss
from tests.whole_runs import config_of, do, history_of

ONE_STEP = ("trainer.max_steps=1", "trainer.log_steps=1", "sparsity=0", "regularization=none")
seen: list[tuple[Reading, Reading | None, Reading | None]] = []


@dataclass(frozen=True, kw_only=True)
class Doubled(Regularization):
    """Twice the loss of the labels, and one for each row."""

    wants: tuple[str, ...] = ("hidden", "second_pass")

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset(self.wants)  # type: ignore[arg-type]

    def problems(self) -> Iterator[str]:
        return iter(())

    def loss(self, student: Reading, teacher: Reading | None, second: Reading | None) -> Tensor:
        seen.append((student, teacher, second))
        return 2 * task_loss(student.decisions)

    def state_loss(self, student: Reading, teacher: Reading | None) -> Tensor:
        return torch.tensor(float(len(student.states["hidden"][0].values)))


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "theirs", sys.modules[__name__])
    seen.clear()
    return "regularization._target_=theirs.Doubled"


def test_its_loss_is_what_a_run_learns_from(own: str, tmp_path: Path) -> None:
    plain, doubled = do(tmp_path, *ONE_STEP), do(tmp_path, *ONE_STEP, own)
    losses = [history_of(run)[0]["loss"] for run in (plain, doubled)]
    assert losses[1] == pytest.approx(2 * losses[0] + 1, rel=1e-5)
    ((student, teacher, second),) = seen
    assert teacher is None and second is not None and set(student.states) == {"hidden"}
    first, again = (reading.decisions[0][0] for reading in (student, second))
    assert first.shape == again.shape and not torch.equal(first, again), "dropout is another"


def test_a_need_that_nobody_knows_is_refused(own: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Doubled needs weather: a regularization may need teacher, hidden, attention"):
        config_of(tmp_path, *ONE_STEP, own, "+regularization.wants=[weather]")
