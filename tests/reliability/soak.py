"""Kills runs at random moments and compares what comes of them with runs that nobody disturbed.

Then does as much to the other commands that write files: see commands.py.

usage: python -m tests.reliability [--kills N] [--seed N] [--markdown]   (50 kills by default; `make soak`)

A killed run is started again, and perhaps killed again, until it ends. Then the SHA-256 of the model and of the predictions,
the metrics and the history must be those of the undisturbed run. Half of the kills come at a random time, half at a random
change in the run's folder: those few milliseconds in which a checkpoint or the result is written are seldom hit by time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.reliability.commands import COMMANDS, LEFT, SIGNALS, Interrupted
from tests.reliability.processes import Launcher, Tally
from tests.whole_runs import do

TIMED = ("seconds", "evaluation_seconds")
PHASES = ("start-up", "steps and evaluations", "writing a checkpoint", "final save", "tidying", "after the end")

FP32, BF16 = "trainer.precision=fp32", "trainer.precision=bf16"
DIVIDING, NOT_DIVIDING = "trainer.save_steps=20", "trainer.save_steps=15"  # the 60 steps of a run
HELD = "schedule.regrow=false"
TEACHER, NOBODY = "regularization.first_teacher=TEACHER", "regularization=none"
TAGS = ("task=conll2003", "trainer.eval_steps=30")
UNITS = (
    "pattern=heads",
    "pattern.units=[heads,neurons]",
    "pattern.inside=0.3",
    "sparsity=0.6",
    "model.random.hidden_size=64",
    "model.random.num_attention_heads=4",
    "model.random.intermediate_size=160",
)
TEXTS = ("task=web_nlg", "model=tiny_gpt2", "task.max_new_tokens=4", "task.beams=1", "trainer.eval_steps=30")

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
    "oBERT": (FP32, NOT_DIVIDING, NOBODY, "criterion=obert"),
    "movement, linear": (FP32, DIVIDING, "criterion=movement", "schedule=linear"),
    "soft movement, bf16": (BF16, NOT_DIVIDING, "criterion=soft_movement"),
    "units, weights inside them": (FP32, NOT_DIVIDING, *UNITS),
    "2:4, bf16": (BF16, NOT_DIVIDING, "pattern=nm", "sparsity=0.5"),
    "moving average as teacher": (FP32, NOT_DIVIDING, "regularization=ema"),
    "hidden states, bf16": (BF16, NOT_DIVIDING, "regularization=teacher", TEACHER, "regularization.hidden=1"),
    "more records": (FP32, NOT_DIVIDING, "regularization=teacher", TEACHER, "data.extra=RECORDS"),
    "stepped": (FP32, DIVIDING, "schedule=stepped", "schedule.delta_t=5"),
    "the best weights": (FP32, NOT_DIVIDING, "task=stsb", "trainer.keep=best", "trainer.eval_steps=5"),
    "dense, patience": (FP32, NOT_DIVIDING, "sparsity=0", "trainer.patience=2", "trainer.eval_steps=5"),
    "texts": (FP32, NOT_DIVIDING, *TEXTS),
}


class Soak:
    """Runs and kills."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.launch = Launcher(folder, "tests.reliability.soak").launch
        self.teacher = ""

    def scenario(self, name: str, kills: int) -> Tally:
        """Kill runs of one scenario until so many kills have come, and compare what came of each."""
        made = {"TEACHER": self._teacher, "RECORDS": self._records}
        overrides = list(SCENARIOS[name])
        for word, make in made.items():
            overrides = [option.replace(word, make()) if word in option else option for option in overrides]
        place = self.folder / re.sub(r"\W+", "-", name)
        whole = place / "undisturbed"
        code, seconds, changes, told = self.launch(partial(do, whole, *overrides))
        assert code == 0, f"{name}: the undisturbed run ended with {code}: {told}"
        expected, tally = ending(whole), Tally()
        while tally.counts["kills"] < kills:
            folder = place / str(tally.counts["runs"])
            run = partial(do, folder, *overrides)
            again = 1.0  # the chance that a run is killed once more, each time it is started
            while self.random.random() < again and tally.counts["kills"] < kills:
                again /= 2
                if self.random.random() < 0.5:
                    code, *_ = self.launch(run, seconds=self.random.uniform(0, seconds))
                else:
                    code, *_ = self.launch(run, change=self.random.randint(1, changes))
                if code != 0:
                    assert code == -signal.SIGKILL, f"{name}: ended with {code}"
                    tally.counts["kills"] += 1
                    tally.counts[phase(folder)] += 1
            code, *_ = self.launch(run)
            tally.counts["runs"] += 1
            if code != 0:
                tally.differences.append(f"{name}, run {tally.counts['runs']}: the resumed run ended with {code}")
                continue
            found = ending(folder)
            wrong = [key for key in expected if found[key] != expected[key]]
            tally.differences += [f"{name}, run {tally.counts['runs']}: {key}" for key in wrong]
        return tally

    def _teacher(self) -> str:
        if not self.teacher:
            folder = self.folder / "teacher"
            code, *_ = self.launch(partial(do, folder, "sparsity=0", NOBODY, "trainer.max_steps=30"))
            assert code == 0
            [model] = folder.glob("*/model")
            self.teacher = str(model)
        return self.teacher

    def _records(self) -> str:
        path = self.folder / "records.jsonl"
        pairs = [{"sentence1": f"Ann reads {n} books.", "sentence2": f"{n} books are read."} for n in range(40)]
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
        return str(path)


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
    """Print a table of runs and one of other commands; the exit code is 1 where anything differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true", help="print the tables for docs/reliability.md")
    options = parser.parse_args()
    form = box.MARKDOWN if options.markdown else box.SIMPLE
    console = Console(width=200)
    with tempfile.TemporaryDirectory() as folder:
        runs, commands = Path(folder) / "runs", Path(folder) / "commands"
        runs.mkdir()
        soak = Soak(runs, options.seed)
        of_runs = _each(soak.scenario, SCENARIOS, options.kills, console)
        console.print(_table("scenario", ("runs", "kills", *PHASES), of_runs, form))
        commands.mkdir()
        interrupted = Interrupted(commands, options.seed)
        of_commands = _each(interrupted.command, COMMANDS, options.kills, console)
        console.print(_table("command", ("calls", *SIGNALS, *LEFT), of_commands, form))
    differences = [each for tally in [*of_runs.values(), *of_commands.values()] for each in tally.differences]
    for difference in differences:
        console.print(difference, markup=False)
    return int(bool(differences))


def _each(work: Callable[[str, int], Tally], names: Collection[str], count: int, console: Console) -> dict[str, Tally]:
    """Share so many interruptions among names, one at least to each, and say how far it is."""
    tallies = {}
    for number, name in enumerate(names):
        tallies[name] = work(name, max(1, count // len(names) + (number < count % len(names))))
        console.print(f"{name}: {len(tallies[name].differences)} differences")
    return tallies


def _table(what: str, columns: Sequence[str], tallies: Mapping[str, Tally], form: box.Box) -> Table:
    table = Table(what, *columns, "differences", box=form)
    total: Counter[str] = Counter()
    for name, tally in tallies.items():
        table.add_row(name, *(str(tally.counts[column]) for column in columns), str(len(tally.differences)))
        total += tally.counts
    differences = sum(len(tally.differences) for tally in tallies.values())
    table.add_row("all", *(str(total[column]) for column in columns), str(differences))
    return table
