"""What whole units are worth: MiniLM shapes, a share of heads and neurons removed and cut out, against the dense model, in turns.

usage: python benchmarks/units.py [SHARE]   (0.6)
"""

from __future__ import annotations

import copy
import statistics
import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

from prune_cli.compaction.compact import compact
from prune_cli.models.prunable import prunable
from prune_cli.pruning.criteria import Magnitude
from prune_cli.pruning.patterns import Units
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import OneShot

TURNS = 15


def main() -> None:
    """Print sizes, the largest difference of outputs, and medians of a forward pass."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 0.6
    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    dense = BertForSequenceClassification(config).eval()
    masked = copy.deepcopy(dense)
    pattern = Units(units=("heads", "neurons"))
    matrices, layout = prunable(masked, pattern)
    pruner = Pruner(
        matrices, criterion=Magnitude(), schedule=OneShot(initial=0.0), pattern=pattern, sparsity=share, total_steps=1,
        layout=layout,
    )  # fmt: skip
    pruner.select(0)
    small = copy.deepcopy(masked)
    left = compact(small)
    print(
        f"{pruner.removed:,} of {pruner.prunable:,} weights removed; {left.left:,} multiply-adds a token left of {left.dense:,}"
    )
    for batch in (1, 8):
        ids = torch.randint(1000, 30_000, (batch, 128))
        times: dict[str, list[float]] = {"dense": [], "small": []}
        with torch.no_grad():
            difference = (small(input_ids=ids).logits - masked(input_ids=ids).logits).abs().max()
            for _ in range(TURNS):
                for name, model in (("dense", dense), ("small", small)):
                    began = time.perf_counter()
                    model(input_ids=ids)
                    times[name].append(1e3 * (time.perf_counter() - began))
        whole, rest = (statistics.median(times[name]) for name in ("dense", "small"))
        ratios = sorted(a / b for a, b in zip(times["dense"], times["small"], strict=True))
        middle = f"{ratios[TURNS // 4]:.2f} to {ratios[3 * TURNS // 4]:.2f}"
        print(
            f"batch {batch}: {whole:.0f} ms dense, {rest:.0f} ms without them: {whole / rest:.2f} times as fast (middle half of"
            f" pairs {middle}); largest difference of a logit from the masked model {difference:.1e}"
        )


if __name__ == "__main__":
    main()
