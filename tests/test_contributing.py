"""The walk-through of CONTRIBUTING.md, followed to the letter."""

from __future__ import annotations

import doctest
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from prune_cli.config.build import build, construct
from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.options import Option, options
from prune_cli.config.run_config import RunConfig
from prune_cli.errors import UserError
from prune_cli.models.options import ModelConfig
from prune_cli.run import evaluate, predict, run
from prune_cli.tasks.text_classification import TextClassification

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _block(path: str) -> str:
    """The code block that follows the first mention of a file."""
    found = re.search(rf"`{re.escape(path)}`.*?```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, path
    return found[1]


def _values(path: str) -> dict[str, object]:
    values = OmegaConf.to_container(OmegaConf.create(_block(path)))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@pytest.fixture
def fisher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("prune_cli.pruning.fisher")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(_block("prune_cli/pruning/fisher.py"), "fisher.py", "exec"), module.__dict__)
    return module


def test_the_criterion_builds_from_its_yaml(fisher: ModuleType) -> None:
    assert build(_values("conf/criterion/fisher.yaml"), "criterion") == fisher.Fisher(
        delta_t=10, beta1=0.85, beta2=0.99
    )


def test_the_criterion_refuses_an_impossible_value(fisher: ModuleType) -> None:
    with pytest.raises(UserError, match=r"criterion\.beta1 is 2"):
        build({**_values("conf/criterion/fisher.yaml"), "beta1": 2}, "criterion")


def test_the_doctest_of_the_criterion_holds(fisher: ModuleType) -> None:
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(fisher):
        runner.run(test)
    assert (runner.failures, runner.tries) == (0, 2)


def test_the_first_line_of_the_yaml_is_what_is_listed(tmp_path: Path) -> None:
    (tmp_path / "criterion").mkdir()
    (tmp_path / "criterion" / "fisher.yaml").write_text(_block("conf/criterion/fisher.yaml"), encoding="utf-8")
    about = "Diagonal Fisher information, w^2 * g^2 / 2 (Theis et al. 2018)"
    assert options("criterion", [tmp_path]) == [Option("fisher", about, tmp_path / "criterion" / "fisher.yaml")]


def test_the_task_builds_from_its_yaml() -> None:
    task = build(_values("conf/task/tickets.yaml"), "task")
    assert isinstance(task, TextClassification)
    assert task.columns == {"subject": str, "body": str, "team": int}


@pytest.mark.slow
def test_the_family_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file and one YAML: pruned with self-regularization, evaluated, saved, and asked again."""
    module = ModuleType("prune_cli.tasks.multiple_choice")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(_block("prune_cli/tasks/multiple_choice.py"), "multiple_choice.py", "exec"), module.__dict__)
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "swag.yaml").write_text(_block("conf/task/swag.yaml"), encoding="utf-8")
    small = "task=swag model=tiny_bert data=synthetic data.train=64 data.validation=12 tracking=none".split()
    steps = "trainer.precision=fp32 trainer.max_steps=12 trainer.batch_size=4 trainer.eval_steps=4".split()
    pruning = ["criterion.delta_t=2", "sparsity=0.5", f"output_dir={tmp_path}"]
    with composer(str(tmp_path / "conf")) as composed:
        cfg = composed([*small, *steps, *pruning])
    config = RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg))
    outcome = run(config, Console(quiet=True))
    assert set(outcome.result["metrics"]) == {"loss", "accuracy"}
    assert outcome.result["sparsity"]["zeros_in_file"] == round(0.5 * outcome.result["sparsity"]["prunable"])
    assert outcome.result["auto_class"] == "AutoModelForMultipleChoice"
    assert set(outcome.result["samples"][0]) == {"startphrase", "endings", "expected", "predicted", "right"}
    history = [json.loads(line) for line in (outcome.folder / "history.jsonl").read_text("utf-8").splitlines()]
    assert history[-1]["teacher_version"] > 0, "it taught itself"
    folder = outcome.folder / "model"
    assert evaluate(config, folder, Console(quiet=True)).metrics == pytest.approx(outcome.result["metrics"], abs=1e-5)
    first = json.loads((outcome.folder / "predictions.jsonl").read_text("utf-8").splitlines()[0])
    ((again,),) = predict(config, folder, [{name: first[name] for name in ("startphrase", "endings")}])
    assert again["ending"] == first["prediction"]["ending"]
    assert again["probabilities"] == pytest.approx(first["prediction"]["probabilities"], abs=1e-4)


def test_the_model_fits_the_schema() -> None:
    model = construct(ModelConfig, _values("conf/model/bert_small.yaml"), "model")
    assert model == ModelConfig(name="google/bert_uncased_L-4_H-512_A-8")
