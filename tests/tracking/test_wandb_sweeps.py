"""The files for `wandb sweep` hand `prune run` arguments that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from prune_cli.config.diagnose import diagnose
from prune_cli.paths import EXPERIMENTS
from prune_cli.tracking.rows import METRIC

SWEEPS = sorted((EXPERIMENTS / "wandb").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def values(parameter: dict[str, Any]) -> list[Any]:
    """What an agent may be told: all values, or the ends."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_argument_of_an_agent_is_one_of_ours(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("prune_cli.models.options.hub_problems", lambda name, revision: [])
    sweep = read(path)
    command = create_sweep_command(sweep["command"])
    assert command == ["prune", "run", "${args_no_hyphens}"]
    parameters = {key: values(parameter) for key, parameter in sweep["parameters"].items()}
    for number in range(max(map(len, parameters.values()))):
        chosen = {key: {"value": each[min(number, len(each) - 1)]} for key, each in parameters.items()}
        arguments = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
        assert len(arguments) == len(parameters)
        diagnose([*arguments, "data=synthetic"])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_what_is_optimized_is_what_is_logged(path: Path) -> None:
    assert read(path)["metric"] == {"name": METRIC, "goal": "maximize"}
