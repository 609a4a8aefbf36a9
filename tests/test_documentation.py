"""Every command that a page shows is run, in the order of its page, with a tiny model, few steps and made-up records."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
import yaml

from prune_cli.bench import bench
from prune_cli.cli.app import app
from prune_cli.config.diagnose import diagnose
from prune_cli.data.hub import Hub
from prune_cli.data.local import Local
from prune_cli.models.options import ModelConfig
from tests import commands
from tests.made_runs import made_run
from tests.tiers import exhaustive, quick

hub_has_every_model, prune, root_logger = commands.hub_has_every_model, commands.prune, commands.root_logger

ROOT = Path(__file__).resolve().parents[1]
NOT_HERE = ("CHANGELOG.md", "commands.md")  # tells of what is no more; is made from the commands
FOLLOWED = "CONTRIBUTING.md"  # to the letter, by test_contributing.py: its options have yet to be written
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder, pattern in ((ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (ROOT / "experiments", "**/*.md"))
    for path in sorted(folder.glob(pattern))
    if path.name not in NOT_HERE
}
COMMANDS = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue] it is a group
ONLINE = ("sync", "wandb-workspace")  # ask W&B: tests/tracking/test_online.py
SMALL = {
    "trainer.max_steps": "4",
    "trainer.batch_size": "4",
    "trainer.eval_steps": "4",
    "schedule.delta_t": "1",
    "task.evaluation_records": "4",
}
RECORDS = {"data": "synthetic", "data.train": "24", "data.validation": "8"}
REVIEWS = [(f"The {thing} was {word}.", word) for thing in "soup wine cake room".split() for word in ("good", "bad")]


@pytest.fixture(autouse=True)
def everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page asks of the hub, of a folder DIR or of an extra is not looked for."""
    for cls in (Hub, Local, ModelConfig):
        monkeypatch.setattr(cls, "missing", lambda *_, **__: [])
    monkeypatch.setattr("prune_cli.distillation.distillation.folder_problems", lambda folder: [])


@dataclass(frozen=True)
class Shown:
    """A command of a page."""

    words: tuple[str, ...]
    wrong: str
    """The first line of its refusal, where the page shows one."""


def shown(text: str) -> list[Shown]:
    """The commands of `prune` that stand on lines of their own."""
    joined = re.sub(r" *\\\n *", " ", text)
    found = re.findall(r"^ {4}(?:\$ )?prune (.*)$(?:\n {4}(\d+ things are wrong:)$)?", joined, re.MULTILINE)
    return [Shown(tuple(shlex.split(command, comments=True)), wrong) for command, wrong in found]


def said_in_passing(text: str) -> set[str]:
    return {found.replace(r"\|", "|") for found in re.findall(r"`(prune [^`\n]+)`", text)}


def keys(words: Iterable[str]) -> dict[str, str]:
    """The overrides among the words."""
    return {key: value for key, sign, value in (word.partition("=") for word in words) if sign}


def one(value: str) -> str:
    """The first value of a sweep."""
    return value if value.startswith("[") or "(" in value else value.split(",")[0]


def smaller(words: Sequence[str]) -> list[str]:
    """The same run in seconds; of a sweep two values of one key, and one of the others."""
    given = keys(words)
    given.setdefault("tracking", "none")
    if not Path(given.get("data.path", "")).is_file():
        given.pop("data.path", None)
        given.update(RECORDS)
    tiny = "tiny_gpt2" if given.get("task") in ("web_nlg", "e2e_nlg") else "tiny_bert"
    swept = next((key for key in ("sparsity", "seed") if "," in given.get(key, "")), None)
    given = {key: one(value) if key != swept else ",".join(value.split(",")[:2]) for key, value in given.items()}
    given.update(SMALL, model=tiny)
    given.pop("trainer.epochs", None)
    if "hydra.sweeper.trials" in given:
        given["hydra.sweeper.trials"] = "2"
    return [*(word for word in words if "=" not in word), *(f"{key}={value}" for key, value in given.items())]


