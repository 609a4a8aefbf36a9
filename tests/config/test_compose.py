"""Every YAML of every group composes, and builds what it names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prune_cli.config.build import TARGET, locate
from prune_cli.config.compose import Composer, choices_of, composer, without_hydra
from prune_cli.config.option_files import GROUPS, names
from prune_cli.config.run_config import RunConfig
from prune_cli.paths import CONF

EVERY = [(group, option) for group in GROUPS for option in names(group, [CONF])]
TAUGHT = [("regularization", "teacher"), *(("experiment", name) for name in ("gmp", "obert", "sparsebert"))]
NEEDED = {("data", "local"): ["data.path=DATA"], **{key: ["regularization.first_teacher=MODEL"] for key in TAUGHT}}
"""What an option cannot do without."""


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """A data folder and a model folder that pass for real, to be put for DATA and MODEL."""
    (tmp_path / "data").mkdir()
    (tmp_path / "model").mkdir()
    for name in ("data/train.jsonl", "data/validation.jsonl", "model/model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    return {"DATA": str(tmp_path / "data"), "MODEL": str(tmp_path / "model"), "OUT": str(tmp_path)}


def fitting(group: str, option: str) -> list[str]:
    """A task for a model, and a model for a task."""
    chosen = OmegaConf.load(CONF / group / f"{option}.yaml")
    if group == "experiment":  # some are of one task, others are recipes for any
        return [] if any("override /task" in default for default in chosen.defaults) else ["task=rte"]
    if group == "task":
        return ["model=tiny_gpt2"] if "max_new_tokens" in chosen else []
    # a model's YAML may speak of other groups too
    kind = OmegaConf.select(chosen, "model.architecture") or OmegaConf.select(chosen, "architecture")
    return ["task=rte" if group != "model" or kind == "encoder" else "task=web_nlg"]


@pytest.mark.parametrize(("group", "option"), EVERY, ids=lambda value: value)
def test_every_option_composes_and_builds(group: str, option: str, compose: Composer, folders: dict[str, str]) -> None:
    overrides = [f"{group}={option}", *NEEDED.get((group, option), []), *fitting(group, option), "output_dir=OUT"]
    for name, path in folders.items():
        overrides = [override.replace(f"={name}", f"={path}") for override in overrides]
    cfg = compose(overrides)
    choices = choices_of(cfg.hydra, cfg)
    config = RunConfig.from_hydra(without_hydra(cfg), choices, ask_source=group == "data" and option != "hub")
    assert choices[group] == option
    if group not in ("experiment", "model", "trainer", "tracking"):
        built = getattr(config, group)
        assert locate(config.resolved[group][TARGET], group) is type(built)
    if group == "task":
        assert config.task.name == option


@pytest.mark.parametrize(("group", "option"), EVERY, ids=lambda value: value)
def test_a_yaml_names_no_key_that_is_not_a_field(group: str, option: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    assert isinstance(node, dict)
    if TARGET in node:
        fields = {field.name for field in dataclasses.fields(locate(node[TARGET], group))}
        assert {str(key) for key in node} - {TARGET} <= fields


def test_the_main_configuration_leaves_only_the_task_open(compose: Composer) -> None:
    cfg = compose(["task=rte"])
    assert OmegaConf.missing_keys(without_hydra(cfg)) == set()
    assert choices_of(cfg.hydra, cfg) == {
        "task": "rte",
        "model": "bert_base",
        "criterion": "pins",
        "schedule": "cubic",
        "pattern": "unstructured",
        "regularization": "self",
        "trainer": "default",
        "launcher": "default",
        "data": "hub",
        "tracking": "wandb",
    }


@pytest.mark.parametrize(
    ("overrides", "label"),
    [
        (["model=minilm"], "minilm"),
        (["model=minilm", "model.exclude=query"], "minilm"),
        (["model=tiny_bert"], "tiny_bert"),
        (["model.name=roberta-large"], "roberta-large"),
        (["model.name=someone/a_model.v2"], "a_model.v2"),
        (["model.name=/folder/with/my+model/"], "my_model"),
    ],
)
def test_a_model_given_by_name_is_called_by_it(overrides: list[str], label: str, compose: Composer) -> None:
    cfg = compose(["task=rte", *overrides])
    assert choices_of(cfg.hydra, cfg)["model"] == label


def test_a_users_folder_is_searched(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# Mine\nname: someone/mine-large\n")
    with composer(str(tmp_path)) as composed:
        cfg = composed(["task=rte", "model=mine"])
    assert cfg.model.name == "someone/mine-large"
    assert choices_of(cfg.hydra, cfg)["model"] == "mine"
