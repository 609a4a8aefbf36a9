"""What is imported is declared, pinned and explained."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_imported_package_is_declared_and_every_declared_one_is_imported() -> None:
    imported = {name for file in (CHECKOUT / "prune_cli").rglob("*.py") for name in _imports(file)}
    imported -= sys.stdlib_module_names | {"prune_cli"}
    provided_by = metadata.packages_distributions()
    needed = {canonicalize_name(provided_by[name][0]) for name in imported}
    declared = {canonicalize_name(requirement.name) for requirement in CORE}
    assert declared <= needed
    optional = {canonicalize_name(requirement.name) for requirement in EXTRAS}
    assert needed - declared <= optional  # imported where they are used, with a message that names the extra


def _pins() -> dict[str, str]:
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pins}


@pytest.mark.parametrize("requirement", [*CORE, *EXTRAS], ids=str)
def test_the_pinned_version_meets_the_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(_pins()[canonicalize_name(requirement.name)], prereleases=True)


@pytest.mark.parametrize("requirement", [*CORE, *EXTRAS], ids=str)
def test_the_reason_for_it_is_written_down(requirement: Requirement) -> None:
    rows = [line for line in (CHECKOUT / "docs/dependencies.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    assert any(requirement.name in row and _pins()[canonicalize_name(requirement.name)] in row for row in rows)


def test_every_pin_is_exact_and_has_no_local_part() -> None:
    assert all(version and "+" not in version for version in _pins().values())
