"""Which configuration a saved model is evaluated with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig
from prune_cli.config.saved import saved_run
from prune_cli.errors import UserError
from prune_cli.tracking.tensorboard import TensorBoard


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as a finished run of rte on synthetic data leaves it."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model" / "model.safetensors").touch()
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "teacher" / "model.safetensors").touch()
    overrides = ["task=rte", "task.max_length=99", "data=synthetic", "data.seed=5", "trainer.eval_batch_size=7"]
    teacher = f"regularization.first_teacher={tmp_path / 'teacher'}"
    with composer() as composed:
        cfg = composed([*overrides, teacher, "trainer.max_steps=20", f"output_dir={tmp_path}"])
    config = RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg))
    OmegaConf.save(OmegaConf.create(dict(config.resolved)), folder / "config.yaml")
    (tmp_path / "teacher" / "config.json").unlink()  # gone since
    return folder


def test_a_run_is_evaluated_as_it_was(run: Path) -> None:
    for folder in (run, run / "model"):
        config, model = saved_run(folder, [])
        assert model == run / "model"
        assert (config.task.name, config.task.max_length, config.data.seed) == ("rte", 99, 5)  # pyright: ignore
        assert (config.trainer.eval_batch_size, config.model.name) == (7, str(model))


def test_an_override_changes_what_it_names_and_nothing_else(run: Path) -> None:
    config, _ = saved_run(run, ["trainer.eval_batch_size=3", "data.validation=40"])
    assert (config.trainer.eval_batch_size, config.trainer.max_steps) == (3, 20)
    assert (config.data.seed, config.data.validation, config.task.max_length) == (5, 40, 99)  # pyright: ignore


def test_what_reads_a_run_tells_the_trackers_of_that_run(run: Path) -> None:
    assert list(saved_run(run, [])[0].trackers) == ["wandb"]
    saved = OmegaConf.load(run / "config.yaml")
    saved.tracking = {"trackers": {}, "project": "mine"}
    OmegaConf.save(saved, run / "config.yaml")
    config, _ = saved_run(run, [])
    assert (list(config.trackers), config.tracking.project) == ([], "mine")
    config, _ = saved_run(run, ["tracking=tensorboard", "tracking.project=other"])
    assert (list(config.trackers), config.tracking.project) == (["tensorboard"], "other")
    OmegaConf.update(saved, "tracking.trackers", {"theirs": {"_target_": "os.system"}, "tensorboard": {"_target_": "os.system"}})
    OmegaConf.save(saved, run / "config.yaml")
    ((name, tracker),) = saved_run(run, [])[0].trackers.items()
    assert (name, type(tracker)) == ("tensorboard", TensorBoard), "no class is taken from the file"


@pytest.mark.parametrize("tracking", [5, [1], None, {}, {"trackers": 5}, {"project": "mine"}], ids=str)
def test_trackers_that_are_none_are_passed_over(tracking: Any, run: Path) -> None:
    saved = OmegaConf.load(run / "config.yaml")
    saved.tracking = tracking
    OmegaConf.save(saved, run / "config.yaml")
    assert list(saved_run(run, [])[0].trackers) == ["wandb"]


def test_another_task_brings_its_own_values(run: Path) -> None:
    config, _ = saved_run(run, ["task=mrpc"])
    assert (config.task.name, config.task.max_length, config.data.seed) == ("mrpc", 128, 5)  # pyright: ignore


def test_a_task_from_a_folder_of_the_users_need_not_be_named_again(run: Path) -> None:
    saved = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(saved, "choices.task", "mine")
    OmegaConf.update(saved, "task.name", "mine")
    OmegaConf.save(saved, run / "config.yaml")
    config, _ = saved_run(run, [])
    assert (config.task.name, config.task.max_length) == ("mine", 99)


def test_no_class_is_imported_that_the_file_alone_names(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs_saved.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from prune_cli.tasks.text_classification import TextClassification\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "theirs_saved.TextClassification"
    saved = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(saved, "task._target_", name)
    OmegaConf.save(saved, run / "config.yaml")
    with pytest.raises(UserError, match=f"names the class task._target_={name}, and no code runs"):
        saved_run(run, [])
    assert not (tmp_path / "ran").exists()
    config, _ = saved_run(run, [f"task._target_={name}"])
    assert config.task.max_length == 99
    assert (tmp_path / "ran").exists()


def test_a_hidden_value_is_to_be_given_again(run: Path) -> None:
    saved = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(saved, "task.name", "https://[hidden]@host/x")
    OmegaConf.save(saved, run / "config.yaml")
    with pytest.raises(UserError, match=r"does not tell task\.name, in which was a secret: give task\.name="):
        saved_run(run, [])
    assert saved_run(run, ["task.name=mine"])[0].task.name == "mine"


def test_what_cannot_be_evaluated_is_told(run: Path, tmp_path: Path) -> None:
    for folder, overrides, told in (
        (run, ["data.validatoin=40"], "data.validatoin is not known: did you mean data.validation?"),
        (run, ["data=local", "data.path=/no/such"], "/no/such does not exist"),
        (tmp_path / "none", [], "none: there is no such folder"),
        (tmp_path, [], "holds no model"),
    ):
        with pytest.raises(UserError, match=told):
            saved_run(folder, overrides)


def test_a_model_outside_a_run_folder_needs_a_task(run: Path, tmp_path: Path) -> None:
    model = (run / "model").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="no task is chosen"):
        saved_run(model, [])
    config, _ = saved_run(model, ["task=cola", "data=synthetic"])
    assert config.task.name == "cola"


def test_a_broken_configuration_is_told(run: Path) -> None:
    for text, told in (
        ("a: [", "cannot be read"),
        ("- a", "is not the configuration of a run"),
        ("[" * 200_000 + "]" * 200_000, "nested more than 100 levels deep"),
        ("choices: &a [1]\nb: [*a, *a]", "an alias stands there"),
    ):
        (run / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=told):
            saved_run(run, [])
