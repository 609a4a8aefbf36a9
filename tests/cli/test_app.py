"""The commands, as they are typed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

import prune_cli
from prune_cli.config.option_files import GROUPS, names
from prune_cli.console.interrupts import noting_interrupts, steps
from prune_cli.paths import CONF
from tests.made_runs import made_values


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run folder with all that `prune show` reads."""
    folder = tmp_path / "rte-tiny_bert-pins-s0.5-12345678"
    folder.mkdir()
    (folder / "config.yaml").write_text("sparsity: 0.5\n# kept [as it is]\n")
    result: dict[str, Any] = {
        **made_values(folder.name, metric=0.625, primary_metric="accuracy"),
        "choices": {"task": "rte", "model": "tiny_bert", "criterion": "pins", "regularization": "self"},
        "promised": {"history.jsonl": {"bytes": 3, "sha256": hashlib.sha256(b"{}\n").hexdigest()}},
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "history.jsonl").write_text("{}\n")
    return folder


@pytest.mark.usefixtures("signals_of_a_terminal")
@pytest.mark.parametrize("raised", [None, RuntimeError("Query interrupted")], ids=str)
def test_ctrl_c_ends_a_command_with_one_line(raised: Exception | None, prune: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a library that it met makes of it."""

    def stopped(_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise (raised or KeyboardInterrupt) from None

    monkeypatch.setattr("prune_cli.comparison.runs.find_runs", stopped)
    ended = prune("show", ".", "--command")
    assert (ended.code, ended.out, ended.err) == (130, "", "Stopped. The same command begins again.\n")


@pytest.mark.usefixtures("signals_of_a_terminal")
def test_a_ctrl_c_that_a_library_swallows_stops_at_the_next_step() -> None:
    done: list[str] = []
    with noting_interrupts(), steps("first") as step, pytest.raises(KeyboardInterrupt):
        step("second")
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        done.append("second")
        step("third")
    assert done == ["second"]
    with noting_interrupts(), steps("of the next command") as step:
        step("undisturbed")


def test_the_version_is_told(prune: Any) -> None:
    assert prune("--version").out == f"prune-lm {prune_cli.__version__}\n"


def test_help_names_every_command_and_every_group(prune: Any) -> None:
    told = prune("--help")
    assert told.code == 0
    for command in ("run", "list", "eval", "show", "doctor"):
        assert re.search(rf"\b{command}\b", told.out)
    told = prune("run", "--help")
    assert told.code == 0
    for word in ("prune run -m task=rte,mrpc", "--multirun", "--config-dir", "--cfg", *GROUPS):
        assert word in told.out


@pytest.mark.parametrize(("group", "plural"), GROUPS.items())
def test_list_shows_every_option_on_a_line_of_its_own(prune: Any, group: str, plural: str) -> None:
    lines = prune("list", plural).out.splitlines()
    notes = [lines.pop().split(":")[0] for _ in range({"task": 1, "model": 2}.get(group, 0))]
    assert notes == ["  (fetch", "  (hub"][-len(notes) :] if notes else group not in ("task", "model")
    assert [line.split()[0] for line in lines] == names(group, [CONF])
    assert prune("list", group).out == prune("list", plural).out
    everything = prune("list").out.splitlines()
    assert f"{plural}: {group}=..." in everything
    assert set(lines) <= set(everything)


def test_list_says_what_can_be_had_without_a_hub(prune: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def places(group: str) -> dict[str, str]:
        return {line.split()[0]: line.split()[1] for line in prune("list", group).out.splitlines()}

    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    models, tasks = places("models"), places("tasks")
    assert {name: models[name] for name in ("tiny_bert", "minilm", "gpt2")} == {
        "tiny_bert": "here",
        "minilm": "hub",
        "gpt2": "hub",
    }
    assert {name: tasks[name] for name in ("classification", "ner", "rte")} == {
        "classification": "here",
        "ner": "here",
        "rte": "hub",
    }
    (tmp_path / "cache" / "hub" / "models--openai-community--gpt2").mkdir(parents=True)
    (tmp_path / "cache" / "datasets" / "nyu-mll___glue").mkdir(parents=True)
    assert (places("models")["gpt2"], places("tasks")["rte"]) == ("here", "here")


def test_run_with_nothing_says_what_to_type(prune: Any) -> None:
    told = prune("run")
    assert told.code == 2
    assert "prune run task=mrpc sparsity=0.9" in told.err


def test_list_shows_what_a_user_adds(prune: Any, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# A task of mine\nname: mine\n")
    assert "A task of mine" in prune("list", "tasks", "--config-dir", str(tmp_path)).out
    assert "A task of mine" not in prune("list", "tasks").out
    assert "there is no such folder" in prune("list", "--config-dir", "/no/such").err


def test_list_knows_no_other_group(prune: Any) -> None:
    told = prune("list", "taks")
    assert (told.code, told.out) == (2, "")
    assert "there is no group taks: did you mean tasks?" in told.err


def test_bad_overrides_are_told_without_a_traceback(prune: Any, tmp_path: Path) -> None:
    told = prune("run", "task=mrcp", "sparsity=high", "data=synthetic")
    assert (told.code, told.out) == (2, "")
    assert told.err.splitlines()[0] == "2 things are wrong:"
    assert "- task=mrcp is not known: did you mean mrpc?" in told.err
    assert "- sparsity=high does not fit: a number is needed" in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_option_or_command_is_told(prune: Any) -> None:
    for arguments, remedy in ((["run", "--multrun"], "--multirun"), (["rnu"], "run")):
        told = prune(*arguments)
        assert told.code == 2
        assert remedy in told.err


def test_cfg_prints_the_configuration(prune: Any) -> None:
    told = prune("run", "task=mrpc", "--cfg", "job", "sparsity=0.5")
    assert told.code == 0
    assert "sparsity: 0.5" in told.out.splitlines()
    assert "  _target_: prune_cli.tasks.text_classification.TextClassification" in told.out.splitlines()
    told = prune("run", "--cfg", "job", "-p", "model", "task=mrpc").out
    assert told.startswith("# @package model\n_target_: prune_cli.models.options.ModelConfig\nname: google-bert/")
    assert "seed: ${seed}" in prune("run", "task=mrpc", "criterion=random", "--cfg", "job").out
    assert "seed: 42" in prune("run", "task=mrpc", "criterion=random", "--cfg", "job", "--resolve").out


def test_info_prints_how_it_is_composed(prune: Any) -> None:
    told = prune("run", "--info", "defaults", "task=mrpc")
    assert told.code == 0
    assert "task/mrpc" in told.out
    assert "Config search path" in prune("run", "task=mrpc", "--info").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cfg", "jobs"], "--cfg jobs is not known: did you mean job?"),
        (["--resolve"], "add --cfg job"),
        (["--cfg", "job", "-m"], "do not go together"),
        (["--cfg", "job", "task=mrcp"], "did you mean mrpc?"),
        (["--cfg", "job", "seed=1,2", "task=rte"], "did you mean `prune run -m`?"),
    ],
)
def test_a_wrong_inspection_is_told(prune: Any, arguments: list[str], told: str) -> None:
    ended = prune("run", *arguments)
    assert ended.code == 2
    assert told in ended.err


def test_show_prints_the_result_first_and_the_configuration_where_asked(prune: Any, finished: Path) -> None:
    told = prune("show", str(finished))
    assert told.code == 0
    for text in (finished.name, "0.6250", "500 of 1,000", "10 x 10", "50.00", "what differs from the defaults"):
        assert text in told.out
    assert "# kept [as it is]" not in told.out
    whole = prune("show", str(finished), "--all").out
    assert whole.index("0.6250") < whole.index("# kept [as it is]")
    assert json.loads(prune("show", str(finished), "--json").out)["metric"] == 0.625


def test_show_verifies_the_files_where_asked(prune: Any, finished: Path) -> None:
    told = prune("show", str(finished), "--verify")
    assert (told.code, "1 files have the checksums that result.json promises" in told.out) == (0, True)
    (finished / "history.jsonl").write_text("[]\n")
    assert prune("show", str(finished)).code == 0
    told = prune("show", str(finished), "--verify")
    assert (told.code, "history.jsonl has other content" in told.err) == (2, True)
    (finished / "history.jsonl").unlink()
    assert "history.jsonl is gone" in " ".join(prune("show", str(finished)).out.split())


def test_show_says_what_is_wrong_with_a_folder(prune: Any, finished: Path, tmp_path: Path) -> None:
    assert "there is no such folder" in prune("show", "/no/such").err
    assert f"is no run folder: it holds runs, such as {finished}" in prune("show", str(tmp_path)).err.replace("\n", "")
    (tmp_path / "empty").mkdir()
    assert "is no run folder: it has no config.yaml" in prune("show", str(tmp_path / "empty")).err
    (finished / "result.json").write_text('{"format": 0, "metric": 1}')
    assert "another version of prune (format 0)" in prune("show", str(finished)).err
    (finished / "result.json").write_text('{"format": ')
    assert "result.json is broken" in prune("show", str(finished)).err
    (finished / "result.json").unlink()
    told = prune("show", str(finished))
    assert told.code == 2
    assert "the run has not finished" in told.err


def test_eval_prints_the_metrics(prune: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def evaluate(config: Any, model: Path, console: Any) -> Any:
        asked.append((config.task.name, getattr(config.data, "path", "") or config.data.seed, model))
        sys.stdout.write("what a library says is no result\n")
        records = Dataset.from_dict({"sentence1": ["a", "b"], "label": [0, 1]})
        records.info.description = "here"
        return SimpleNamespace(
            task=config.task,
            metrics={"loss": 0.5, "accuracy": 0.75},
            records={"validation": records},
            predictions={"validation": [{"label": "entailment"}] * 2},
        )

    monkeypatch.setitem(sys.modules, "prune_cli.run.saved", SimpleNamespace(evaluate=evaluate))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").touch()
    told = prune("eval", str(tmp_path), "task=rte", "data=synthetic", "data.seed=3")
    assert told.code == 0
    assert asked == [("rte", 3, tmp_path)]
    assert told.out.split() == [*"2 records of here (validation)".split(), "accuracy", "0.7500", "loss", "0.5000"]
    told = prune("eval", str(tmp_path), "task=rte", "data=synthetic", "--json", "--predictions", "made.jsonl")
    assert json.loads(told.out)["records"] == {"validation": 2}
    written = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text().splitlines()]
    record = {"split": "validation", "sentence1": "b", "label": "not_entailment", "expected": "not_entailment"}
    said = {"predicted": "entailment", "right": False, "prediction": {"label": "entailment"}}
    assert written[1] == record | said
    (tmp_path / "ann's.jsonl").write_text('{"sentence1": "a", "sentence2": "b", "label": 0}')
    monkeypatch.setenv("WANDB_BASE_URL", "https://me:secret@example.org")  # nothing is logged
    told = prune("eval", str(tmp_path), "task=rte", str(tmp_path / "ann's.jsonl"))
    assert told.code == 0, told.err
    assert asked[-1] == ("rte", str(tmp_path / "ann's.jsonl"), tmp_path)
    assert "there is no folder no" in prune("eval", str(tmp_path), "--predictions", "no/such").err
    assert prune("eval", "/no/such").code == 2


@pytest.mark.parametrize("code", [0, 1])
def test_doctor_prints_a_table_and_its_exit_code(prune: Any, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    from prune_cli import doctor

    checks = [doctor.Check("torch", "broken" if code else "ok", "found [it]", "mend it")]
    monkeypatch.setattr(doctor, "checks", lambda: checks)
    told = prune("doctor")
    assert told.code == code
    assert "found [it]" in told.out
