"""Runs as they are found in folders: finished, unfinished and broken ones alike."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prune_cli.artifacts.result import FORMAT, Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.artifacts.state import State, standing
from prune_cli.errors import UserError
from prune_cli.plain import from_json, from_yaml

_CONFIG, _RESULT, _SWEEP = "config.yaml", "result.json", "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as its files tell of it.

    Attributes:
        path: The run folder, or the file of a result that a study keeps.
        config: The resolved configuration as plain values; empty where it cannot be read.
        result: Of the run; empty where the run has not finished.
        problem: Why it is not done; empty where it is.
    """

    path: Path
    name: str
    state: State
    config: Mapping[str, Any]
    outcome: Result | None = None
    problem: str = ""

    @property
    def result(self) -> Result:
        """Its result, of a run that is done."""
        assert self.outcome is not None, self.state
        return self.outcome

    @property
    def folder(self) -> RunFolder:
        """Its files, where it is a run folder."""
        return RunFolder(self.path)


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Find runs.

    Args:
        paths: Run folders, folders of runs at any depth, that of a multirun, results that a study keeps as NAME.json, or
            folders of these.

    Returns:
        The runs by path; one that lies in several places, by its identity, only once.

    Raises:
        UserError: If a path is not there, or none holds a run.
    """
    paths = [path.expanduser() for path in paths]
    if missing := [f"{path}: there is no such file or folder" for path in paths if not path.exists()]:
        raise UserError(*missing)
    runs = [run for place in dict.fromkeys(place for path in paths for place in places(path)) if (run := read(place)) is not None]
    if not runs:
        searched = ", ".join(map(str, paths))
        raise UserError(f"{searched} holds no run: give run folders, or the output_dir of runs, `runs` by default")
    done: dict[str, Path] = {}
    return [run for run in runs if run.state != "done" or done.setdefault(str(run.result.id), run.path) == run.path]


def done(runs: Sequence[Run]) -> list[Run]:
    """Those that have finished.

    Raises:
        UserError: If none has.
    """
    finished = [run for run in runs if run.state == "done"]
    if not finished:
        reasons = "; ".join(f"{run.name} is {run.state}" + (f" ({run.problem})" if run.problem else "") for run in runs[:3])
        raise UserError(f"none of {len(runs)} runs has finished: {reasons}" + ("; ..." if len(runs) > 3 else ""))
    return finished


def only(runs: Sequence[Run], path: Path) -> Run:
    """The one run that was found beneath a path.

    Raises:
        UserError: If there are several.
    """
    if len(runs) > 1:
        raise UserError(f"{path} holds {len(runs)} runs: give one of them, such as {runs[0].path}")
    return runs[0]


def read(path: Path) -> Run | None:
    """Read what is known of a run; nothing in its files can raise.

    Returns:
        The run; None where a file is no result.
    """
    if path.is_file():
        return _kept(path)
    folder = RunFolder(path)
    now = standing(folder)
    return Run(
        path=path,
        name=path.name,
        state=now.state,
        config=_config(folder) if now.result is None else now.result.config,
        outcome=now.result,
        problem=" ".join(now.problems),
    )


def places(path: Path) -> Iterator[Path]:
    """Run folders and files that may be results, beneath a path; what is hidden, or inside a run, is passed over.

    Raises:
        UserError: If it is neither, or cannot be read. What cannot be read beneath it is passed over.
    """
    try:
        if path.is_file():
            yield path
            return
        seen = {_inode(path)}
        os.scandir(path).close()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    yield from _beneath(path, seen)


def _beneath(path: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """As `places`, in a folder; links that lead around in a circle are followed once."""
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    if _CONFIG in names or _RESULT in names:
        yield path
        return
    if _SWEEP in names:
        yield from (folder for folder in _of_sweep(path / _SWEEP) if folder.is_dir())
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir():
                if (inode := _inode(path / entry.name)) not in seen:
                    seen.add(inode)
                    yield from _beneath(path / entry.name, seen)
            elif entry.name.endswith(".json"):
                yield path / entry.name


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _of_sweep(file: Path) -> Iterator[Path]:
    """The run folders of a multirun."""
    try:
        jobs = from_json(file.read_text(encoding="utf-8"))["jobs"]
        yield from [Path(job["folder"]) for job in jobs if job["folder"]]
    except (OSError, ValueError, KeyError, TypeError):  # half-written: its runs are found where they lie
        return


def _kept(path: Path) -> Run | None:
    """A result that a study keeps without its run folder."""
    try:
        result = Result.of(from_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    if result.format != FORMAT:
        return None
    return Run(path=path, name=result.name, state="done", config=result.config, outcome=result)


def _config(folder: RunFolder) -> Mapping[str, Any]:
    try:
        config = from_yaml(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # half-written, or somebody has edited it
        return {}
    return config if isinstance(config, dict) else {}
