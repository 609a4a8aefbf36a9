"""Studies: a question, the runs that answer it, and a README whose tables are made from their results."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prune_cli.artifacts.result import COMPUTATION
from prune_cli.comparison.columns import columns
from prune_cli.comparison.forms import as_markdown
from prune_cli.comparison.groups import compare
from prune_cli.comparison.pictures import draw
from prune_cli.comparison.query import column_names, connect, row
from prune_cli.comparison.runs import Run, found
from prune_cli.comparison.significance import in_words
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.plain import from_yaml
from prune_cli.report.formats import counted
from prune_cli.tracking.secrets import redact, without_folders

FILE = "study.yaml"
MEASURED = "measured"
"""Name of the part of a README that says when and on what machine."""
UNTRIED = "Not measured yet: the study has no results."
_PART = re.compile(r"(?P<begin><!-- (?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)
_NOT_KEPT = ("samples", "promised")
"""Parts of result.json that a study leaves out: texts of somebody else's records, and files that are not there."""
_NOT_THE_RUN = ("output_dir", "overwrite", "fail_fast", "tracking")
_TABLE = {"where", "by", "sort", "columns", "findings"}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, as study.yaml describes it.

    Attributes:
        folder: Holds study.yaml, README.md and results/.
        sweeps: Overrides by name, each what `prune run -m` is given; `{NAME}` stands for the run folder of an earlier one.
        tables: Options of `prune compare` by the name of the part of the README.
        picture: Whether results/frontier.png shows metric against sparsity.
    """

    folder: Path
    sweeps: Mapping[str, Sequence[str]]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    picture: bool = False

    @property
    def readme(self) -> Path:
        """The page."""
        return self.folder / "README.md"

    @property
    def results(self) -> Path:
        """The folder of small results."""
        return self.folder / "results"

    def keep(self, finished: Path, *, anew: bool = False) -> str:
        """Copy what counts of a result; one of the same run that is kept already stays, wherever it was made.

        Args:
            finished: A run folder.
            anew: Put it in the place of the one that is kept.

        Returns:
            The identity of the run.
        """
        (run,) = found([finished])
        if not anew and _identity(run) in self.paths():
            return _identity(run)
        kept = {name: value for name, value in run.result.items() if name not in _NOT_KEPT}
        config = {name: value for name, value in run.config.items() if name not in _NOT_THE_RUN}
        kept["config"] = without_folders(redact(config))
        self.results.mkdir(exist_ok=True)
        write_text(self.results / f"{run.name}.json", json.dumps(kept, indent=1) + "\n")
        return _identity(run)

    def kept(self) -> dict[str, Mapping[str, Any]]:
        """The results that are kept, by the identities of their runs."""
        return {_identity(run): run.result for run in self._runs()}

    def paths(self) -> dict[str, Path]:
        """Their files."""
        return {_identity(run): run.path for run in self._runs()}

    def _runs(self) -> list[Run]:
        return found([self.results]) if any(self.results.glob("*.json")) else []

    def rendered(self) -> str:
        """The README as its results give it.

        Raises:
            UserError: If a part of the README has no table in study.yaml, or a table cannot be made.
        """
        runs = self._runs()
        text = self.readme.read_text(encoding="utf-8")
        parts = [match["name"] for match in _PART.finditer(text)]
        known = [*self.tables, MEASURED]
        problems = [
            f"{self.readme} has a part {name}, and {FILE} no such table{did_you_mean(name, known)}"
            for name in parts
            if name not in known
        ]
        problems += [
            f"{self.readme} has no part <!-- {name} --> ... <!-- end --> for a table of {FILE}"
            for name in self.tables
            if name not in parts
        ]
        if problems:
            raise UserError(*problems)
        return _PART.sub(lambda match: f"{match['begin']}{self._part(match['name'], runs)}{match['end']}", text)

    def earlier(self) -> list[str]:
        """Which results another version made, of which the same configuration ended with other bits: a line, or nothing."""
        earlier = [run.name for run in self._runs() if run.result.get("computation", 1) != COMPUTATION]
        if not earlier:
            return []
        return [
            f"{counted(len(earlier), 'result')} of a version that computed something else than this one: beside new ones they"
            f" may mislead; `prune study {self.folder.name} overwrite=true` measures them again ({', '.join(earlier)})"
        ]

    def render(self) -> None:
        """Write README and picture anew, from the results."""
        write_text(self.readme, self.rendered())
        if self.picture and any(self.results.glob("*.json")):
            temporary = self.results / ".frontier.png"
            draw("frontier", found([self.results]), temporary)
            temporary.replace(self.results / "frontier.png")

    def _part(self, name: str, runs: Sequence[Run]) -> str:
        if not runs:
            return f"{UNTRIED}\n"
        return measured(runs) if name == MEASURED else self._table(self.tables[name], runs)

    def _table(self, options: Mapping[str, Any], runs: Sequence[Run]) -> str:
        rows = [row(run) for run in runs]
        database = connect(rows)
        comparison = compare(
            database,
            rows,
            where=options.get("where", ()),
            by=options.get("by", ()),
            sort=options.get("sort", ()),
        )
        table = as_markdown(comparison, columns(comparison, options.get("columns", ()), column_names(database)))
        findings = in_words(comparison) if options.get("findings") else []
        shown = {str(each["path"]) for group in comparison.groups for each in group.runs}
        mixed = _mixed([run for run in runs if str(run.path) in shown])
        return table + mixed + "".join(f"\n{sentence}\n" for sentence in findings)


def study(name: str, folders: Sequence[Path]) -> Study:
    """Read a study.

    Args:
        name: Of its folder, or a path to it.
        folders: Where studies lie.

    Raises:
        UserError: If there is no such study, or its study.yaml cannot be used.
    """
    places = [Path(name).expanduser(), *(folder / name for folder in folders)]
    folder = next((place for place in places if (place / FILE).is_file()), None)
    if folder is None:
        known = names(folders)
        others = f"one of {', '.join(known)}, or a folder with {FILE}"
        raise UserError(f"there is no study {name}{did_you_mean(name, known)} ({others})")
    path = folder / FILE
    try:
        said = from_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no YAML: {error}") from None
    if problems := list(_problems(said)):
        raise UserError(*(f"{path}: {problem}" for problem in problems))
    if not (folder / "README.md").is_file():
        raise UserError(f"{folder} has no README.md: write the question, and <!-- NAME --> <!-- end --> for each table")
    return Study(folder=folder, **said)


def _identity(run: Run) -> str:
    return str(run.result.get("id", run.name))


def names(folders: Iterable[Path]) -> list[str]:
    """The studies that lie in some folders."""
    return sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{FILE}")})


def _mixed(runs: Sequence[Run]) -> str:
    """That the rows of a table were not all made alike, a line; nothing where they were."""
    made = Counter(f"{_machine(run.result)}, {_versions(run.result)}" for run in runs)
    if len(made) < 2:
        return ""
    told = "; ".join(f"{counted(number, 'run')} on {where}" for where, number in made.most_common())
    return f"\nThese rows mix {told}.\n"


def measured(runs: Sequence[Run]) -> str:
    """When, on what and with what some runs were made, a sentence.

    Args:
        runs: Finished ones, at least one.
    """
    days = sorted({str(run.result["finished"])[:10] for run in runs if "finished" in run.result})
    machines = dict.fromkeys(_machine(run.result) for run in runs)
    versions = dict.fromkeys(_versions(run.result) for run in runs)
    when = f" on {days[0]}" if len(days) == 1 else f" from {days[0]} to {days[-1]}" if days else ""
    return f"{counted(len(runs), 'run')}, measured{when}; {'; '.join(machines)}; {'; '.join(versions)}.\n"


def _machine(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    processor = machine.get("gpu") or machine.get("processor") or "a processor without a name"
    return f"{processor}, {machine.get('threads', '?')} threads, {result.get('precision', '?')}"


def _versions(result: Mapping[str, Any]) -> str:
    versions = result.get("versions", {})
    return ", ".join(f"{name} {versions[name]}" for name in ("prune-lm", "torch", "transformers") if name in versions)


def _problems(said: Any) -> Iterable[str]:
    if not isinstance(said, dict) or not isinstance(said.get("sweeps"), dict) or not said["sweeps"]:
        yield "give sweeps, a list of overrides for each name"
        return
    for key in said.keys() - {"sweeps", "tables", "picture"}:
        yield f"{key} is not known{did_you_mean(str(key), ['sweeps', 'tables', 'picture'])} (sweeps, tables, picture)"
    for name, given in said["sweeps"].items():
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            yield f"sweeps.{name} is no list of overrides, such as [task=mrpc, 'sparsity=0.8,0.9']"
    tables = said.get("tables", {})
    if not isinstance(tables, dict):
        yield "tables is no mapping from names to options of `prune compare`"
        return
    for name, options in tables.items():
        if not isinstance(options, dict):
            yield f"tables.{name} is no mapping of {', '.join(sorted(_TABLE))}"
            continue
        for key in options.keys() - _TABLE:
            known = ", ".join(sorted(_TABLE))
            yield f"tables.{name}.{key} is not known{did_you_mean(str(key), _TABLE)} (one of {known})"
