"""A search goes on with its study, whatever became of the process that began it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

from prune_cli.errors import UserError  # noqa: E402
from prune_cli.sweeps import search  # noqa: E402
from prune_cli.sweeps.jobs import Job, Sweep  # noqa: E402
from prune_cli.sweeps.search import best_table, run_search, searched, study_name  # noqa: E402

RATE = "trainer.learning_rate=tag(log, interval(1e-5, 1e-3))"


def test_what_is_searched_is_told_from_what_is_fixed() -> None:
    space, fixed = searched([RATE, "sparsity=range(0.5,0.75,0.1)", "seed=range(1,10,2)", "criterion=pins,magnitude", "task=rte"])
    assert space == {
        "trainer.learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
        "sparsity": CategoricalDistribution(["0.5", "0.6", "0.7"]),
        "seed": IntDistribution(1, 9, step=2),
        "criterion": CategoricalDistribution(["pins", "magnitude"]),
    }
    assert fixed == {"task": "task=rte"}
    assert searched(["seed=1,2", "seed=3"]) == ({}, {"seed": "seed=3"})


def test_the_same_search_has_the_same_name_wherever_it_writes() -> None:
    def name(*overrides: str, objectives: Sequence[str] = ("metric",)) -> str:
        return study_name(*searched(["task=rte", *overrides]), objectives)

    assert name(RATE, "output_dir=a") == name("tracking=none", RATE, "output_dir=b")
    assert name(RATE).startswith("rte-")
    others = [name(RATE), name("seed=2", RATE), name("seed=1,2"), name(RATE, objectives=("metric", "sparsity"))]
    assert len(set(others)) == 4


class PretendedJobs:
    """Ends each job as the test wants, without a run."""

    ends: Callable[[Job], Job]
    launched: list[list[str]]

    def __init__(self, *_: Any) -> None:
        self.folder = Path("sweep").absolute()
        self.all: list[Job] = []

    def add(self, combinations: Sequence[Sequence[str]]) -> list[Job]:
        new = [
            Job(number=number, overrides=[*overrides], status="waiting", result={}, problems=[])
            for number, overrides in enumerate(combinations, start=len(self.all) + 1)
        ]
        self.all += new
        return new

    def carry_out(self) -> None:
        for number, job in enumerate(self.all):
            if not job.ended:
                PretendedJobs.launched.append(job.overrides)
                self.all[number] = PretendedJobs.ends(job)


def done(job: Job) -> Job:
    """As good as the learning rate is near 1e-4."""
    rate = float(job.overrides[-1].partition("=")[2])
    result = {"metric": 1.0 - abs(rate - 1e-4), "sparsity": rate}
    return Job(**{**vars(job), "status": "done", "result": result})


def fails(job: Job) -> Job:
    return Job(**{**vars(job), "status": "failed", "problems": ["broken"]})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Search in a folder of its own; gives the study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "Jobs", PretendedJobs)
    monkeypatch.setattr(PretendedJobs, "launched", [], raising=False)
    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(done), raising=False)

    def call(*overrides: str, trials: int = 4, at_once: int = 1, **options: Any) -> Any:
        given: Any = {"objectives": ["metric"], "study": None, "seed": 1, **options}
        storage = f"sqlite:///{tmp_path / 'runs' / 'optuna.db'}"
        nothing: Any = None
        overrides = overrides or ("task=rte", RATE)
        run_search(overrides, nothing, nothing, nothing, trials=trials, at_once=at_once, storage=storage, **given)
        [name] = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage)

    return call


def states(study: Any) -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_the_same_command_goes_on_until_there_are_enough_trials(run: Any) -> None:
    assert states(run(trials=3)) == ["COMPLETE"] * 3
    assert len(PretendedJobs.launched) == 3
    study = run(trials=5)
    assert states(study) == ["COMPLETE"] * 5
    assert len({str(overrides) for overrides in PretendedJobs.launched}) == 5  # none is tried twice, with a seed too
    assert all(overrides[0] == "task=rte" for overrides in PretendedJobs.launched)
    assert states(run(trials=5)) == ["COMPLETE"] * 5  # and nothing is left to do
    assert study.best_value == max(trial.value for trial in study.trials)


def test_a_trial_of_a_killed_process_is_gone_on_with(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(job: Job) -> Job:
        if job.number == 2:
            raise KeyboardInterrupt
        return done(job)

    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(killed))
    with pytest.raises(KeyboardInterrupt):
        run(trials=3)
    before = PretendedJobs.launched[-1]
    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(done))
    assert states(run(trials=3)) == ["COMPLETE"] * 3
    assert PretendedJobs.launched[2] == before  # the same numbers: its run goes on from its checkpoint


def test_a_trial_of_a_living_process_is_left_alone(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: Job) -> Job:
        raise KeyboardInterrupt

    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(interrupted))
    with pytest.raises(KeyboardInterrupt):
        run(trials=2)
    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(done))
    with Sweep(Path("sweep").absolute()).held():
        assert states(run(trials=2)) == ["RUNNING", "COMPLETE"]


def test_a_failed_trial_is_one_and_stops_none(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PretendedJobs, "ends", staticmethod(lambda job: fails(job) if job.number == 1 else done(job)))
    assert states(run(trials=3)) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_jobs_are_launched_together_and_both_objectives_count(run: Any) -> None:
    study = run(trials=5, at_once=2, objectives=["metric", "sparsity"])
    assert states(study) == ["COMPLETE"] * 5
    assert all(len(trial.values) == 2 for trial in study.trials)
    assert best_table(study, ["metric", "sparsity"]).row_count == len(study.best_trials)


def test_the_best_trial_of_one_objective_is_one(run: Any) -> None:
    assert best_table(run(), ["metric"]).row_count == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 0}, "hydra.sweeper.trials is 0"),
        ({"trials": "x"}, "hydra.sweeper.trials is x"),
        ({"at_once": 0}, "hydra.sweeper.at_once is 0"),
        ({"objectives": ["f1"]}, "give metric or sparsity, or both"),
        ({"objectives": []}, "give metric or sparsity, or both"),
    ],
)
def test_impossible_options_are_refused(run: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        run(**options)


def test_nothing_to_search_is_refused(run: Any) -> None:
    with pytest.raises(UserError, match="nothing to search"):
        run("task=rte")


def test_an_interval_needs_a_search(prune: Any) -> None:
    ended = prune("run", "-m", "task=rte", "data=synthetic", "tracking=none", "sparsity=interval(0.5,0.9)")
    assert ended.code == 2
    assert "let Optuna search it with hydra/sweeper=optuna" in ended.err


def test_a_bad_option_of_the_search_has_exit_code_2(prune: Any) -> None:
    ended = prune(
        *("run", "-m", "task=rte", "data=synthetic", "model=tiny_bert", "tracking=none", "sparsity=interval(0.5,0.9)"),
        *("hydra/sweeper=optuna", "hydra.sweeper.trials=0"),
    )
    assert ended.code == 2
    assert "hydra.sweeper.trials is 0: give a whole number from 1 on" in ended.err
