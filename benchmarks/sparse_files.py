"""Sparse files: sizes beside a dense safetensors file, and the time to load each.

usage: python benchmarks/sparse_files.py [SPARSITY ...]   (default: 0.8 0.9 0.95)

Shapes of MiniLM and BERT-base, random weights, zeros at random: what real runs remove lies less evenly, and so compresses better.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils import logging

from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime import load_sparse
from prune_cli.runtime.sparse import FILE, read_tensors
from prune_cli.sparse.writer import Dtype, write_sparse

RUNS = 7
SHAPES = {
    "MiniLM": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "BERT-base": {},
}
FORMS: dict[str, tuple[Dtype, bool]] = {
    "lossless": ("fp32", False),
    "fp16": ("fp16", False),
    "int8, rest fp16": ("fp16", True),
}


def median(load: Callable[[], object]) -> float:
    """Milliseconds of a call."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        load()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    """Print one line a shape, sparsity and layout."""
    logging.disable_progress_bar()
    for shape, options in SHAPES.items():
        for sparsity in [float(word) for word in sys.argv[1:]] or [0.8, 0.9, 0.95]:
            torch.manual_seed(0)
            model = BertForSequenceClassification(BertConfig(**options)).eval()
            for weight in prunable_weights(model).values():
                weight.data.masked_fill_(torch.rand_like(weight) < sparsity, 0)
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                model.save_pretrained(folder)
                dense = folder / "model.safetensors"
                tensors = load_file(dense)
                copied = median(lambda dense=dense: {name: value.clone() for name, value in load_file(dense).items()})
                for form, (dtype, int8) in FORMS.items():
                    size = write_sparse(tensors.items(), folder / FILE, dtype=dtype, int8=int8)
                    read = median(lambda folder=folder: read_tensors(folder / FILE))
                    loaded = median(lambda folder=folder: load_sparse(folder))
                    print(
                        f"{shape} {sparsity:.0%} {form}: pruned matrices {size['dense'] / size['sparse']:.1f} times smaller, file"
                        f" {dense.stat().st_size / (folder / FILE).stat().st_size:.1f} times; read in {read:.0f} ms ("
                        f"{read / copied:.1f} times a dense one), as a model in {loaded:.0f} ms"
                    )


if __name__ == "__main__":
    main()