class Reader:
    """Somebody who types the commands of a page, one after the other."""

    def __init__(self, prune: commands.Prune) -> None:
        self._prune = prune

    def type(self, command: Shown) -> None:
        name, *words = command.words
        match name:
            case "run" if command.wrong:
                ended = self._prune(*command.words)
                assert ended.code == 2 and command.wrong in ended.err
                return
            case "run":
                launched = keys(words).get("hydra/launcher", "")
                composed = [word for word in words if not (launched and word.startswith("hydra"))]
                diagnose([word for word in composed if word != "-m"], multirun="-m" in words)
                if launched:  # tests/sweeps/test_launchers.py runs such
                    return
                words = smaller(words)
            case "frontier":
                words = [*smaller([word for word in words if not word.startswith("seed")]), "grid=[0.5]"]
            case "study":
                assert (ROOT / "experiments" / words[0] / "study.yaml").is_file()
                return
            case "bench":
                words = [*self._there(words), "--quick", "--runtime", "eager", "tracking=none"]
            case _ if name in ONLINE:
                return
            case _:
                words = self._there(words)
        ended = self._prune(name, *words)
        assert ended.code == 0, (name, words, ended.err)

    def _there(self, words: Sequence[str]) -> list[str]:
        """The words, with what they name in place of what stands for it."""
        if "runs" in words and not Path("runs").is_dir():
            for sparsity in (0, 0.8):
                made_run(Path("runs"), sparsity=sparsity)
        there = [re.sub(r"^runs/(RUN|PRUNED|DENSE|\w+-\.\.\.)$", lambda found: self._run(found[1]), w) for w in words]
        if "FOLDER_WITH_A_MODEL" in there:
            there[there.index("FOLDER_WITH_A_MODEL")] = f"{self._run('RUN')}/model"
            there = [word for word in there if not word.startswith("data")] + [f"{key}={value}" for key, value in RECORDS.items()]
        return there

    def _run(self, name: str) -> str:
        """A finished run: the last that this page made, or another."""
        task = "mrpc" if name.isupper() else name.partition("-")[0]
        made = [*Path("runs").glob(f"{'*' if name == 'RUN' else f'{task}-'}*/result.json")]
        if name == "DENSE" or not made:
            ended = self._prune(
                "run", *smaller([f"task={task}", *(["sparsity=0", "regularization=none"] if name == "DENSE" else [])])
            )
            assert ended.code == 0, ended.err
            made = [*Path("runs").glob(f"{task}-*/result.json")]
        return max(made, key=lambda file: file.stat().st_mtime_ns).parent.as_posix()


@pytest.mark.parametrize("page", quick(["README.md"], [page for page, text in PAGES.items() if shown(text)]))
def test_every_command_of_a_page_works_in_its_order(
    page: str, prune: commands.Prune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "SECONDS_QUICK", 0.1)
    for file, columns in (("reviews.csv", "review,sentiment"), ("FILE.csv", "text,label")):
        (tmp_path / file).write_text("\n".join([columns, *(f"{text},{word}" for text, word in REVIEWS)]))
    asked = {"question": "Where does Peter live?", "context": "Peter lives in Brussels."}
    (tmp_path / "questions.jsonl").write_text(json.dumps(asked))
    reader = Reader(prune)
    for command in shown(PAGES[page]):
        reader.type(command)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_said_in_passing_are_there(page: str) -> None:
    for command in said_in_passing(PAGES[page]):
        name, *words = command.split()[1:]
        if name.startswith("-"):
            continue  # an option of `prune` itself
        assert name in COMMANDS, command
        options = {"--help"} | {option for parameter in COMMANDS[name].params for option in parameter.opts}
        for word in re.findall(r"(?<=[\s\[])--?[a-z][\w-]*", command):
            assert word in options, command
        overrides = [word for word in shlex.split(command) if "=" in word]
        if name == "run" and overrides and "..." not in command and page != FOLLOWED:
            chosen = [] if re.search(r"\b(task|experiment)=", command) else ["task=mrpc"]
            diagnose([*chosen, *overrides], multirun="-m" in words)


@pytest.mark.parametrize("page", PAGES)
def test_scripts_targets_and_extras_that_pages_name_are_there(page: str) -> None:
    text = PAGES[page]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for script in re.findall(r"python ((?:benchmarks|tests)/\w+\.py)", text):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"python -m (tests[.\w]*)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
    extras = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"prune-lm\[([\w-]+)\]", text):
        assert f"\n{extra} = [" in extras, extra


def prose(text: str) -> list[str]:
    """The lines of a page that are neither code nor a table."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in without_code.splitlines() if not line.startswith(("    ", "|"))]


def test_the_first_page_is_short() -> None:
    text = PAGES["README.md"]
    assert len(text.split()) <= 900
    assert [line for line in prose(text) if len(line) > 160] == []


@pytest.mark.parametrize("page", sorted(page for page in PAGES if re.fullmatch(r"docs/\w+\.md", page)))
def test_a_page_says_first_for_whom_it_is(page: str) -> None:
    title, empty, first = PAGES[page].splitlines()[:3]
    assert title.startswith("# ") and not empty
    assert first.startswith("For "), first


@exhaustive
@pytest.mark.parametrize("study", sorted((ROOT / "experiments").glob("*/study.yaml")), ids=lambda path: path.parent.name)
def test_every_sweep_of_a_study_can_be_composed(study: Path) -> None:
    for words in yaml.safe_load(study.read_text())["sweeps"].values():
        diagnose([re.sub(r"\{\w+\}", "RUN", word) for word in words if not word.startswith("seed=")], multirun=True)


@exhaustive
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = "-m sphinx --conf-dir docs --fail-on-warning --keep-going --quiet".split()
    ended = subprocess.run(
        [sys.executable, *build, "--doctree-dir", str(tmp_path / "trees"), ".", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "docs/index.html" in (tmp_path / "site" / "index.html").read_text()
