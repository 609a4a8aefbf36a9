"""How long commands take that train nothing: medians of ten, in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 10
COMMANDS = {
    "--help": 0,
    "list": 0,
    "run sparsity=2 task=mrpc data=synthetic model=tiny_bert": 2,
    "run task=mrcp sparsity=90 trainer.learning_rte=1e-4 data=synthetic model=tiny_bert": 2,
    "show nowhere": 2,
}
"""Commands, and the exit code of each."""


def seconds(words: list[str], code: int) -> float:
    """Time one command."""
    began = time.perf_counter()
    ended = subprocess.run([str(Path(sys.executable).parent / "prune"), *words], capture_output=True, check=False)
    assert ended.returncode == code, (words, ended.stderr)
    return time.perf_counter() - began


def main() -> None:
    """Print the medians."""
    taken: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for _ in range(ROUNDS):
        for command, code in COMMANDS.items():
            taken[command].append(seconds(command.split(), code))
    for command, times in taken.items():
        print(f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})  prune {command}")


if __name__ == "__main__":
    main()
