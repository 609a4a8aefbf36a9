"""Studies: a question, the runs that answer it, and a README whose tables are made from their results."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prune_cli.artifacts.result import COMPUTATION, Result
from prune_cli.comparison.columns import columns
from prune_cli.comparison.forms import as_markdown
from prune_cli.comparison.groups import NothingLeft, compare
from prune_cli.comparison.pictures import draw
from prune_cli.comparison.query import column_names, connect, row
from prune_cli.comparison.runs import Run, find_runs, read
from prune_cli.comparison.significance import in_words
from prune_cli.config.schema import ELSEWHERE
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.plain import from_yaml
from prune_cli.redaction import redact, without_folders
from prune_cli.report.numbers import counted

FILE = "study.yaml"
MEASURED = "measured"
"""Name of the part of a README that says when and on what machine."""
UNTRIED = "Not measured yet."
_PART = re.compile(r"(?P<begin><!-- (?P<name>[\w.-]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)
_NOT_KEPT = ("samples", "promised")
"""Parts of result.json that a study leaves out: texts of somebody else's records, and files that are not there."""
_KEYS = ("sweeps", "tables", "picture", "pages")
_TABLE = {"where", "by", "sort", "columns", "findings"}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, as study.yaml describes it.

    Attributes:
        folder: Holds study.yaml, README.md and results/.
        sweeps: Overrides by name, each what `prune run -m` is given; `{NAME}` stands for the run folder of an earlier one.
        tables: Options of `prune compare` by the name of the part of the README.
        picture: Options of `prune plot` for results/frontier.png, metric against sparsity; None for no picture.
        pages: Other files with tables of the study, whose parts are called STUDY.TABLE there; from its folder on.
    """

    folder: Path
    sweeps: Mapping[str, Sequence[str]]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    picture: Mapping[str, Any] | None = None
    pages: Sequence[str] = ()

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

        Returns:
            The identity of the run.
        """
        (run,) = find_runs([finished])
        old = self.paths().get(_identity(run))
        if old is not None and not anew:
            return _identity(run)
        kept = {name: value for name, value in run.result.plain().items() if name not in _NOT_KEPT}
        config = {name: value for name, value in run.config.items() if name not in ELSEWHERE}
        kept["config"] = without_folders(redact(config))
        if (teacher := _teacher_run(run)) is not None:
            kept["teacher_run"] = teacher
        self.results.mkdir(exist_ok=True)
        write_text(new := self.results / f"{run.name}.json", json.dumps(kept, indent=1) + "\n")
        if old not in (None, new):  # an option was renamed
            old.unlink()
        return _identity(run)

    def kept(self) -> dict[str, Result]:
        """The results that are kept, by the identities of their runs."""
        return {_identity(run): run.result for run in self._runs()}

    def paths(self) -> dict[str, Path]:
        """Their files."""
        return {_identity(run): run.path for run in self._runs()}

    def _runs(self) -> list[Run]:
        return find_runs([self.results]) if any(self.results.glob("*.json")) else []

    def rendered(self) -> dict[Path, str]:
        """The README and the other pages as the results give them.

        Raises:
            UserError: If a part of a page has no table in study.yaml, or a table cannot be made.
        """
        runs = self._runs()
        parts = {name: self._part(name, runs) for names in self.parts().values() for name in names}
        return {
            page: _PART.sub(
                lambda match, page=page: f"{match['begin']}{parts.get(self._named(page, match), match['body'])}{match['end']}",
                page.read_text(encoding="utf-8"),
            )
            for page in self._pages()
        }

    def parts(self) -> dict[Path, list[str]]:
        """The names of the tables that each page shows.

        Raises:
            UserError: If a part of a page has no table in study.yaml, or a table no part.
        """
        names_given = [*self.tables, MEASURED]
        parts = {
            page: [name for match in _PART.finditer(page.read_text(encoding="utf-8")) if (name := self._named(page, match))]
            for page in self._pages()
        }
        problems = [
            f"{page} has a part {name}, and {FILE} no such table{did_you_mean(name, names_given)}"
            for page, names in parts.items()
            for name in names
            if name not in names_given
        ]
        problems += [
            f"{self.readme} has no part <!-- {name} --> ... <!-- end --> for a table of {FILE}"
            for name in self.tables
            if len(parts) == 1 + len(self.pages) and not any(name in names for names in parts.values())
        ]
        if problems:
            raise UserError(*problems)
        return parts

    def up_to_date(self) -> bool:
        """Whether all pages are as the results give them."""
        return all(text == page.read_text(encoding="utf-8") for page, text in self.rendered().items())

    def _pages(self) -> list[Path]:
        """README.md, and the other pages that are here; an installed package has none of these."""
        return [self.readme, *(page for name in self.pages if (page := (self.folder / name).resolve()).is_file())]

    def _named(self, page: Path, match: re.Match[str]) -> str:
        """The name of a part; in a page that is not the study's own, those of others have none."""
        if page == self.readme:
            return match["name"]
        study, _, name = match["name"].partition(".")
        return name if study == self.folder.name else ""

    def earlier(self) -> list[str]:
        """Which results another version made, of which the same configuration ended with other bits: a line, or nothing."""
        earlier = [run.name for run in self._runs() if _computation(run) != COMPUTATION]
        if not earlier:
            return []
        return [
            f"{counted(len(earlier), 'result')} of a version that computed something else than this one: beside new ones they"
            f" may mislead; `prune study {self.folder.name} overwrite=true` measures them again ({', '.join(earlier)})"
        ]

    def render(self) -> None:
        """Write pages and picture anew, from the results."""
        for page, text in self.rendered().items():
            write_text(page, text)
        if self.picture is not None and (runs := self._runs()):
            with contextlib.suppress(NothingLeft):
                draw("frontier", runs, self.results / "frontier.png", **self.picture)

    def _part(self, name: str, runs: Sequence[Run]) -> str:
        with contextlib.suppress(NothingLeft):  # of what the table shows
            if runs:
                return measured(runs) if name == MEASURED else self._table(self.tables[name], runs)
        return f"{UNTRIED}\n"

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

    Raises:
        UserError: If there is no such study, or its study.yaml cannot be used.
    """
    places = [Path(name).expanduser(), *(folder / name for folder in folders)]
    folder = next((place for place in places if (place / FILE).is_file()), None)
    if folder is None:
        studies = names(folders)
        others = f"one of {', '.join(studies)}, or a folder with {FILE}"
        raise UserError(f"there is no study {name}{did_you_mean(name, studies)} ({others})")
    path = folder / FILE
    try:
        values = from_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no YAML: {error}") from None
    if problems := list(_problems(values)):
        raise UserError(*(f"{path}: {problem}" for problem in problems))
    if not (folder / "README.md").is_file():
        raise UserError(f"{folder} has no README.md: write the question, and <!-- NAME --> <!-- end --> for each table")
    return Study(folder=folder, **values)


def _teacher_run(run: Run) -> str | None:
    """The identity of the run whose model was the first teacher; None where it was no run's, or is not there any more."""
    folder = (run.config.get("regularization") or {}).get("first_teacher")
    return (
        None
        if folder is None or (teacher_run := read(Path(folder).parent)) is None or teacher_run.outcome is None
        else teacher_run.outcome.id
    )


