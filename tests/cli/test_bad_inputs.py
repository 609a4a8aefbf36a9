"""Everything that is wrong is told in one message, with exit code 2: the list is data, tests/bad_inputs.yaml."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from prune_cli.pruning.pruner import Pruner
from tests.commands import Prune
from tests.tiers import exhaustive
from tests.whole_runs import SMALL, Killed, dies, do

CASES: Mapping[str, Sequence[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "bad_inputs.yaml").read_text(encoding="utf-8")
)
TINY = ("model=tiny_bert", "tracking=none", "trainer.max_steps=20", "trainer.batch_size=4", "schedule.delta_t=5")
SYNTHETIC = ("data=synthetic", "data.train=40", "data.validation=16")
STEPS = ("trainer.max_steps=20", "trainer.eval_steps=10", "trainer.save_steps=10", "schedule.delta_t=5")
"""Of the made runs."""

GOOD: Mapping[str, Sequence[Any]] = {
    "mrpc": [
        {"sentence1": f"the {word} sat", "sentence2": f"a {word} sits", "label": number % 2}
        for number, word in enumerate("cat dog bird fish cow hen".split())
    ],
    "stsb": [{"sentence1": f"a {n}", "sentence2": f"the {n}", "label": n / 2} for n in range(6)],
    "ner": [{"tokens": ["Ann", "saw", str(n)], "ner_tags": ["B-PER", "O", "O"]} for n in range(6)],
    "squad": [
        {"id": str(n), "question": "who sat?", "context": f"Ann sat on {n}.", "answers": {"text": ["Ann"], "answer_start": [0]}}
        for n in range(6)
    ],
    "web_nlg": [{"source": f"A{n} | is | b", "references": [f"A{n} is b."]} for n in range(6)],
}  # fmt: skip
"""Records that a task takes."""


def cases(family: str, every: int = 1, told_at_once: Callable[[Any], bool] = lambda case: False) -> Any:
    """The cases of a family, each under its own words; `make test` takes one of so many that are not told at once."""
    alone = [case for case in CASES[family] if not told_at_once(case)]
    own = [pytest.param(case, id=shown(case), marks=() if case in alone[::every] else exhaustive) for case in CASES[family]]
    return pytest.mark.parametrize("case", own)


def shown(case: Mapping[str, Any]) -> str:
    return " ".join(str(case.get(key)) for key in ("command", "files") if key in case)[:80]


def written(text: str) -> str:
    """The text, in which <X*N> stands for N times X."""
    return re.sub(r"<(.+?)\*(\d+)>", lambda found: found[1] * int(found[2]), text)


def change(path: Path, how: Any) -> None:
    """Change a file: give its text, or tell what is done to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match how:
        case str():
            path.write_text(written(how), encoding="utf-8")
        case {"bytes": text}:
            path.write_bytes(written(text).encode("latin-1"))
        case {"cut": length}:
            path.write_bytes(path.read_bytes()[:length])
        case {"flip": at}:
            content = bytearray(path.read_bytes())
            content[at] ^= 0xFF
            path.write_bytes(content)
        case {"json": changes}:
            path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        case {"gone": True}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        case {"folder": True}:
            path.unlink(missing_ok=True)
            path.mkdir(exist_ok=True)
        case {"link": True}:
            path.symlink_to(path.rename(path.with_suffix(".there")))
        case {"file": True}:
            shutil.rmtree(path, ignore_errors=True)
            path.touch()
        case _:
            raise AssertionError(f"{how} is no change")


def prepared(case: Mapping[str, Any], place: Path) -> None:
    for name, how in case.get("files", {}).items():
        found = [*place.glob(name)] if "*" in name else [place / name]
        assert found, name
        for path in found:
            change(path, how)


