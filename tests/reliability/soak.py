"""Kills runs at random moments and compares what comes of them with runs that nobody disturbed.

usage: python -m tests.reliability [--kills N] [--seed N] [--markdown]   (50 kills by default; `make soak`)

A killed run is started again, and perhaps killed again, until it ends. Then the SHA-256 of the model and of the predictions,
the metrics and the history must be those of the undisturbed run. Half of the kills come at a random time, half at a random
change in the run's folder: those few milliseconds in which a checkpoint or the result is written are seldom hit by time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.reliability.power import CHANGES
from tests.whole_runs import do

TIMED = ("seconds", "evaluation_seconds")
PHASES = ("start-up", "steps and evaluations", "writing a checkpoint", "final save", "tidying", "after the end")

FP32, BF16 = "trainer.precision=fp32", "trainer.precision=bf16"
DIVIDING, NOT_DIVIDING = "trainer.save_steps=20", "trainer.save_steps=15"  # the 60 steps of a run
HELD = "schedule.regrow=false"
TEACHER, NOBODY = "regularization.first_teacher=TEACHER", "regularization=none"
TAGS = ("task=conll2003", "trainer.eval_steps=30")

SCENARIOS: dict[str, tuple[str, ...]] = {
    "self-regularized": (FP32, NOT_DIVIDING),
    "self-regularized, bf16": (BF16, DIVIDING),
    "self-regularized, mask held": (FP32, DIVIDING, HELD),
    "self-regularized, mask held, bf16": (BF16, NOT_DIVIDING, HELD),
    "first teacher": (FP32, DIVIDING, TEACHER),
    "first teacher, bf16": (BF16, NOT_DIVIDING, TEACHER),
    "first teacher, mask held, bf16": (BF16, DIVIDING, TEACHER, HELD),
    "no teacher": (FP32, NOT_DIVIDING, NOBODY, HELD),
    "no teacher, bf16": (BF16, DIVIDING, NOBODY),
    "magnitude, accumulated": (FP32, NOT_DIVIDING, NOBODY, "criterion=magnitude", "trainer.gradient_accumulation=2"),
    "dense, latest teacher": (FP32, DIVIDING, "sparsity=0", "regularization.update=latest"),
    "named entities, bf16": (BF16, NOT_DIVIDING, *TAGS),
}


@dataclass
class Tally:
    """What became of a scenario's runs."""

    runs: int = 0
    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def start(folder: Path, overrides: Sequence[str], begun: Event, kill_at: int | None, changes: Path | None) -> None:
    """One run in a process of its own.

    Args:
        folder: Where the run makes its folder.
        overrides: Its configuration.
        begun: Set when it begins.
        kill_at: Change of the folder, counted from 1, at which the process kills itself; None for never.
        changes: File that the number of changes is written to at the end.
    """
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if opened or event in CHANGES:
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    begun.set()
    do(folder, *overrides)
    if changes is not None:
        changes.write_text(str(seen))


