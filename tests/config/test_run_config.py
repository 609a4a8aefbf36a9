"""A configuration as a whole: what it holds, what refuses it, and when two of them are the same run."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from prune_cli.config.build import locate
from prune_cli.config.compose import Composer, choices_of, composer, without_hydra
from prune_cli.config.identity import described, identity, run_name
from prune_cli.config.option_files import names
from prune_cli.config.run_config import RunConfig
from prune_cli.config.schema import General
from prune_cli.errors import UserError
from prune_cli.marks import NO_RESULT, counts
from prune_cli.models.options import ModelConfig
from prune_cli.paths import CONF
from prune_cli.pruning.criteria import Pins
from prune_cli.training.options import TrainerConfig

SMALL = ["data=synthetic", "data.train=8", "data.validation=8"]

Make = Callable[..., RunConfig]


def composed_run(compose: Composer, folder: Path, *overrides: str, ask_source: bool = True) -> RunConfig:
    cfg = compose(["task=rte", f"output_dir={folder}", *overrides])
    return RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg), ask_source=ask_source)


@pytest.fixture
def make(compose: Composer, tmp_path: Path) -> Make:
    def made(*overrides: str) -> RunConfig:
        return composed_run(compose, tmp_path, *overrides)

    return made


@pytest.fixture(scope="module")
def identity_of_small(tmp_path_factory: pytest.TempPathFactory) -> str:
    with composer() as composed:
        return identity(composed_run(composed, tmp_path_factory.mktemp("runs"), *SMALL, ask_source=False))


def problems_of(make: Make, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as refused:
        make("data=synthetic", *overrides)
    return refused.value.problems


def test_it_holds_built_objects_and_plain_values(make: Make, tmp_path: Path) -> None:
    config = make("data=synthetic", "criterion.signed=true", "trainer.epochs=3", "seed=7")
    assert isinstance(config.criterion, Pins)
    assert (config.criterion.signed, config.trainer.epochs, config.seed, config.output_dir) == (True, 3.0, 7, tmp_path)
    assert config.resolved["criterion"] == {
        "_target_": "prune_cli.pruning.criteria.Pins",
        "signed": True,
        "beta1": 0.85,
        "beta2": 0.99,
    }
    assert config.resolved["task"]["evaluation_splits"] == ["validation"]
    assert config.resolved["choices"]["task"] == "rte"
    assert config.resolved["trainer"]["batch_size"] == 32


def test_what_is_written_down_builds_the_same_run(make: Make) -> None:
    config = make(*SMALL, "task=stsb", "sparsity=0.7", "criterion=random", "regularization=none", "tracking.tags=[a]")
    read_back = OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(dict(config.resolved))))
    assert isinstance(read_back, DictConfig)
    again = RunConfig.from_hydra(read_back, config.choices)
    assert again == config
    assert identity(again) == identity(config)


def test_interpolations_are_resolved(make: Make) -> None:
    assert make("data=synthetic", "criterion=random", "seed=5").resolved["criterion"]["seed"] == 5
    assert problems_of(make, "sparsity=${nowhere}") == ("sparsity cannot be resolved: Interpolation key 'nowhere' not found",)


def test_everything_wrong_is_told_at_once(make: Make) -> None:
    told = problems_of(
        make,
        "sparsity=1.2",
        "seed=-1",
        "schedule.delta_t=0",
        "regularization.weight=-0.5",
        "trainer.batch_size=0",
        "+speed=1",
    )
    assert [problem.split(" ", 1)[0] for problem in told] == [
        "speed",
        "schedule.delta_t",
        "regularization.weight",
        "trainer.batch_size",
        "sparsity",
        "seed",
    ]


def test_a_run_too_short_for_its_schedule_is_refused(make: Make) -> None:
    [told] = problems_of(make, "trainer.max_steps=15")
    assert told.startswith("the run has 15 steps:")
    assert "at least 17 steps" in told
    assert make("data=synthetic", "trainer.max_steps=17").trainer.max_steps == 17


def test_without_pruning_no_schedule_needs_to_fit(make: Make) -> None:
    assert make("data=synthetic", "trainer.max_steps=1", "sparsity=0").trainer.max_steps == 1


def test_a_data_folder_without_validation_is_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    [told] = problems_of(make, "data=local", f"data.path={tmp_path}")
    assert "has no validation.jsonl" in told


def test_the_source_is_not_asked_where_nobody_wants_to_know(compose: Composer, tmp_path: Path) -> None:
    cfg = without_hydra(compose(["task=rte", "data=local", "data.path=/no/such", f"output_dir={tmp_path}"]))
    RunConfig.from_hydra(cfg, {}, ask_source=False)
    with pytest.raises(UserError, match="/no/such does not exist"):
        RunConfig.from_hydra(cfg, {})


def test_a_teacher_that_is_not_there_is_refused(make: Make) -> None:
    [told] = problems_of(make, "regularization.first_teacher=/no/such")
    assert told == "regularization.first_teacher=/no/such: there is no such folder"
    [told] = problems_of(make, "regularization=teacher")
    assert told.startswith("regularization.first_teacher is missing: give regularization.first_teacher=...")


@pytest.mark.parametrize("given", ["", "' '"])
def test_an_empty_output_folder_is_refused(make: Make, given: str) -> None:
    assert problems_of(make, f"output_dir={given}") == (
        "output_dir is empty: give the folder in which runs make theirs, such as output_dir=runs",
    )


def test_an_output_folder_is_asked_for_only_to_write(compose: Composer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cfg = without_hydra(compose(["task=rte", "data=synthetic", f"output_dir={tmp_path / 'file'}"]))
    RunConfig.from_hydra(cfg, {}, writes=False)
    with pytest.raises(UserError, match="is a file, give a folder"):
        RunConfig.from_hydra(cfg, {})


@pytest.mark.parametrize(
    "override",
    [
        "tracking=none",
        "tracking.tags=[x]",
        "trainer.device=cpu",
        "trainer.log_steps=1",
        "trainer.save_steps=7",
        "trainer.keep_checkpoints=1",
        "overwrite=true",
        "model=bert_base",
        "criterion.beta1=0.85",
    ],
)
def test_what_changes_no_result_does_not_change_the_identity(make: Make, identity_of_small: str, override: str) -> None:
    assert identity(make(*SMALL, override)) == identity_of_small


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "sparsity=0.8",
        "task.max_length=64",
        "task=mrpc",
        "model=minilm",
        "criterion.signed=true",
        "data.seed=1",
        "trainer.eval_steps=49",
        "schedule.final=0.3",
        "regularization=none",
        "criterion=magnitude",
        "trainer.precision=bf16",
    ],
)
def test_what_changes_results_changes_the_identity(make: Make, identity_of_small: str, override: str) -> None:
    assert identity(make(*SMALL, override)) != identity_of_small


@pytest.mark.parametrize(
    "override", ["criterion=magnitude", "criterion.beta1=0.5", "schedule.final=0.2", "schedule.regrow=false"]
)
def test_without_pruning_what_prunes_does_not_count(make: Make, override: str) -> None:
    assert identity(make(*SMALL, override)) != identity(make(*SMALL))
    assert identity(make(*SMALL, "sparsity=0", override)) == identity(make(*SMALL, "sparsity=0"))


def model_folder(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(content)
    return folder


@pytest.mark.parametrize("key", ["model.name", "regularization.first_teacher"])
def test_a_model_folder_counts_by_content(make: Make, tmp_path: Path, key: str) -> None:
    one, two = model_folder(tmp_path / "one", b"a" * 2_000_000), model_folder(tmp_path / "two", b"a" * 2_000_000)
    before = identity(make(*SMALL, f"{key}={one}"))
    assert identity(make(*SMALL, f"{key}={two}")) == before
    (two / "README.md").write_text("a card")
    assert identity(make(*SMALL, f"{key}={two}")) == before
    (two / "model.safetensors").write_bytes(b"a" * 1_999_999 + b"b")
    assert identity(make(*SMALL, f"{key}={two}")) != before
    (one / "tokenizer.json").write_text("{}")
    assert identity(make(*SMALL, f"{key}={one}")) != before


def test_a_users_own_class_counts_with_its_source(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "theirs.py"
    text = """
