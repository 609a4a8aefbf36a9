"""One progress bar with what people watch: loss, sparsity, metric, best metric."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)


@final
class TrainingProgress:
    """Shows the records of a run: a bar on a terminal, a line an evaluation elsewhere."""

    def __init__(self, console: Console, *, total_steps: int, primary_metric: str) -> None:
        """Prepare.

        Args:
            console: Where to show.
            total_steps: Optimizer steps of the whole run.
            primary_metric: Name of the metric to show, without prefix.
        """
        self.primary_metric = primary_metric
        self.best: float | None = None
        self._shown: dict[str, Any] = {"loss": "-", "sparsity": "-", "metric": "-", "best": "-", "evaluating": ""}
        self._bar = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("sparsity {task.fields[sparsity]}"),
            TextColumn(primary_metric + " {task.fields[metric]} (best {task.fields[best]})"),
            TextColumn("{task.fields[evaluating]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("prune", total=total_steps, **self._shown)

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """Show the bar while training."""
        with self._bar:
            yield

    def callback(self) -> TrainerCallback:
        """A callback that moves the bar at every step."""
        return _StepCallback(self)

    def step(self, step: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step)

    def evaluated(self, batches: int, of: int) -> None:
        """Say how far an evaluation is, as generating takes minutes.

        Args:
            batches: How many batches of the split are done.
            of: Of how many; at the last one nothing is said any more.
        """
        self._shown["evaluating"] = f"evaluating {batches}/{of}" if batches < of else ""
        self._bar.update(self._task, **self._shown)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take in a record of the history."""
        self._shown["sparsity"] = f"{record['sparsity']:.1%}"
        if "loss" in record:
            self._shown["loss"] = f"{record['loss']:.4f}"
        metric = record.get(f"eval_{self.primary_metric}")
        if metric is not None:
            self.best = metric if self.best is None else max(self.best, metric)
            self._shown |= {"metric": f"{metric:.4f}", "best": f"{self.best:.4f}"}
            log.info(
                "step %d: %s %.4f (best %.4f), sparsity %.4f",
                record["step"],
                self.primary_metric,
                metric,
                self.best,
                record["sparsity"],
            )
        self._bar.update(self._task, completed=record["step"], **self._shown)


class _Batches(TrainerCallback):
    """Counts the batches of each split that is evaluated."""

    def __init__(self) -> None:
        self.batches = 0

    def evaluated(self, batches: int, of: int) -> None:
        """Show how many batches of a split are done."""
        raise NotImplementedError

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        self.batches += 1
        of = len(eval_dataloader)
        self.evaluated(self.batches, of)
        self.batches %= of


@final
class EvaluationProgress(_Batches):
    """A bar for an evaluation alone, on a terminal; it begins again with each split."""

    def __init__(self, console: Console) -> None:
        """Prepare.

        Args:
            console: Where to show.
        """
        super().__init__()
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("evaluating")

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """Show the bar meanwhile."""
        with self._bar:
            yield

    def evaluated(self, batches: int, of: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=batches, total=of)


@final
class _StepCallback(_Batches):
    def __init__(self, progress: TrainingProgress) -> None:
        super().__init__()
        self.progress = progress

    def evaluated(self, batches: int, of: int) -> None:
        self.progress.evaluated(batches, of)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.progress.step(state.global_step)
