"""What pruning costs beside the training step: MiniLM shapes, random weights and records, paired in one run.

usage: python benchmarks/step.py [PRECISION] [TOKENS] [CRITERION ...]
(fp32, bf16 or auto, the default; 64 tokens a record, 32 records a step; all criteria of conf/, and PINS under all patterns)
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections import defaultdict
from typing import Any

import torch
import yaml
from transformers import BertConfig, BertForSequenceClassification

from prune_cli.config.build import build
from prune_cli.config.option_files import names
from prune_cli.models.prunable import prunable
from prune_cli.paths import CONF
from prune_cli.pruning.criteria import Criterion
from prune_cli.pruning.patterns import Pattern
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.training.hardware import resolved_precision

STEPS = 60
BATCH = 32


def option(group: str, name: str) -> Any:
    """A criterion or a pattern as its YAML has it."""
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return build({key: 1 if value == "${seed}" else value for key, value in values.items()}, group)


def measure(criterion: Criterion, pattern: Pattern, precision: str, tokens: int) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of each part of each step, by phase, and the bytes that are kept for a prunable weight."""
    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    matrices, layout = prunable(model, pattern)
    pruner = Pruner(
        matrices, criterion=criterion, schedule=Cubic(initial=5.0, final=20.0), pattern=pattern,
        sparsity=0.5 if pattern != option("pattern", "unstructured") else 0.9, total_steps=STEPS, layout=layout,
    )  # fmt: skip
    kept = sum(tensor.numel() * tensor.element_size() for tensor in pruner.state_dict().values()) / pruner.prunable
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
        pruner.score(step, [5e-5] * len(pruner.matrices))
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        pruner.select(step)
        marks.append(time.perf_counter())
        first, score, second, select = (1e3 * (b - a) for a, b in itertools.pairwise(marks))
        phase = "target" if step >= STEPS - 20 else "ramp"
        times["training step"].append(first + second)
        times[f"pruning, {phase}"].append(score + select)
    return times, kept


def main() -> None:
    """Print one line a criterion and phase."""
    precision = resolved_precision(sys.argv[1] if len(sys.argv) > 1 else "auto", "cpu")
    tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    print(f"{torch.get_num_threads()} threads, {BATCH} x {tokens} tokens, {precision}, {STEPS} steps")
    chosen = sys.argv[3:] or names("criterion", [CONF])
    runs = [(name, "unstructured") for name in chosen]
    runs += [("pins", name) for name in names("pattern", [CONF]) if name != "unstructured" and not sys.argv[3:]]
    for criterion, pattern in runs:
        times, kept = measure(option("criterion", criterion), option("pattern", pattern), precision, tokens)
        training = statistics.median(times.pop("training step"))
        for phase, values in times.items():
            mean = statistics.mean(values)  # a selection comes every tenth step in the ramp: the mean is what it costs
            print(
                f"{criterion}, {pattern}, {kept:.0f} bytes a weight: {phase}: {mean:.1f} ms a step,"
                f" {mean / training:.1%} of a training step of {training:.0f} ms"
            )


if __name__ == "__main__":
    main()
