"""The command that repeats a run gives the very same configuration."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from prune_cli.config.command import commands
from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig
from prune_cli.errors import UserError

_ELSEWHERE = ("output_dir", "tracking", "choices")


def resolved(overrides: list[str], config_dir: str | None = None) -> dict[str, Any]:
    with composer(config_dir) as compose:
        cfg = compose(overrides)
    choices = choices_of(cfg.hydra, cfg)
    config = RunConfig.from_hydra(without_hydra(cfg), choices, writes=False, ask_source=False)
    return dict(config.resolved)


CASES = {
    "defaults": (["task=mrpc"], "prune run task=mrpc"),
    "an experiment": (
        ["experiment=demo", "sparsity=0.8", "tracking=tensorboard", "output_dir=elsewhere"],
        "prune run experiment=demo sparsity=0.8",
    ),
    "other options": (
        ["task=rte", "criterion=magnitude", "regularization=none", "model=minilm", "trainer.epochs=5"],
        "prune run task=rte model=minilm criterion=magnitude regularization=none trainer.epochs=5.0",
    ),
    "a key without a default": (
        ["task=mrpc", "model=tiny_bert", "+model.random.hidden_act=relu", "++model.random.tie=null"],
        "prune run task=mrpc model=tiny_bert ++model.random.hidden_act=relu ++model.random.tie=null",
    ),
    "a model of one's own": (
        ["task=mrpc", "model.name=some-one/a-model", "model.architecture=encoder"],
        "prune run task=mrpc model.name=some-one/a-model",
    ),
    "a model for an encoder, quotes and lists": (
        ["task=mrpc", "data=local", r"data.path='it\'s, a \\{folder\}'", "task.evaluation_splits=[validation,test]"],
        None,
    ),
    "words that are none": (["task=mrpc", "model.include='null'", "model.exclude='1e-3'"], None),
    "a table": (["task=mrpc", "model=tiny_bert", "+model.random.rope={kind:linear,factor:2,names:[a,'b c',.5]}"], None),
}


@pytest.mark.parametrize("case", CASES)
def test_it_gives_the_same_configuration(case: str) -> None:
    overrides, expected = CASES[case]
    config = resolved(overrides)
    (command,) = commands([config])
    assert expected is None or command == expected
    again = resolved(shlex.split(command)[2:])
    kept = [key for key in config if key not in _ELSEWHERE]
    assert {key: again[key] for key in kept} == {key: config[key] for key in kept}


def test_options_of_the_users_own_need_their_folder(tmp_path: Path) -> None:
    (tmp_path / "criterion").mkdir()
    text = "_target_: prune_cli.pruning.criteria.Pins\nsigned: true\n"
    (tmp_path / "criterion" / "mine.yaml").write_text(text)
    config = resolved(["task=mrpc", "criterion=mine"], str(tmp_path))
    assert commands([config], str(tmp_path)) == [f"prune run task=mrpc criterion=mine --config-dir {tmp_path}"]
    with pytest.raises(UserError, match="criterion=mine is no option here: give the folder"):
        commands([config])


def test_half_a_configuration_is_refused() -> None:
    with pytest.raises(UserError, match="does not say which options"):
        commands([{"seed": 1}])
