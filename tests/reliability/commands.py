"""Commands that write files, interrupted at random moments: what they leave is whole or not there, and the next call works.

Part of `make soak`. Half of the signals are SIGKILL, half Ctrl-C; half come at a random time, half at a random change of a file.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from prune_cli.cli import main as command_line
from tests.reliability.processes import Launcher, Tally
from tests.whole_runs import do

COMMANDS: dict[str, tuple[str, ...]] = {
    "export, compact": ("export", "RUN", "--output", "OUT/model"),
    "export, sparse": ("export", "RUN", "--format", "sparse", "--output", "OUT/model"),
    "export, onnx": ("export", "RUN", "--format", "onnx", "--output", "OUT/model"),
    "push": ("push", "RUN", "somebody/model", "--dry-run", "--output", "OUT/hub"),
    "report": ("report", "RUN", "--output", "OUT/report.html"),
    "plot": ("plot", "RUN", "--output", "OUT/plot.png"),
    "bench": ("bench", "RUN", "--quick", "--runtime", "eager", "--output", "OUT/bench"),
    "eval": ("eval", "RUN", "--predictions", "OUT/predictions.jsonl"),
    "predict": ("predict", "RUN", "--file", "RECORDS", "--output", "OUT/predictions.jsonl"),
}
CHANGING = ("bench", "report")
"""Commands whose files say other times in each call: only their names are compared; bench writes each as soon as it can."""
STOPPED = 130


SIGNALS, LEFT = ("SIGKILL", "SIGINT"), ("left nothing", "left all", "left a part")


def call(words: tuple[str, ...]) -> None:
    """One command.

    Args:
        words: Of the command line.
    """
    sys.argv = ["prune", *words]
    command_line()


class Interrupted:
    """Calls commands and interrupts them."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Make a run for them.

        Args:
            folder: An empty folder.
            seed: Of the moments.
        """
        self.folder = folder
        self.random = random.Random(seed)
        self.launch = Launcher(folder, "tests.reliability.commands").launch
        code, *_ = self.launch(partial(do, folder / "runs", "trainer.max_steps=20"))
        assert code == 0
        (run,) = (path for path in (folder / "runs").iterdir() if path.is_dir())
        (folder / "records.jsonl").write_text('{"sentence1": "Ann reads.", "sentence2": "Ann is reading."}\n' * 40)
        self.places = {"RUN": str(run), "RECORDS": str(folder / "records.jsonl")}

    def command(self, name: str, interruptions: int) -> Tally:
        """Interrupt a command so many times, and call it again after each.

        Args:
            name: One of COMMANDS.
            interruptions: How many signals shall meet the command at work.
        """
        out, tally = self.folder / "out", Tally()
        given = {**self.places, "OUT": str(out)}
        words = tuple(self._filled_in(word, given) for word in COMMANDS[name])
        work = partial(call, words)

        def again() -> tuple[float, int, dict[str, str]]:
            code, seconds, changes, told = self.launch(work)
            assert code == 0, f"{name}: ended with {code}: {told}"
            return seconds, changes, left_in(out, contents=name not in CHANGING)

        out.mkdir()
        seconds, changes, expected = again()
        assert expected
        while sum(tally.counts[name] for name in SIGNALS) < interruptions:
            shutil.rmtree(out)
            out.mkdir()
            number = self.random.choice([signal.SIGKILL, signal.SIGINT])
            if self.random.random() < 0.5:
                ended = self.launch(work, number=number, seconds=self.random.uniform(0.02, seconds))
            else:
                ended = self.launch(work, number=number, change=self.random.randint(1, changes))
            tally.counts["calls"] += 1
            found = left_in(out, contents=name not in CHANGING)
            if ended.code:
                tally.counts[number.name] += 1
                tally.counts[LEFT[1 if found == expected else 2 if found else 0]] += 1
            if ended.code not in (0, -signal.SIGKILL if number == signal.SIGKILL else STOPPED):
                tally.differences.append(f"{name}, {number.name}: exit {ended.code}: {ended.told[-2000:]}")
            if found not in ({}, expected) and not (name in CHANGING and found.items() <= expected.items()):
                tally.differences.append(f"{name}, {number.name}: left {sorted(found)}")
            if number == signal.SIGINT and any(out.rglob(".prune-*")):
                tally.differences.append(f"{name}, {number.name}: left temporary files")
            *_, found = again()
            if found != expected or any(out.rglob(".prune-*")):
                tally.differences.append(f"{name}, the call after {number.name}: left {sorted(out.rglob('*'))}")
        shutil.rmtree(out)
        return tally

    def _filled_in(self, word: str, given: dict[str, str]) -> str:
        for name, place in given.items():
            word = word.replace(name, place)
        return word


def left_in(folder: Path, *, contents: bool) -> dict[str, str]:
    """What is in a folder but temporary files.

    Args:
        folder: The folder.
        contents: Whether a file counts by what is in it, or only by its name.
    """
    parts = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    kept = {str(place): path for place, path in parts.items() if not any(p.startswith(".prune-") for p in place.parts)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() if contents else "" for name, path in kept.items()}