def refused(prune: Prune, case: Mapping[str, Any], command: Sequence[str]) -> None:
    ended = prune(*command)
    told = " ".join(ended.err.split())
    assert "Traceback" not in ended.err and "Logging error" not in ended.err, ended.err
    assert ended.code == case.get("code", 2), (ended.code, ended.out[-300:], told)
    assert case["said"] in told, told


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run and one that was killed, both of the same configuration."""
    place = tmp_path_factory.mktemp("made")
    do(place / "finished", *STEPS, data=SYNTHETIC)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Pruner, "select", dies(Pruner.select, 16))
        do(place / "interrupted", *STEPS, data=SYNTHETIC)
    return place


def given(*together: Mapping[str, Any]) -> list[str]:
    """A command with the overrides of some cases, and those of a good run."""
    words = [written(word) for case in together for word in shlex.split(case["command"])]
    keys = keys_of(words)
    left = [word for word in SYNTHETIC if not keys & {"data"}]
    base = [word for word in ("task=mrpc", *TINY, *left) if word.partition("=")[0] not in keys]
    return ["run", *base, *words]


def keys_of(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].lstrip("+~") for word in words}


def plain(case: Mapping[str, Any]) -> bool:
    """Whether a case is of one value alone, which is told beside others: no choice of an option, nothing that is added."""
    key, sign, _ = case["command"].partition("=")
    return bool(
        "files" not in case
        and "alone" not in case
        and " " not in case["command"]
        and not re.search(r"\$\{|_target_", case["command"])
        and sign
        and key[:1].isalpha()
        and ("." in key or key in ("sparsity", "seed", "overwrite"))
        and not key.startswith(("model.", "hydra."))
    )


def packs(most: int = 9) -> list[list[Mapping[str, Any]]]:
    """The plain cases, so many to a command; of a key there is one in each. A wrong type is told before a wrong value."""
    made: list[list[Mapping[str, Any]]] = []
    for of_type in (True, False):
        kind: list[list[Mapping[str, Any]]] = []
        for case in filter(plain, CASES["overrides"]):
            if ("does not fit" in case["said"]) is of_type:
                fitting = (
                    pack
                    for pack in kind
                    if len(pack) < most and keys_of([case["command"]]).isdisjoint(keys_of([other["command"] for other in pack]))
                )
                pack = next(fitting, None)
                if pack is None:
                    kind.append(pack := [])
                pack.append(case)
        made += kind
    return made


@pytest.mark.parametrize("pack", packs(), ids=lambda pack: pack[0]["command"])
def test_overrides_that_cannot_be_are_told_at_once(pack: Sequence[Mapping[str, Any]], prune: Prune) -> None:
    ended = prune(*given(*pack))
    told = " ".join(ended.err.split())
    assert ended.code == 2
    assert [case["command"] for case in pack if case["said"] not in told] == []


@cases("overrides", every=3, told_at_once=plain)
def test_an_override_that_cannot_be(case: dict[str, Any], prune: Prune, tmp_path: Path) -> None:
    prepared(case, tmp_path)
    refused(prune, case, given(case))


@cases("commands")
def test_a_command_that_cannot_be(case: dict[str, Any], prune: Prune, tmp_path: Path) -> None:
    prepared(case, tmp_path)
    refused(prune, case, shlex.split(case["command"]))


@cases("records", every=3)
def test_records_that_cannot_be_used(case: dict[str, Any], prune: Prune, tmp_path: Path) -> None:
    task = case.get("task", "mrpc")
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GOOD[task]))
    prepared(case, tmp_path)
    model = ["model=tiny_gpt2"] if task == "web_nlg" else []
    words = shlex.split(case.get("command", ""))
    refused(prune, case, ["run", f"task={task}", *TINY, *model, "data=local", f"data.path={tmp_path}", *words])


@cases("models", every=3)
def test_a_model_that_cannot_be_used(case: dict[str, Any], prune: Prune, tmp_path: Path, made: Path) -> None:
    [model] = (made / "finished").glob("*/model")
    shutil.copytree(model, tmp_path / "model")
    prepared(case, tmp_path)
    words = shlex.split(case.get("command", "run task=mrpc model.name=model"))
    run = words[0] == "run"
    others = [word for word in (*TINY, *SYNTHETIC) if run and not word.startswith("model=")]
    refused(prune, case, [*words, *others])


@cases("finished", every=2)
def test_what_a_run_left_behind_is_broken(case: dict[str, Any], prune: Prune, tmp_path: Path, made: Path) -> None:
    [run] = (made / "finished").glob("mrpc*")
    shutil.copytree(run, tmp_path / "run")
    prepared(case, tmp_path / "run")
    refused(prune, case, shlex.split(case["command"]))


@cases("interrupted", every=3)
def test_a_run_to_go_on_with_is_broken(case: dict[str, Any], prune: Prune, tmp_path: Path, made: Path) -> None:
    shutil.copytree(made / "interrupted", tmp_path / "runs")
    [run] = (tmp_path / "runs").glob("mrpc*")
    prepared(case, run)
    refused(prune, case, ["run", *SMALL, *SYNTHETIC, *STEPS, f"output_dir={tmp_path / 'runs'}"])
