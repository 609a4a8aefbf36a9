"""`prune study` from the command line: it runs what is missing, and writes the tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.config.identity import contents, identity, run_name
from prune_cli.config.run_config import RunConfig
from prune_cli.console.failures import INTERRUPTED
from prune_cli.errors import UserError
from prune_cli.run.run import Outcome
from prune_cli.sweeps.study_runs import Plan
from tests.commands import Prune
from tests.made_runs import made_run

TINY = (
    "task=mrpc, model=tiny_bert, data=synthetic, data.train=32, data.validation=16, tracking=none, trainer.max_steps=20,"
    " trainer.batch_size=4, trainer.eval_steps=10"
)
STUDY = f"""sweeps:
  dense: [{TINY}, sparsity=0, regularization=none]
  pruned: [{TINY}, sparsity=0.8, 'regularization.first_teacher={{dense}}/model']
tables:
  main: {{by: [sparsity], columns: [mean, zeros]}}
picture: {{}}
"""


def test_a_study_runs_once_and_writes_its_readme(prune: Prune, tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "README.md").write_text("# Mine\n\n<!-- main -->\n<!-- end -->\n")
    ended = prune("study", "mine")
    assert ended.code == 0, ended.err
    text = (folder / "README.md").read_text()
    assert text.count("\n| 0") == 2
    assert (folder / "results" / "frontier.png").stat().st_size > 1000
    again = prune("study", "mine", "trainer.log_steps=5")
    assert again.code == 0 and "mine: 2 of 2 results are here" in again.out and "job" not in again.out
    assert (folder / "README.md").read_text() == text
    assert prune("study", "mine", "--check").code == 0
    (folder / "README.md").write_text(text.replace("| 0.8 |", "| 0.81 |"))
    stale = prune("study", "mine", "--check")
    assert stale.code == 2 and "is not what its results give: `prune study mine --tables`" in stale.err
    assert prune("study", "mine", "--tables").code == 0
    assert (folder / "README.md").read_text() == text


def test_a_failed_run_leaves_the_readme_as_it_was(prune: Prune, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "study.yaml").write_text("sweeps:\n  all: [task=mrpc, data=local, data.path=nowhere]\n")
    (folder / "README.md").write_text("# Mine\n")
    ended = prune("study", str(folder))
    assert ended.code == 2 and "nowhere" in ended.err
    assert (folder / "README.md").read_text() == "# Mine\n" and not (folder / "results").exists()


Made = list[float]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Sparsity of every run that was made, in the twinkling of an eye, and each with a model of its own."""
    runs: Made = []
    killed: list[bool] = []

    def run(config: RunConfig, console: Console) -> Outcome:
        if config.trainer.max_steps == 13:
            raise UserError("it cannot be")
        if len(runs) == KILLED_AFTER and not killed:
            runs.clear()
            killed.append(True)
            raise KeyboardInterrupt
        runs.append(config.sparsity)
        found = contents(config)
        run_id = identity(config, found)
        told: dict[str, Any] = {
            "id": run_id,
            "teacher": found.teacher,
            "sparsity": config.sparsity,
            "seed": config.seed,
        }
        told["config"] = dict(config.resolved)
        path = made_run(config.output_dir, name=run_name(config, run_id), model="tiny_bert", **told)
        (path / "model" / "config.json").write_text(json.dumps({"model_type": f"made in {Path.cwd()}"}))
        return Outcome(path, "done", RunFolder(path).read_result())

    monkeypatch.setattr("prune_cli.run.run.run", run)
    return runs


KILLED_AFTER = 2
LARGER = f"""sweeps:
  dense: [{TINY}, sparsity=0, regularization=none]
  pruned: [{TINY}, 'sparsity=0.5,0.8']
  taught: [{TINY}, sparsity=0.9, regularization=teacher, 'regularization.first_teacher={{dense}}/model']
tables:
  main: {{by: [sparsity], columns: [mean, runs]}}
"""


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(LARGER)
    (folder / "README.md").write_text("# Mine\n\n<!-- main -->\n<!-- end -->\n")
    return folder


def test_a_study_that_was_killed_goes_on_elsewhere_from_its_repository_alone(
    prune: Prune, made: Made, larger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prune("study", "mine").code == INTERRUPTED
    assert len(list((larger / "results").glob("*.json"))) == KILLED_AFTER and made == []
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "experiments", elsewhere / "experiments")
    monkeypatch.chdir(elsewhere)
    # The dense model is not here, and the taught run needs it: that one is made again, and changes no result
    before = {path.name: path.read_text() for path in (elsewhere / "experiments/mine/results").iterdir()}
    ended = prune("study", "mine")
    assert ended.code == 0 and "mine: 4 of 4 results are here" in ended.out, ended.err
    assert made == [0.8, 0.0, 0.9]
    results = elsewhere / "experiments/mine/results"
    assert all((results / name).read_text() == text for name, text in before.items())
    # With all results and no folder, nothing is made, though nobody can look at the model that taught
    third = tmp_path / "third"
    shutil.copytree(elsewhere / "experiments", third / "experiments")
    monkeypatch.chdir(third)
    made.clear()
    ended = prune("study", "mine")
    assert ended.code == 0 and "mine: 4 of 4 results are here" in ended.out and "are of no run" not in ended.out
    assert made == []
    ended = prune("study", "mine", "overwrite=true", "--sweep", "pruned", "--where", "sparsity=0,0.8")
    assert ended.code == 0 and made == [0.8], ended.err


