"""What pruning costs beside the training step: MiniLM shapes, random weights and records, paired in one run, on a CPU or a GPU.

usage: python benchmarks/step.py [PRECISION] [TOKENS] [CRITERION ...]
(fp32, bf16 or auto, the default; 64 tokens a record, 32 records a step; all criteria of conf/, and PINS under all patterns)
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from typing import Any, cast

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
from prune_cli.training.hardware import device_of, resolved_precision
from prune_cli.training.optimizer import adamw

STEPS, BEGIN, TARGET = 40, 5, 10
BATCH = 32


def option(group: str, name: str) -> Any:
    """A criterion or a pattern as its YAML has it."""
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return build({key: 1 if value == "${seed}" else value for key, value in values.items()}, group)


class Clock:
    """Milliseconds between its calls, all that a GPU was handed done."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.last = device, time.perf_counter()

    def __call__(self) -> float:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        now = time.perf_counter()
        passed, self.last = 1e3 * (now - self.last), now
        return passed


def measure(
    criterion: Criterion, pattern: Pattern, precision: str, tokens: int, device: torch.device
) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of each part of each step, and the bytes that are kept for a prunable weight."""
    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertForSequenceClassification(config)
    cast("torch.nn.Module", model).to(device)
    optimizer = adamw(model, weight_decay=0.0)
    for group in optimizer.param_groups:
        group["lr"] = 5e-5
    matrices, layout = prunable(model, pattern)
    schedule = Cubic(initial=float(BEGIN), final=float(TARGET))
    pruner = Pruner(
        matrices, criterion=criterion, schedule=schedule, pattern=pattern,
        sparsity=0.5 if pattern != option("pattern", "unstructured") else 0.9, total_steps=STEPS, layout=layout,
    )  # fmt: skip
    kept = sum(tensor.numel() * tensor.element_size() for tensor in pruner.state_dict().values()) / pruner.prunable
    times: dict[str, list[float]] = defaultdict(list)
    clock = Clock(device)
    for step in range(STEPS):
        ids = torch.randint(1000, 30_000, (BATCH, tokens), device=device)
        labels = torch.randint(0, 2, (BATCH,), device=device)
        clock()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        first = clock()
        pruner.score(step, 5e-5)
        score = clock()
        optimizer.step()
        optimizer.zero_grad()
        second = clock()
        pruner.select(step)
        select = clock()
        if step < BEGIN:
            continue  # nothing is as it is later: caches are empty, and scores are looked at
        times["training"].append(first + second)
        times["score"].append(score)
        at_target = step >= STEPS - TARGET
        times["target" if at_target else "ramp"].append(score + select)
        if not at_target and schedule.selects(step, STEPS):
            times["selection"].append(select)
    return times, kept


def main() -> None:
    """Print a table, one line a criterion and pattern."""
    device = device_of("auto")
    precision = resolved_precision(sys.argv[1] if len(sys.argv) > 1 else "auto", "auto")
    tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    chosen = sys.argv[3:] or names("criterion", [CONF])
    runs = [(name, "unstructured") for name in chosen]
    runs += [("pins", name) for name in names("pattern", [CONF]) if name != "unstructured" and not sys.argv[3:]]
    what = f"{BATCH} x {tokens} tokens, {precision}"
    print(f"| {what} | bytes a weight | a training step | scoring | a selection | the ramp | the target |")
    print("|---|---|---|---|---|---|---|")
    for criterion, pattern in runs:
        times, kept = measure(option("criterion", criterion), option("pattern", pattern), precision, tokens, device)
        training, score, selection = (statistics.median(times[part]) for part in ("training", "score", "selection"))
        # a selection comes every tenth step in the ramp: the mean is what it costs
        ramp, target = (statistics.mean(times[part]) for part in ("ramp", "target"))
        print(
            f"| {criterion}, {pattern} | {kept:.0f} | {training:.0f} ms | {score:.1f} ms | {selection:.1f} ms"
            f" | {ramp:.1f} ms, {ramp / training:.1%} | {target:.1f} ms, {target / training:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
