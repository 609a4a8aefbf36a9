"""Runs the benchmarks on the machine at hand, and writes the page docs/benchmarks.md, or benchmarks_gpu.md where there is a GPU.

usage: python benchmarks/page.py   (ten minutes on two fast cores, forty on slow ones, with nothing beside)
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import torch

from prune_cli.artifacts.environment import machine

HERE = Path(__file__).parent
INTRODUCTION = """\
# What the engine costs

For people who ask what pruning costs: time and memory of the engine, of a job's start, of commands and files.

`make bench` wrote this page on {machine}, PyTorch {torch}, {date}. Ratios are within one run; times
vary by a tenth and more from run to run. What other machines took: [log.md](log.md).
"""
SECTIONS = {
    "Pruning beside the training step": (
        "step.py auto 64 pins sensitivity platon magnitude",
        """\
A training step is forward, backward, clipping and the fused AdamW that runs use. While sparsity grows (the ramp) a selection
comes every tenth step, at the target every step: criteria that change at every step select anew there, those that change once a
window use their mask again.""",
    ),
    "Every criterion and every pattern": ("step.py auto 16", "Beside a step of fewer tokens, so that the shares are larger."),
    "Whole runs beside plain fine-tuning": (
        "whole_runs.py 40 2",
        """\
With their evaluations and checkpoints, beside a loop of the library's own parts with as many and the same batches, which
evaluates as often; loading is left out. So few steps are less than an epoch: no answer of a teacher is asked for twice.""",
    ),
    "Selection": (
        "selection.py",
        "The same cutoff from all, to the bit. The others copy all scores; this one a sample, and the few close to the cutoff.",
    ),
    "The loss over a vocabulary": (
        "text_loss.py",
        "Memory above that of the layers and their gradients, forward and backward, the best of three.",
    ),
    "Start-up of a job": (
        "start_up.py",
        """\
What a job of a multirun takes beside its training and evaluations: reading and checking records, encoding, loading, saving,
pictures.""",
    ),
    "Commands that train nothing": ("commands.py", "Medians of ten, in turns, with the lowest and the highest."),
    "Sparse files": ("sparse_files.py", "Random weights and zeros. The files: [sparse_format.md](sparse_format.md)."),
    "Whole units": ("units.py", "A share of heads and neurons removed and cut out, beside the dense model."),
}


def main() -> None:
    """Run them, a section each, and write the page once all have ended well."""
    here = machine()
    names = ", ".join(str(here[key]) for key in ("gpu", "processor") if here[key]) + f", {here['threads']} threads"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    sections = [INTRODUCTION.format(machine=names, torch=torch.__version__, date=today)]
    for title, (command, text) in SECTIONS.items():
        print(f"benchmarks/{command}", flush=True)
        script, *arguments = command.split()
        ended = subprocess.run([sys.executable, HERE / script, *arguments], capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            sys.exit(ended.stderr)
        shown = ended.stdout if ended.stdout.startswith("|") else f"```text\n{ended.stdout}```\n"
        sections.append(f"## {title}\n\n`python benchmarks/{command}`. {text}\n\n{shown}")
    page = HERE.parent / "docs" / ("benchmarks_gpu.md" if here["gpu"] else "benchmarks.md")
    page.write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
