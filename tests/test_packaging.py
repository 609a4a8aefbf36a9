"""The wheel works where there is no checkout, and the command line starts without the heavy packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import prune_cli

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = ["torch", "transformers", "datasets", "wandb", "matplotlib", "sklearn", "scipy"]


def _python(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT), folder=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else; what it depends on comes from the running environment."""
    folder = tmp_path_factory.mktemp("site")
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-index"]
    _python(*pip, "--target", str(folder), str(wheel), folder=wheel.parent)
    return folder


def _run_installed(installed: Path, tmp_path: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"}
    return _python(*arguments, folder=tmp_path, environment=environment)


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    script = "from prune_cli import __file__, paths; print(__file__, paths.CONF, paths.EXPERIMENTS, sep='\\n')"
    module, conf, experiments = map(Path, _run_installed(installed, tmp_path, "-c", script).splitlines())
    assert module.resolve() == (installed / "prune_cli" / "__init__.py").resolve()
    assert conf.resolve() == (installed / "prune_cli" / "conf").resolve()
    assert experiments.resolve() == (installed / "prune_cli" / "experiments").resolve()


@pytest.mark.parametrize("folder", ["conf", "experiments"])
def test_the_wheel_holds_every_file_of(folder: str, installed: Path) -> None:
    ours = {file.relative_to(CHECKOUT) for file in (CHECKOUT / folder).rglob("*") if file.is_file()}
    assert ours
    assert {file for file in ours if not (installed / "prune_cli" / file).is_file()} == set()


def test_the_wheel_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert prune_cli.__version__ in _run_installed(installed, tmp_path, "-m", "prune_cli", "--version")


def test_the_wheel_lists_the_tasks_of_its_own_conf(installed: Path, tmp_path: Path) -> None:
    only_here = installed / "prune_cli" / "conf" / "task" / "only_in_this_wheel.yaml"
    only_here.write_text("# A task that no checkout has\n" + (CHECKOUT / "conf" / "task" / "mrpc.yaml").read_text())
    try:
        listed = _run_installed(installed, tmp_path, "-m", "prune_cli", "list", "tasks")
    finally:
        only_here.unlink()
    assert "mrpc" in listed
    assert "A task that no checkout has" in listed


def test_the_wheel_composes_a_configuration(installed: Path, tmp_path: Path) -> None:
    shown = _run_installed(installed, tmp_path, "-m", "prune_cli", "run", "task=mrpc", "sparsity=0.5", "--cfg", "job")
    assert "sparsity: 0.5" in shown
    assert "prune_cli.tasks.text_classification" in shown


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "tasks"], ["run", "--help"]])
def test_the_command_line_starts_without_heavy_packages(arguments: list[str], tmp_path: Path) -> None:
    script = f"""
import runpy, sys
sys.argv = ["prune", *{arguments!r}]
try:
    runpy.run_module("prune_cli", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
print(sorted(set({HEAVY!r}) & sys.modules.keys()))
"""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert _python("-c", script, folder=tmp_path, environment=environment).splitlines()[-1] == "[]"


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    script = f"import sys, prune_cli; print(sorted(set({HEAVY!r}) & sys.modules.keys()))"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert _python("-c", script, folder=tmp_path, environment=environment).strip() == "[]"
