"""Changes the code in small ways, and counts the changes that the tests notice (mutation testing, by mutmut).

usage: python -m tests.mutants [--folder DIR] [--children N] [--ending DIGITS]   (`make mutants`; hours)

Three rounds, each over what the one before did not notice, so that whole runs are asked last:
the tests beside the changed code, all tests of `make test`, and what `make test-all` has more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.conftest import ROOT

CHANGED = (
    "pruning/*", "heads/*", "distillation/*", "training/checkpoints.py", "config/identity.py", "sparse/*",
    "comparison/significance.py",
)  # fmt: skip
"""What is changed, under `prune_cli/`: engine, losses, checkpoints and identity of runs, the sparse file, statistics."""
BESIDE = (
    "pruning", "heads", "distillation", "training", "config/test_run_config.py", "config/test_saved.py", "sparse",
    "comparison/test_groups.py", "compaction/test_structure.py",
)  # fmt: skip
"""Tests beside it, under `tests/`."""
DOCTESTS = ("pruning", "heads", "distillation", "training", "config", "sparse", "comparison")
"""Modules with doctests, under `prune_cli/`."""
SETTINGS = """

[tool.mutmut]
source_paths = ["prune_cli"]
only_mutate = {changed}
also_copy = {copied}
pytest_add_cli_args = ["-m", "{marker}", "-o", "addopts={options}"]
pytest_add_cli_args_test_selection = {tests}
do_not_mutate_patterns = {beyond}
timeout_multiplier = 2.0
timeout_constant = 10.0
"""
OPTIONS = (
    "--import-mode=importlib --doctest-modules --strict-markers -p no:cacheprovider -p no:jaxtyping"
    " --ignore=tests/test_dependencies.py"  # the changed code imports mutmut
)
"""Shapes are not checked: a process that tests a change has imported the package before, and jaxtyping comes too late."""
BEYOND = (r"cast\(", "strict=True", "raise AssertionError", "device=")
"""Lines whose changes no test can notice: types for the type checker, what cannot happen, devices where there is only a CPU."""
NOTICED, UNNOTICED, UNTESTED = "noticed", "unnoticed", "no test"


@dataclass(frozen=True)
class Round:
    """Tests that are asked.

    Attributes:
        name: Its folder.
        marker: Which of the tests, as `pytest -m` has it.
        tests: Files and folders.
    """

    name: str
    marker: str
    tests: tuple[str, ...]


ROUNDS = (
    Round(
        "beside",
        "not exhaustive",
        (*(f"tests/{name}" for name in BESIDE), *(f"prune_cli/{name}" for name in DOCTESTS)),
    ),
    Round("test", "not exhaustive", ("tests", "prune_cli")),
    Round("test-all", "exhaustive", ("tests",)),
)


def prepared(folder: Path, one: Round) -> Path:
    """A copy of what is in git, with the settings of a round."""
    place = folder / one.name
    shutil.rmtree(place, ignore_errors=True)
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, place / file)
    top = sorted({file.partition("/")[0] for file in files} - {"prune_cli", "tests", "pyproject.toml"})
    lists = {
        "changed": [f"prune_cli/{name}" for name in CHANGED],
        "copied": top,
        "tests": list(one.tests),
        "beyond": list(BEYOND),
    }
    told = {name: json.dumps(values) for name, values in lists.items()}  # a list of texts in JSON is one in TOML
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(SETTINGS.format(marker=one.marker, options=OPTIONS, **told))
    return place


def asked(place: Path, changes: Sequence[str], children: int) -> None:
    """Let the tests of a round see the changes, or all of them where none is named."""
    data = os.environ.get("PRUNE_DATA", str(ROOT.parent / "shared" / "data"))
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run(
        [mutmut, "run", "--max-children", str(children), *changes],
        cwd=place,
        env={**os.environ, "PRUNE_DATA": data},
        check=True,
    )


def outcomes(place: Path) -> Iterator[tuple[str, str, str]]:
    """Each change of a round: its folder, its name, and what became of it."""
    meanings = {0: UNNOTICED, 33: UNTESTED}  # mutmut's exit codes; any other is a failed test, a crash or a time-out
    for file in sorted((place / "mutants").rglob("*.meta")):
        where = file.relative_to(place / "mutants" / "prune_cli").with_suffix("")
        for name, code in json.loads(file.read_text())["exit_code_by_key"].items():
            if code is not None:
                yield where.parts[0].removesuffix(".py"), name, meanings.get(code, NOTICED)


def table(rounds: Mapping[str, Mapping[str, Counter[str]]]) -> Table:
    """Noticed by each tier, folder by folder."""
    shown = Table("folder", "changes", "`make test`", "`make test-all`", "first of the second", box=box.MARKDOWN)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for number, of_folders in enumerate(rounds.values()):
        for folder, counter in of_folders.items():
            for key in (folder, "all"):
                counts[key][0] += counter.total() if number == 0 else 0
                counts[key][1] += counter[NOTICED] if number < 2 else 0
                counts[key][2] += counter[NOTICED]
    for folder, (changes, first, second) in sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])):
        shown.add_row(folder, str(changes), f"{first / changes:.1%}", f"{second / changes:.1%}", f"{first / max(second, 1):.1%}")
    return shown


def main() -> None:
    """Go through the rounds and print the table; what nobody noticed stands in `unnoticed.txt`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ending", default="", help="a sample: changes whose number ends in one of these digits")
    options = parser.parse_args()
    rounds: dict[str, dict[str, Counter[str]]] = {}
    left = [f"*[{options.ending}]"] if options.ending else []
    for number, one in enumerate(ROUNDS):
        if number and not left:
            break
        place = prepared(options.folder, one)
        asked(place, left, options.children)
        of_round: dict[str, Counter[str]] = defaultdict(Counter)
        before, left = set(left), []
        for folder, name, outcome in outcomes(place):
            if not number or name in before:
                of_round[folder][outcome] += 1
                if outcome != NOTICED:
                    left.append(name)
        rounds[one.name] = of_round
    (options.folder / "unnoticed.txt").write_text("\n".join(left) + "\n")
    Console(width=120).print(table(rounds))


if __name__ == "__main__":
    main()
