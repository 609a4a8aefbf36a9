"""What this tool costs beside a plain Hugging Face Trainer: same records, order, model, precision, batch and optimizer.

For each family of tasks, a run at sparsity 0 without a teacher against `transformers.Trainer` with the model's own loss and the
library's collators. Both take the same batches; steps are timed one by one, in turns of a few steps each, and the figure is the
median over the pairs of one step each.

usage: python benchmarks/throughput.py [TASK ...]   (mrpc, conll2003, squad; web_nlg needs the model smollm2_135m)

Records lie in the folder that PRUNE_DATA names, else in ../shared/data, one folder a task.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
from configured import DATA, configured
from rich.console import Console
from torch.utils.data import Sampler
from transformers import (
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from prune_cli.config.run_config import RunConfig
from prune_cli.heads.base import Head
from prune_cli.heads.spans import Spans
from prune_cli.heads.text import Text
from prune_cli.heads.tokens import Tokens
from prune_cli.run import assembly, prepare
from prune_cli.run import run as runs
from prune_cli.training.batches import Batches, order
from prune_cli.training.hardware import resolved_precision

FAMILIES = {"mrpc": "minilm", "conll2003": "minilm", "squad": "minilm", "web_nlg": "smollm2_135m"}
BATCH = {"squad": 16, "web_nlg": 8}
STEPS, ROUNDS, WARM = 20, 3, 4


class Timer(TrainerCallback):
    """Seconds of every step, data loading and callbacks among them."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.marks.append(time.perf_counter())


class Enough(Exception):
    """The steps are timed."""


def seconds(marks: list[float]) -> list[float]:
    """Of each step but the first ones."""
    return [b - a for a, b in itertools.pairwise(marks)][WARM:]


class Order(Sampler[int]):
    """The order of our records."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.indices = order(lengths, batch_size=batch_size, group_by_length=True, seed=seed, epoch=0)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


class PlainTrainer(Trainer):
    """The library's Trainer, but for the order of the records."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return Order(self.train_dataset["length"][:], self.args.train_batch_size, self.args.seed)  # pyright: ignore


def configuration(task: str, folder: str) -> RunConfig:
    return configured(
        f"task={task}", f"model={FAMILIES[task]}", "data=local", f"data.path={DATA / task}", "sparsity=0", "regularization=none",
        f"trainer.max_steps={STEPS}", "trainer.eval_steps=100000", f"trainer.batch_size={BATCH.get(task, 32)}",
        f"output_dir={folder}",
    )  # fmt: skip


def plain_collator(head: Head[Any], tokenizer: Any, model: Any) -> Any:
    """The library's own collator over our encoded records."""
    if isinstance(head, Tokens):
        own = DataCollatorForTokenClassification(tokenizer)
    elif isinstance(head, Text):
        own = DataCollatorForSeq2Seq(tokenizer, model=model, padding=True)
    else:
        own = DataCollatorWithPadding(tokenizer)

    def collate(features: list[dict[str, Any]]) -> Any:
        if isinstance(head, Text):  # one sequence, its source not learned
            tokenizer.padding_side = "right"
            return own([
                {"input_ids": f["source_ids"] + f["target_ids"], "labels": [-100] * len(f["source_ids"]) + f["target_ids"]}
                for f in features
            ])  # fmt: skip
        kept = [*tokenizer.model_input_names, "labels"]
        rows = [{name: feature[name] for name in kept if name in feature} for feature in features]
        if isinstance(head, Spans):
            for row in rows:
                row["start_positions"], row["end_positions"] = row.pop("labels")
        return own(rows)

    return collate


def plain(config: RunConfig, folder: str) -> list[float]:
    """Seconds a step of the library's Trainer."""
    task, records = config.data.load(config.task)
    tokenizer = prepare.tokenizer_for(config, task, records["train"])
    set_seed(config.seed)
    model = assembly.model_for(config, task, tokenizer)
    timer = Timer()
    trainer = PlainTrainer(
        model,
        TrainingArguments(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=config.trainer.batch_size,
            learning_rate=config.trainer.learning_rate,
            warmup_steps=config.trainer.warmup,
            bf16=resolved_precision("auto", "cpu") == "bf16",
            use_cpu=True,
            seed=config.seed,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
        ),
        train_dataset=task.encode(records["train"], tokenizer, training=True),  # pyright: ignore
        data_collator=plain_collator(task.head, tokenizer, model),
        callbacks=[timer],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return seconds(timer.marks)


def ours(config: RunConfig) -> list[float]:
    """Seconds a step of `prune run`, as it is."""
    marks: list[float] = []

    class Timed:
        """The batches, with the moment at which each step begins."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self.batches = Batches(*args, **options)

        def after(self, step: int) -> Iterator[Any]:
            for made in self.batches.after(step):
                marks.append(time.perf_counter())
                if len(marks) == STEPS:
                    raise Enough  # what comes after the last step is not wanted
                yield made

    assembly.Batches = Timed  # pyright: ignore
    try:
        runs.run(config, Console(quiet=True))
    except Enough:
        return seconds(marks)
    finally:
        assembly.Batches = Batches  # pyright: ignore
    raise AssertionError("a run takes all of its steps")


def main() -> None:
    """Print one line a family."""
    if not DATA.is_dir():
        sys.exit(f"there is no folder {DATA} with records: name one in PRUNE_DATA")
    tasks = sys.argv[1:] or [task for task, model in FAMILIES.items() if model == "minilm"]
    os.environ.setdefault("WANDB_MODE", "disabled")
    precision = resolved_precision("auto", "cpu")
    print(f"{torch.get_num_threads()} threads, {precision}, {ROUNDS} rounds of {STEPS - WARM - 1} steps")
    for task in tasks:
        pairs: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                config = configuration(task, folder)
                theirs = plain(config, folder)
                pairs += zip(theirs, ours(config), strict=False)
        ratios = sorted(our / their for their, our in pairs)
        theirs, ours_ = (statistics.median(side) for side in zip(*pairs, strict=True))
        quarter = len(ratios) // 4
        print(
            f"{task:<10} {FAMILIES[task]}, batch {BATCH.get(task, 32)}: Trainer {theirs:.3f} s a step, prune {ours_:.3f} s;"
            f" ratio {statistics.median(ratios):.3f} (middle half {ratios[quarter]:.3f} to {ratios[-quarter - 1]:.3f})"
        )


if __name__ == "__main__":
    main()
