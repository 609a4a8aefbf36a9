"""The walk-through of CONTRIBUTING.md, followed to the letter."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from prune_cli.config.build import build, construct
from prune_cli.config.options import Option, options
from prune_cli.config.schema import ModelConfig
from prune_cli.errors import UserError
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
    assert options("criterion", [tmp_path]) == [Option("fisher", about)]


def test_the_task_builds_from_its_yaml() -> None:
    task = build(_values("conf/task/tickets.yaml"), "task")
    assert isinstance(task, TextClassification)
    assert task.columns == {"subject": str, "body": str, "label": int}


def test_the_model_fits_the_schema() -> None:
    model = construct(ModelConfig, _values("conf/model/bert_small.yaml"), "model")
    assert model == ModelConfig(name="google/bert_uncased_L-4_H-512_A-8")
