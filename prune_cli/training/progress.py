"""One progress bar with what people watch: loss, sparsity, metric, best metric."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

log = logging.getLogger(__name__)


class _WithALine(Progress):
    """A bar with a line of text beneath it, so that both fit 80 columns."""

    line = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, and the line where there is one."""
        yield from super().get_renderables()
        if self.line:
            yield Text(self.line, no_wrap=True, overflow="ellipsis")


@final
class TrainingProgress:
    """Shows the records of a run: a bar on a terminal, a line an evaluation elsewhere."""

    def __init__(self, console: Console, *, total_steps: int, primary_metric: str) -> None:
        """Prepare.

        Args:
            primary_metric: Name of the metric to show, without prefix.
        """
        self.primary_metric = primary_metric
        self.best: float | None = None
        self._shown: dict[str, str] = {}
        self._bar = _WithALine(
            TextColumn("{task.fields[doing]}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_interactive,
            expand=True,
        )
        self._task = self._bar.add_task("prune", total=total_steps, doing="step")

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """Show the bar while training."""
        with self._bar:
            yield

    def step(self, step: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step)

    def evaluated(self, batches: int, of: int) -> None:
        """Say how far an evaluation is, as generating takes minutes.

        Args:
            batches: How many batches of the split are done.
            of: Of how many; at the last one nothing is said any more.
        """
        self._bar.update(self._task, doing=f"evaluating {batches}/{of}, step" if batches < of else "step")

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take in a record of the history."""
        self._shown["sparsity"] = f"{record['sparsity']:.1%}"
        if "loss" in record:  # null where it was no number
            self._shown["loss"] = "not finite" if record["loss"] is None else f"{record['loss']:.4f}"
        metric = record.get(f"eval_{self.primary_metric}")
        if metric is not None:
            self.best = metric if self.best is None else max(self.best, metric)
            self._shown[self.primary_metric] = f"{metric:.4f} (best {self.best:.4f})"
            log.info(
                "step %d: %s %.4f (best %.4f), sparsity %.4f",
                record["step"],
                self.primary_metric,
                metric,
                self.best,
                record["sparsity"],
            )
        self._bar.line = "  ".join(f"{name} {value}" for name, value in self._shown.items())
        self._bar.update(self._task, completed=record["step"], refresh=True)


@contextlib.contextmanager
def evaluation_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar for an evaluation alone, on a terminal; it begins again with each split.

    Yields:
        What moves it: batches done, and of how many.
    """
    with Progress(console=console, transient=True, disable=not console.is_interactive) as bar:
        task = bar.add_task("evaluating")
        yield lambda batches, of: bar.update(task, completed=batches, total=of)