from dataclasses import dataclass
from prune_cli.pruning.criteria import WeightCriterion

@dataclass(frozen=True, kw_only=True)
class Theirs(WeightCriterion):
    def score(self, at):
        return at.weight.abs()
"""
    monkeypatch.syspath_prepend(str(tmp_path))
    overrides = (*SMALL, "criterion=magnitude", "criterion._target_=theirs.Theirs")
    seen = []
    for written in (text, text, text.replace("abs()", "abs() ** 2")):
        source.write_text(written)
        sys.modules.pop("theirs", None)
        importlib.invalidate_caches()
        seen.append(identity(make(*overrides)))
    assert seen[0] == seen[1] != seen[2]


def test_a_new_option_at_its_default_changes_nothing() -> None:
    @dataclass
    class Now:
        epochs: float = 10.0

    @dataclass
    class Later(Now):
        bells: list[str] = field(default_factory=list)
        whistles: int | None = None
        paint: str = field(default="red", metadata=NO_RESULT)

    def said(part: object) -> dict[str, object]:
        return {name: value for name, value in described(part).items() if name not in ("class", "source")}

    assert said(Now()) == said(Later()) == said(Later(paint="blue")) == {}
    assert said(Later(whistles=2)) == {"whistles": 2}


def test_the_defaults_are_pinned() -> None:
    """What is left out of an identity must never mean something else: another default is another field.

    defaults.json holds every default that there has been; those of a new option or class are added when it has landed.
    """
    classes: set[type] = {ModelConfig, TrainerConfig}
    for group in ("task", "criterion", "schedule", "pattern", "regularization"):
        for name in names(group, [CONF]):
            node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
            classes.add(locate(node["_target_"], group))
    found: dict[str, object] = {"sparsity": General.sparsity, "seed": General.seed}
    for cls in classes:
        for own in dataclasses.fields(cls):
            if counts(own.metadata) and own.default is not dataclasses.MISSING:
                found[f"{cls.__name__}.{own.name}"] = own.default
    pinned = json.loads((Path(__file__).parent / "defaults.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(found))
    assert {name: now.get(name, "gone") for name in pinned} == pinned


def test_an_identity_is_pinned(make: Make) -> None:
    small = (*SMALL, "model=tiny_bert", "trainer.learning_rate=5e-5", "trainer.eval_steps=50")
    assert [identity(make(*small)), identity(make(*small, "sparsity=0")), identity(make(*small, "seed=1"))] == [
        "b3c4bf54b252302d",
        "b094dbe6c3465638",
        "0fcdc69dc3bd8e7a",
    ]


def test_records_count_by_content_not_by_folder(make: Make, tmp_path: Path) -> None:
    for name, text in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).mkdir()
        for split in ("train", "validation"):
            (tmp_path / name / f"{split}.jsonl").write_text(text)
    one, two, three = (identity(make("data=local", f"data.path={tmp_path / name}")) for name in ("one", "two", "three"))
    assert one == two != three


def test_the_identity_does_not_depend_on_the_order_of_keys(make: Make) -> None:
    config = make(*SMALL)
    reordered = OmegaConf.create(dict(reversed(list(config.resolved.items()))))
    assert identity(RunConfig.from_hydra(reordered, config.choices)) == identity(config)
    assert re.fullmatch(r"[0-9a-f]{16}", identity(config))


def test_a_run_is_named_by_what_it_is(make: Make) -> None:
    config = make(*SMALL, "sparsity=0.80", "model=tiny_bert")
    assert run_name(config, "0123456789abcdef") == "rte-tiny_bert-pins-s0.8-01234567"
    assert run_name(make(*SMALL, "sparsity=0"), "0" * 16) == "rte-bert_base-dense-00000000"
    assert run_name(make(*SMALL, "sparsity=1"), "0" * 16).startswith("rte-bert_base-pins-s1-")
    assert run_name(make(*SMALL, "model.name='someone/a-b(c'"), "0" * 16).startswith("rte-a_b_c-pins-s0.9-")