def small(swept: str) -> str:
    return f"sweeps:\n  all: [{TINY}, '{swept}']\ntables:\n  main: {{by: [sparsity], columns: [mean]}}\n"


def test_two_of_three_results_kept_from_another_folder_leave_one_to_make(prune: Prune, made: Made, larger: Path) -> None:
    (larger / "study.yaml").write_text(small("sparsity=0.5,0.8,0.9"))
    assert prune("study", "mine", "output_dir=there").code == INTERRUPTED
    ended = prune("study", "mine", "output_dir=here")
    assert ended.code == 0 and "mine: 3 of 3 results are here" in ended.out, ended.err
    assert made == [0.9]


def test_a_page_without_a_place_for_a_table_is_told_before_any_run(prune: Prune, made: Made, larger: Path) -> None:
    (larger / "README.md").write_text("# Mine\n\n<!-- mian -->\n<!-- end -->\n")
    ended = prune("study", "mine")
    assert ended.code == 2 and "has a part mian" in ended.err and "no part <!-- main -->" in ended.err
    assert made == []


def test_a_part_is_not_held_up_by_what_is_wrong_with_the_rest(prune: Prune, made: Made, larger: Path) -> None:
    (larger / "study.yaml").write_text(small("sparsity=0.5,1.5"))
    whole = prune("study", "mine")
    assert whole.code == 2 and "1.5" in whole.err and made == []
    ended = prune("study", "mine", "--where", "sparsity=0.5")
    assert ended.code == 0 and made == [0.5], ended.err


def test_a_failed_run_holds_up_only_those_that_need_it(prune: Prune, made: Made, larger: Path) -> None:
    (larger / "study.yaml").write_text(LARGER.replace("regularization=none]", "regularization=none, trainer.max_steps=13]"))
    ended = prune("study", "mine", "--where", "sparsity=0.8,0.9")
    assert ended.code == 2 and "which needs a run that failed" in ended.err, ended.err
    assert made == [0.8] and "mine: 1 of 2 results are here" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sweep", "prund"], "there is no sweep prund: did you mean pruned? (one of dense, pruned, taught)"),
        (
            ["--where", "sparsty=1"],
            "--where sparsty=1: no sweep gives sparsty: did you mean sparsity? (they give data,",
        ),
        (["--where", "sparsity=0.7"], "no run of the study is asked for by sparsity=0.7"),
    ],
)
def test_a_part_that_is_not_there_is_told(words: list[str], said: str, prune: Prune, made: Made, larger: Path) -> None:
    ended = prune("study", "mine", *words)
    assert ended.code == 2 and said in ended.err and made == []


def test_groups_are_made_whole_one_task_after_the_other() -> None:
    plan = Plan({"dense": ["seed=1,2", "task=rte,mrpc", "sparsity=0"], "pruned": ["seed=1,2", "task=rte", "sparsity=0.8,0.9"]})
    made = [(run.values["task"], run.values["sparsity"], run.values["seed"]) for run in plan.runs]
    rte = [("rte", sparsity, seed) for sparsity in ("0", "0.8", "0.9") for seed in "12"]
    assert made == [*rte, ("mrpc", "0", "1"), ("mrpc", "0", "2")]


def test_a_name_stands_for_the_run_of_the_same_seed_and_task() -> None:
    dense = ["task=rte,mrpc", "lr=1e-4,2e-4", "seed=1,2"]
    plan = Plan({"dense": dense, "taught": ["task=mrpc", "seed=2", "lr=0.0001", "teacher={dense}/model"]})
    (taught,) = plan.part(["taught"], ["lr=1e-4,7"])
    assert plan.needed(taught)["dense"].overrides == ("task=mrpc", "lr=0.0001", "seed=2")
    assert plan.filled(taught, {"dense": Path("there")})[-1] == "teacher=there/model"
    lone = Plan({"dense": ["seed=1,2"], "taught": ["teacher={dense}/model"]})
    with pytest.raises(UserError, match=r"sweeps\.taught: \{dense\} stands for the one run of dense of the same seed, and there"):
        lone.needed(lone.part(["taught"], [])[0])


def test_which_study_is_asked(prune: Prune) -> None:
    ended = prune("study")
    assert ended.code == 2 and "which study? One of " in ended.err
