"""What pruning costs beside the training step: MiniLM shapes, random weights and records, paired in one run.

usage: python benchmarks/step.py [PRECISION] [TOKENS]   (fp32, bf16 or auto, the default; 64 tokens a record, 32 records a step)
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections import defaultdict

import torch
from transformers import BertConfig, BertForSequenceClassification

from prune_cli.pruning.criteria import Criterion, Magnitude, Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.pruning.scope import prunable_matrices
from prune_cli.training.hardware import resolved_precision

STEPS = 60
BATCH = 32


def measure(criterion: Criterion, precision: str, tokens: int) -> dict[str, list[float]]:
    """Milliseconds of each part of each step, by phase."""
    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    pruner = Pruner(
        prunable_matrices(model), criterion=criterion, schedule=Cubic(initial=5.0, final=20.0), pattern=Unstructured(),
        sparsity=0.9, total_steps=STEPS,
    )  # fmt: skip
    times: dict[str, list[float]] = defaultdict(list)
    for step in range(STEPS):
        ids = torch.randint(1000, 30_000, (BATCH, tokens))
        labels = torch.randint(0, 2, (BATCH,))
        marks = [time.perf_counter()]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        marks.append(time.perf_counter())
        pruner.before_optimizer_step(step, [5e-5] * len(pruner.matrices))
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        pruner.after_optimizer_step(step)
        marks.append(time.perf_counter())
        first, score, second, select = (1e3 * (b - a) for a, b in itertools.pairwise(marks))
        phase = "target" if step >= STEPS - 20 else "ramp"
        times["training step"].append(first + second)
        times[f"pruning, {phase}"].append(score + select)
    return times


def main() -> None:
    """Print one line a criterion and phase."""
    precision = resolved_precision(sys.argv[1] if len(sys.argv) > 1 else "auto", "cpu")
    tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    print(f"{torch.get_num_threads()} threads, {BATCH} x {tokens} tokens, {precision}, {STEPS} steps")
    for criterion in (Pins(), Magnitude()):
        times = measure(criterion, precision, tokens)
        training = statistics.median(times.pop("training step"))
        for phase, values in times.items():
            mean = statistics.mean(values)  # a selection comes every tenth step in the ramp: the mean is what it costs
            print(
                f"{criterion}: {phase}: {mean:.1f} ms a step, {mean / training:.1%} of a training step of {training:.0f} ms"
            )


if __name__ == "__main__":
    main()
