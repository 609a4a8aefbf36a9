"""What has become of a run, as its folder tells: the one place that derives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError

State = Literal["done", "running", "interrupted", "failed", "broken"]
"""Interrupted where no process is at it and nothing went wrong; broken where result.json, or a file that it promises, is not what
a run writes."""


@dataclass(frozen=True)
class Standing:
    """What has become of a run.

    Attributes:
        state: See `State`.
        result: Of a run that is done; None of others.
        problems: Why it is not done; empty where it is, or runs.
    """

    state: State
    result: Result | None = None
    problems: tuple[str, ...] = ()


def standing(folder: RunFolder) -> Standing:
    """Look at a run folder; nothing in its files can raise."""
    try:
        result = folder.read_result()
        problem = next(iter(folder.broken_promises(result)), "")
        if not problem:
            return Standing("done", result)
    except UserError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{folder.result} cannot be read ({error.strerror})"
    if folder.busy():
        return Standing("running")
    if folder.result.is_file():
        return Standing("broken", problems=(problem,))
    if (noted := folder.noted().get("problems")) is not None:
        return Standing("failed", problems=tuple(map(str, noted)) if isinstance(noted, list) else (str(noted),))
    return Standing("interrupted", problems=("the same command goes on with it",))