class Soak:
    """Runs and kills, in processes that are forked from one in which everything is imported."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.reliability.soak"])
        self.teacher = ""

    def launch(
        self, folder: Path, overrides: Sequence[str], *, seconds: float | None = None, change: int | None = None
    ) -> tuple[int, float, int]:
        """Run, perhaps until a kill; gives the exit code, seconds, and changes of the folder."""
        begun, changes = self.context.Event(), self.folder / "changes"
        changes.unlink(missing_ok=True)
        process = self.context.Process(target=start, args=(folder, overrides, begun, change, changes))
        process.start()
        begun.wait(120)
        began = time.monotonic()
        process.join(seconds)
        if process.is_alive():
            process.kill()
        process.join()
        assert process.exitcode is not None
        count = int(changes.read_text()) if changes.exists() else 0
        return process.exitcode, time.monotonic() - began, count

    def scenario(self, name: str, kills: int) -> Tally:
        """Kill runs of one scenario until so many kills have come, and compare what came of each."""
        overrides = [option.replace("TEACHER", self._teacher()) for option in SCENARIOS[name]]
        place = self.folder / re.sub(r"\W+", "-", name)
        whole = place / "undisturbed"
        code, seconds, changes = self.launch(whole, overrides)
        assert code == 0, f"{name}: the undisturbed run ended with {code}"
        expected, tally = ending(whole), Tally()
        while tally.kills < kills:
            folder = place / str(tally.runs)
            again = 1.0  # the chance that a run is killed once more, each time it is started
            while self.random.random() < again and tally.kills < kills:
                again /= 2
                if self.random.random() < 0.5:
                    code, *_ = self.launch(folder, overrides, seconds=self.random.uniform(0, seconds))
                else:
                    code, *_ = self.launch(folder, overrides, change=self.random.randint(1, changes))
                if code != 0:
                    assert code == -signal.SIGKILL, f"{name}: ended with {code}"
                    tally.kills += 1
                    tally.phases[phase(folder)] += 1
            code, *_ = self.launch(folder, overrides)
            tally.runs += 1
            if code != 0:
                tally.differences.append(f"{name}, run {tally.runs}: the resumed run ended with {code}")
                continue
            found = ending(folder)
            wrong = [key for key in expected if found[key] != expected[key]]
            tally.differences += [f"{name}, run {tally.runs}: {key}" for key in wrong]
        return tally

    def _teacher(self) -> str:
        if not self.teacher:
            folder = self.folder / "teacher"
            code, *_ = self.launch(folder, ["sparsity=0", NOBODY, "trainer.max_steps=30"])
            assert code == 0
            [model] = folder.glob("*/model")
            self.teacher = str(model)
        return self.teacher


def ending(folder: Path) -> dict[str, Any]:
    """All that must be the same of the one finished run of a folder."""
    [run] = [path for path in folder.iterdir() if path.is_dir()]
    return ending_of(run)


def ending_of(run: Path) -> dict[str, Any]:
    """All of a finished run that must be the same."""
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    kept = ("metric", "metrics", "best_at_target", "teacher_metric", "sparsity", "layers", "steps", "precision")
    return {
        "model": hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "predictions": hashlib.sha256((run / "predictions.jsonl").read_bytes()).hexdigest(),
        "history": [{key: value for key, value in line.items() if key not in TIMED} for line in lines],
        "checkpoints": list(run.glob("checkpoints/*")),
        **{key: result[key] for key in kept},
    }


def phase(folder: Path) -> str:
    """What a run was at when it was killed, by what it left."""
    runs = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    if not runs or not (runs[0] / "history.jsonl").exists():
        return "start-up"
    [run] = runs
    if (run / "result.json").exists():
        return "tidying" if (run / "checkpoints").exists() else "after the end"
    if any(path.is_dir() for path in run.glob(".prune-*")) or (run / "model").exists():
        return "final save"
    if any((run / "checkpoints" / ".staging").glob("*")):
        return "writing a checkpoint"
    return "steps and evaluations"


def main() -> int:
    """Print a table; the exit code is 1 where anything differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true", help="print the table for docs/reliability.md")
    options = parser.parse_args()
    table = Table(
        "scenario", "runs", "kills", *PHASES, "differences", box=box.MARKDOWN if options.markdown else box.SIMPLE
    )
    console = Console(width=200)
    total = Tally()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), options.seed)
        for number, name in enumerate(SCENARIOS):
            kills = options.kills // len(SCENARIOS) + (number < options.kills % len(SCENARIOS))
            tally = soak.scenario(name, kills)
            _add(table, name, tally)
            total.runs, total.kills = total.runs + tally.runs, total.kills + tally.kills
            total.phases += tally.phases
            total.differences += tally.differences
            console.print(f"{name}: {tally.kills} kills in {tally.runs} runs, {len(tally.differences)} differences")
    _add(table, "all", total)
    console.print(table)
    for difference in total.differences:
        console.print(difference)
    return int(bool(total.differences))


def _add(table: Table, name: str, tally: Tally) -> None:
    phases = [str(tally.phases[phase]) for phase in PHASES]
    table.add_row(name, str(tally.runs), str(tally.kills), *phases, str(len(tally.differences)))
