"""`prune study` from the command line: it runs what is missing, and writes the tables."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Prune

TINY = (
    "task=mrpc, model=tiny_bert, data=synthetic, data.train=32, data.validation=16, tracking=none, trainer.max_steps=40,"
    " trainer.batch_size=4, trainer.eval_steps=20"
)
STUDY = f"""sweeps:
  dense: [{TINY}, sparsity=0, regularization=none]
  pruned: [{TINY}, 'sparsity=0.5,0.8', 'regularization.first_teacher={{dense}}/model']
tables:
  main: {{by: [sparsity], columns: [mean, zeros]}}
picture: true
"""


def test_a_study_runs_once_and_writes_its_readme(prune: Prune, tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "README.md").write_text("# Mine\n\n<!-- main -->\n<!-- end -->\n")
    ended = prune("study", "mine")
    assert ended.code == 0, ended.err
    text = (folder / "README.md").read_text()
    assert text.count("\n| 0") == 3
    assert (folder / "results" / "frontier.png").stat().st_size > 1000
    again = prune("study", "mine", "trainer.log_steps=5")
    assert again.code == 0 and again.out.count("finished before") == 3
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


def test_which_study_is_asked(prune: Prune) -> None:
    ended = prune("study")
    assert ended.code == 2 and "which study? One of " in ended.err
