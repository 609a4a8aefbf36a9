"""A study's README is what its results give, and says so where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prune_cli.artifacts.result import COMPUTATION
from prune_cli.comparison.study import UNTRIED, Study, names, study
from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig
from prune_cli.errors import UserError
from prune_cli.paths import EXPERIMENTS
from prune_cli.sweeps.study_runs import Plan, stand_in
from tests.made_runs import made_run
from tests.tiers import quick

STUDY = """sweeps:
  all: [task=mrpc]
tables:
  main: {by: [sparsity], columns: [mean, drop]}
"""
README = "# A study\n\n<!-- main -->\n<!-- end -->\n\n<!-- measured -->\nanything\n<!-- end -->\n"


@pytest.fixture
def made(tmp_path: Path) -> Study:
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "README.md").write_text(README)
    return study("mine", [tmp_path / "experiments"])


def test_a_study_without_results_says_so(made: Study) -> None:
    assert made.rendered()[made.readme].count(UNTRIED) == 2


def test_its_tables_come_from_its_results(made: Study, tmp_path: Path) -> None:
    finished: dict[str, Any] = {"finished": "2026-11-25T10:00:00+00:00"}
    runs = [made_run(tmp_path / "runs", sparsity=s, metric=m, **finished) for s, m in ((0.0, 0.85), (0.9, 0.8))]
    for run in runs:
        made.keep(run)
    made.render()
    text = made.readme.read_text()
    assert "| sparsity | F1 | drop |\n| --- | ---: | ---: |\n| 0 | 0.8500 | - |\n| 0.9 | 0.8000 | +0.0500 |\n" in text
    assert "2 runs, measured on 2026-11-25; a processor, " in text
    assert made.up_to_date(), "the second time changes nothing"
    assert sorted(path.stem for path in made.results.glob("*.json")) == sorted(run.name for run in runs)


def test_nothing_of_records_or_folders_is_kept(made: Study, tmp_path: Path) -> None:
    made.keep(made_run(tmp_path / "runs"))
    (kept,) = made.results.glob("*.json")
    assert "Ada was born" not in kept.read_text() and str(tmp_path) not in kept.read_text()
    assert json.loads(kept.read_text())["config"]["trainer"]["max_steps"] == 100


def test_a_table_may_stand_in_another_page_too(made: Study, tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("<!-- mine.main -->\n<!-- end -->\n<!-- other.main -->\nits own\n<!-- end -->\n")
    (made.folder / "study.yaml").write_text(f"{STUDY}pages: [../../PAGE.md, ../nowhere.md]\n")
    made = study(str(made.folder), [])
    made.keep(made_run(tmp_path / "runs"))
    made.render()
    text = page.read_text()
    assert "<!-- mine.main -->\n| sparsity | F1 |" in text and "<!-- other.main -->\nits own\n" in text
    page.write_text(text.replace("0.9", "0.8"))
    assert not made.up_to_date()
    made.readme.write_text("# A study whose table stands in another page alone\n")
    page.unlink()
    assert made.up_to_date()


def test_a_result_that_is_kept_stays_unless_it_is_made_anew(made: Study, tmp_path: Path) -> None:
    here, there = (made_run(tmp_path / place, metric=metric) for place, metric in (("here", 0.8), ("there", 0.7)))
    made.keep(here)
    made.keep(there)
    assert [result.metric for result in made.kept().values()] == [0.8]
    made.keep(there, anew=True)
    assert [result.metric for result in made.kept().values()] == [0.7]


def test_a_table_of_unlike_machines_says_so(made: Study, tmp_path: Path) -> None:
    gpu = {"machine": {"gpu": "a GPU", "threads": 8}, "precision": "bf16"}
    for sparsity, told in ((0.0, {}), (0.8, {}), (0.9, gpu)):
        made.keep(made_run(tmp_path, sparsity=sparsity, **told))
    made.render()
    assert "These rows mix 2 runs on a processor, " in made.readme.read_text()
    assert "; 1 run on a GPU, 8 threads, bf16, " in made.readme.read_text()


def test_results_of_a_version_that_computed_something_else_are_told(made: Study, tmp_path: Path) -> None:
    made.keep(made_run(tmp_path, seed=1, computation=COMPUTATION))
    assert made.earlier() == []
    made.keep(made_run(tmp_path, seed=2, computation=1))
    made.render()
    assert "These rows mix 1 run on a processor, " in made.readme.read_text()
    assert "(computation 1)" in made.readme.read_text()
    (told,) = made.earlier()
    assert told.startswith("1 result of a version that computed something else") and "`prune study mine overwrite=true`" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweeps: [", "is no YAML"),
        ("tables: {}", "give sweeps"),
        ("sweeps: {a: task=mrpc}", r"sweeps\.a is no list of overrides"),
        ("sweeps: {a: [task=mrpc]}\ntable: {}", "table is not known: did you mean tables"),
        ("sweeps: {a: [task=mrpc]}\npages: README.md", "pages is no list of files"),
        ("sweeps: {a: [task=mrpc]}\npicture: true", "picture is no mapping of where and by"),
        ("sweeps: {a: [task=mrpc]}\ntables: {main: {bye: []}}", r"tables\.main\.bye is not known: did you mean by"),
    ],
)
def test_a_broken_study_is_refused(text: str, message: str, made: Study) -> None:
    (made.folder / "study.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        study(str(made.folder), [])


def test_a_part_without_a_table_is_refused(made: Study) -> None:
    made.readme.write_text(README.replace("<!-- main -->", "<!-- mian -->"))
    with pytest.raises(UserError, match=r"has a part mian, and study\.yaml no such table: did you mean main") as error:
        made.rendered()
    assert "has no part <!-- main -->" in str(error.value)


def test_an_unknown_study_is_refused(made: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no study mien: did you mean mine\? \(one of mine, or a folder"):
        study("mien", [tmp_path / "experiments"])


@pytest.mark.parametrize("name", names([EXPERIMENTS]))
def test_the_readme_of_every_study_is_what_its_results_give(name: str) -> None:
    one = study(name, [EXPERIMENTS])
    assert one.up_to_date(), f"run `prune study {name} --tables`"


LARGE = ("criteria", "headline", "paper_glue")


@pytest.mark.parametrize("name", quick([name for name in names([EXPERIMENTS]) if name not in LARGE], names([EXPERIMENTS])))
def test_every_sweep_of_every_study_can_be_run(name: str, tmp_path: Path) -> None:
    stand_in(tmp_path)
    plan = Plan(study(name, [EXPERIMENTS]).sweeps)
    with composer() as compose:
        for run in plan.runs[::5]:
            cfg = compose(plan.filled(run, dict.fromkeys(plan.needed(run), tmp_path)))
            choices = choices_of(cfg.hydra, cfg)
            RunConfig.from_hydra(without_hydra(cfg), choices, writes=False, ask_source=False)
