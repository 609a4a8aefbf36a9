"""A multirun killed at random moments and launched again, beside one that nobody disturbed.

python -m tests.reliability.sweeps --runs 24 --kills 5
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.soak import ending_of

ROOT = Path(__file__).resolve().parents[2]
GRID = (
    "task=mrpc model=tiny_bert data=synthetic data.train=160 data.validation=48 tracking=none trainer.precision=fp32"
    " trainer.max_steps=60 trainer.batch_size=8 trainer.eval_steps=20 trainer.save_steps=10 criterion=pins,magnitude"
).split()
_MAIN = "import sys; from prune_cli.cli import main; sys.argv[0] = 'prune'; main()"


@dataclass
class Tally:
    """What became of a grid.

    Attributes:
        kills: How often it was really killed.
        launches: How often it was launched, the last one ending by itself.
        seconds: Of all launches.
        undisturbed_seconds: Of the grid that was never killed.
        ends: Status of each job in the last launch.
        times_done: How often each run was finished, over all launches.
        differences: Runs that ended otherwise than in the undisturbed grid.
    """

    kills: int = 0
    launches: int = 0
    seconds: float = 0.0
    undisturbed_seconds: float = 0.0
    ends: list[str] = field(default_factory=list)
    times_done: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def soak(folder: Path, *, runs: int, kills: int, seed: int, options: tuple[str, ...] = ()) -> Tally:
    """Kill a grid, launch it again, and compare.

    Args:
        folder: An empty folder.
        runs: Number of jobs, a multiple of 2.
        kills: How often to kill.
        seed: Of the moments.
        options: More overrides.
    """
    moments = random.Random(seed)
    tally = Tally()
    grid = [*GRID, f"seed={','.join(map(str, range(1, runs // 2 + 1)))}", *options]
    tally.undisturbed_seconds = _launched(folder / "undisturbed", grid, None)
    start_up = _launched(folder / "undisturbed", grid, None)  # there is nothing left to do
    each = (tally.undisturbed_seconds - start_up) / (kills + 1)
    while tally.kills < kills:
        killed_at = start_up + moments.uniform(0.0, 2.0) * each
        tally.launches += 1
        began = time.monotonic()
        if _launched(folder / "killed", grid, killed_at) >= killed_at:
            tally.kills += 1
        else:
            break
        tally.seconds += time.monotonic() - began
    tally.launches += 1
    tally.seconds += _launched(folder / "killed", grid, None)

    sweeps = sorted((folder / "killed" / ".multirun").iterdir())
    for sweep in sweeps:
        for path in sweep.glob("[0-9]*.json"):
            job = json.loads(path.read_text())
            if job["status"] == "done":
                name = Path(job["folder"]).name
                tally.times_done[name] = tally.times_done.get(name, 0) + 1
    last: dict[str, Any] = json.loads((sweeps[-1] / "sweep.json").read_text())
    tally.ends = [job["status"] for job in last["jobs"]]
    for theirs in sorted(path.parent for path in (folder / "undisturbed").glob("*/result.json")):
        if ending_of(folder / "killed" / theirs.name) != ending_of(theirs):
            tally.differences.append(theirs.name)
    return tally


def _launched(folder: Path, grid: list[str], killed_at: float | None) -> float:
    """Launch the grid; how many seconds it ran, killed or not."""
    began = time.monotonic()
    command = [sys.executable, "-c", _MAIN, "run", "-m", *grid, f"output_dir={folder}"]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=told, start_new_session=True)
        try:
            process.wait(killed_at)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return time.monotonic() - began
        if process.returncode != 0:
            told.seek(0)
            raise RuntimeError(told.read().decode()[-3000:])
    ran = time.monotonic() - began
    return ran if killed_at is None else min(ran, killed_at / 2)  # it ended before it could be killed


def main() -> int:
    """Run it and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="more overrides, such as hydra/launcher=joblib")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = tuple(said.options)
        tally = soak(Path(folder), runs=said.runs, kills=said.kills, seed=said.seed, options=options)
    twice = [name for name, times in tally.times_done.items() if times > 1]
    sys.stdout.write(
        f"{said.runs} runs, {tally.kills} kills, {tally.launches} launches, {tally.seconds:.0f} s"
        f" ({tally.undisturbed_seconds:.0f} s undisturbed)\n"
        f"last launch: { ({status: tally.ends.count(status) for status in sorted(set(tally.ends))}) }\n"
        f"finished twice: {twice}; other than undisturbed: {tally.differences}\n"
    )
    return bool(twice or tally.differences or set(tally.ends) - {"done", "skipped"})


if __name__ == "__main__":
    sys.exit(main())