def _identity(run: Run) -> str:
    return run.result.id


def names(folders: Iterable[Path]) -> list[str]:
    """The studies that lie in some folders."""
    return sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{FILE}")})


def _mixed(runs: Sequence[Run]) -> str:
    """That the rows of a table were not all made alike, a line; nothing where they were."""
    several = len({_computation(run) for run in runs}) > 1
    machines = Counter(
        f"{_machine(run.result)}, {_versions(run.result)}{f' (computation {_computation(run)})' if several else ''}"
        for run in runs
    )
    if len(machines) < 2:
        return ""
    mixture = "; ".join(f"{counted(number, 'run')} on {where}" for where, number in machines.most_common())
    return f"\nThese rows mix {mixture}.\n"


def measured(runs: Sequence[Run]) -> str:
    """When, on what and with what some runs were made, a sentence."""
    days = sorted({run.result.finished[:10] for run in runs})
    machines = dict.fromkeys(_machine(run.result) for run in runs)
    versions = dict.fromkeys(_versions(run.result) for run in runs)
    when = f" on {days[0]}" if len(days) == 1 else f" from {days[0]} to {days[-1]}" if days else ""
    return f"{counted(len(runs), 'run')}, measured{when}; {'; '.join(machines)}; {'; '.join(versions)}.\n"


def _computation(run: Run) -> int:
    return run.result.computation


def _machine(result: Result) -> str:
    machine = result.machine
    processor = machine.get("gpu") or machine.get("processor") or "a processor without a name"
    several = f", {count} processes" if (count := machine.get("processes", 1)) > 1 else ""
    return f"{processor}, {counted(machine.get('threads', 1), 'thread')}{several}, {result.precision}"


def _versions(result: Result) -> str:
    versions = result.versions
    return ", ".join(f"{name} {versions[name]}" for name in ("prune-lm", "torch", "transformers") if name in versions)


def _problems(values: Any) -> Iterable[str]:
    if not isinstance(values, dict) or not isinstance(values.get("sweeps"), dict) or not values["sweeps"]:
        yield "give sweeps, a list of overrides for each name"
        return
    for key in values.keys() - set(_KEYS):
        yield f"{key} is not known{did_you_mean(str(key), _KEYS)} ({', '.join(_KEYS)})"
    pages = values.get("pages", [])
    if not isinstance(pages, list) or not all(isinstance(page, str) for page in pages):
        yield "pages is no list of files, such as [../../README.md]"
    for name, given in values["sweeps"].items():
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            yield f"sweeps.{name} is no list of overrides, such as [task=mrpc, 'sparsity=0.8,0.9']"
    picture = values.get("picture", {})
    if not isinstance(picture, dict) or picture.keys() - {"where", "by"}:
        yield "picture is no mapping of where and by: {} shows all runs"
    tables = values.get("tables", {})
    if not isinstance(tables, dict):
        yield "tables is no mapping from names to options of `prune compare`"
        return
    for name, options in tables.items():
        if not isinstance(options, dict):
            yield f"tables.{name} is no mapping of {', '.join(sorted(_TABLE))}"
            continue
        for key in options.keys() - _TABLE:
            table_keys = ", ".join(sorted(_TABLE))
            yield f"tables.{name}.{key} is not known{did_you_mean(str(key), _TABLE)} (one of {table_keys})"
