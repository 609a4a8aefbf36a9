"""What pruning costs from end to end: whole short runs of MRPC with MiniLM beside a plain fine-tuning loop, in turns.

The plain loop is the library's own parts: its collator, its model and loss, AdamW, clipping, and an evaluation as often as ours.
It reads the same batches. On a CPU the seconds are those of all cores, which do not count what else the machine does.

usage: python benchmarks/whole_runs.py [STEPS [ROUNDS]]   (60 steps, 2 rounds)

Records lie in the folder that PRUNE_DATA names, else in ../shared/data; where there is none, records are made up.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from configured import DATA, configured
from rich.console import Console
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, get_linear_schedule_with_warmup, set_seed

from prune_cli.config.run_config import RunConfig
from prune_cli.run import assembly, prepare
from prune_cli.run import run as runs
from prune_cli.training.batches import order
from prune_cli.training.hardware import device_of, resolved_precision
from prune_cli.training.loop import learn

WAYS = {
    "plain fine-tuning loop": None,
    "dense": ["sparsity=0", "regularization=none"],
    "PINS, 90%": ["sparsity=0.9", "regularization=none"],
    "PINS, 90%, self-regularization": ["sparsity=0.9", "regularization=self"],
}
INPUTS = ("input_ids", "token_type_ids", "attention_mask", "labels")


def configuration(steps: int, folder: str, *overrides: str) -> RunConfig:
    """A run's."""
    records = ["data=local", f"data.path={DATA / 'mrpc'}"] if (DATA / "mrpc").is_dir() else ["data=synthetic"]
    budget = [f"trainer.max_steps={steps}", f"trainer.eval_steps={steps // 3}"]
    return configured("task=mrpc", "model=minilm", *records, *budget, f"output_dir={folder}", *overrides)


def seconds(device: torch.device) -> float:
    """A clock: of the cores, or of the wall once a GPU is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()


def plain(config: RunConfig, steps: int, device: torch.device) -> float:
    """Seconds of the loop that people write."""
    task, records = config.data.load(config.task)
    tokenizer = prepare.tokenizer_for(config, task, records["train"])
    set_seed(config.seed)
    bf16 = resolved_precision("auto", "auto") == "bf16"
    model: Any = assembly.model_for(config, task, tokenizer).to(device)  # pyright: ignore
    rows = {}
    for split in ("train", "validation"):
        made = task.encode(records[split], tokenizer, training=True)
        rows[split] = made.select_columns([name for name in INPUTS if name in made.column_names]).to_list()
    padded, options = DataCollatorWithPadding(tokenizer), config.trainer
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0, fused=True)
    rate = get_linear_schedule_with_warmup(optimizer, round(options.warmup * steps), steps)
    validation: Any = DataLoader(rows["validation"], options.eval_batch_size, collate_fn=padded)
    lengths = [len(row["input_ids"]) for row in rows["train"]]
    size = options.batch_size
    same = order(lengths, batch_size=size, group_by_length=True, seed=config.seed, epoch=0)  # as many tokens as we read
    batches = [same[start : start + size] for start in range(0, len(same), size)]
    training: Any = DataLoader(rows["train"], batch_sampler=batches, collate_fn=padded)
    began, step = seconds(device), 0
    while step < steps:
        for batch in training:
            model.train()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = model(**batch.to(device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
            step += 1
            if step % (steps // 3) == 0 or step == steps:
                model.eval()
                with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16 and step < steps):
                    right = [model(**each.to(device)).logits.argmax(-1) == each["labels"] for each in validation]
                torch.cat(right).float().mean().item()
            if step == steps:
                break
    return seconds(device) - began


def ours(config: RunConfig, device: torch.device) -> tuple[float, float | None]:
    """Seconds of the loop of a run, and which share of the teacher's answers was kept from before."""
    taken: list[float] = []

    def timed(*args: Any) -> None:
        began = seconds(device)
        learn(*args)
        taken.append(seconds(device) - began)

    runs.learn = timed
    try:
        cached = runs.run(config, Console(quiet=True)).result.teacher_cached
    finally:
        runs.learn = learn
    return sum(taken), cached


def main() -> None:
    """Print a table, one line a way."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    os.environ.setdefault("WANDB_MODE", "disabled")
    device = device_of("auto")
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    cached: float | None = None
    for turn in range(rounds):
        for way, options in [*WAYS.items()][:: 1 if turn % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                config = configuration(steps, folder, *(options or ["sparsity=0", "regularization=none"]))
                if options is None:
                    taken[way].append(plain(config, steps, device))
                else:
                    spent, share = ours(config, device)
                    taken[way].append(spent)
                    cached = share if share is not None else cached
    what = f"MRPC, MiniLM, {steps} steps, {resolved_precision('auto', 'auto')}, medians of {rounds}"
    print(f"| {what} | {'CPU seconds' if device.type == 'cpu' else 'seconds'} | beside the plain loop |")
    print("|---|---|---|")
    whole = statistics.median(taken["plain fine-tuning loop"])
    for way, spent in taken.items():
        kept = f" ({cached:.0%} of the teacher's answers kept from before)" if "self" in way and cached else ""
        print(f"| {way}{kept} | {statistics.median(spent):.1f} | {statistics.median(spent) / whole:.2f} |")


if __name__ == "__main__":
    main()
