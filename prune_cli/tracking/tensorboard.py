"""TensorBoard: event files in the run folder, written by PyTorch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from prune_cli.extras import lacking
from prune_cli.tracking.base import RunSummary, Table, TrackedRun
from prune_cli.tracking.rows import history_row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


@final
@dataclass
class TensorBoard:
    """The folder `tensorboard` of a run; `tensorboard --logdir runs` shows all runs."""

    def __post_init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._config: Mapping[str, Any] = {}

    def problems(self) -> Iterator[str]:
        """Whether its package is missing."""
        if (problem := lacking("it", "tensorboard", "tensorboard")) is not None:
            yield problem

    def start(self, run: TrackedRun) -> str | None:
        """Write the events anew, those from before an interruption among them.

        Returns:
            The folder.
        """
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder))
        self._config = run.config
        self._writer.add_text("config", f"```json\n{json.dumps(dict(run.config), indent=2, default=str)}\n```")
        return str(folder)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write the numbers of a record at its step; `frontier/*` over sparsity is what TensorBoard has no axis for."""
        assert self._writer is not None
        for name, value in history_row(record).items():
            if isinstance(value, int | float) and name != "step" and not name.startswith("frontier/"):
                self._writer.add_scalar(name, value, record["step"])

    def finish(self, summary: RunSummary | None) -> None:
        """Write the hyperparameters with the final numbers, and the tables as text."""
        assert self._writer is not None
        if summary is not None:
            numbers = {name: value for name, value in summary.values.items() if isinstance(value, int | float)}
            self._writer.add_hparams(_flat(self._config), numbers, run_name=".")
            for name, table in summary.tables.items():
                self._writer.add_text(name, _markdown(table), summary.step)
        self._writer.flush()

    def close(self, *, failed: bool) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> bool:
        """Nothing can be done about a disk that hangs."""
        return False


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | str | float | int]:
    """Values by dotted key; what is neither number nor text is written as JSON.

    >>> _flat({"seed": 1, "trainer": {"warmup": 0.1}, "tags": ["a"]})
    {'seed': 1, 'trainer.warmup': 0.1, 'tags': '["a"]'}
    """
    flat: dict[str, bool | str | float | int] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return flat


def _markdown(table: Table) -> str:
    r"""A table as TensorBoard shows it.

    >>> print(_markdown(Table(("text", "zeros"), [("a | b", 3)])))
    | text | zeros |
    |---|---|
    | a \| b | 3 |
    """
    rows = [[str(value).replace("|", "\\|").replace("\n", "<br>") for value in row] for row in table.rows]
    lines = [[*table.columns], *rows]
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(table.columns), *rest])
