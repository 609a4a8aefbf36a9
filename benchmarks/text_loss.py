"""Memory and time of the loss over a vocabulary, in pieces as training has it and over all logits at once.

GPT-2's 50,257 words and width 768, 8 texts of 128 tokens, every token learned; forward and backward of the output layer and the
loss, each in a process of its own, whose largest memory is compared with that before the loss.

usage: python benchmarks/text_loss.py
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time

WORDS, WIDTH, TOKENS = 50_257, 768, 8 * 128
ROUNDS = 3


def measure(pieces: bool, taught: bool) -> tuple[float, float, str]:
    """Memory in MiB, seconds (the best of ROUNDS), and the precision."""
    import torch

    from prune_cli.distillation import Distillation
    from prune_cli.heads import decisions
    from prune_cli.heads.decisions import Choice, task_loss
    from prune_cli.heads.text import Vocabulary
    from prune_cli.training.hardware import resolved_precision

    if not pieces:
        decisions.LOGITS_AT_ONCE = WORDS * TOKENS
    precision = resolved_precision("auto", "cpu")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(WIDTH, WORDS, bias=False) for _ in range(2)]
    layers[1].requires_grad_(False)
    hidden = [torch.randn(TOKENS, WIDTH, requires_grad=True), torch.randn(TOKENS, WIDTH)]
    labels = torch.randint(0, WORDS, (TOKENS,))
    layers[0].weight.grad = torch.zeros(WORDS, WIDTH)  # the gradient is the weights' business
    before, seconds = _peak(), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            student, teacher = (Choice(h, labels, layer=Vocabulary.of(layer)) for h, layer in zip(hidden, layers, strict=True))
            loss = Distillation().decision_loss([student], [teacher]) if taught else task_loss([student])
        loss.backward()
        seconds.append(time.perf_counter() - began)
    return (_peak() - before) / 2**20, min(seconds), precision


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Print one line for each loss."""
    print(f"{TOKENS} tokens, {WORDS} words: the logits alone are {WORDS * TOKENS * 4 / 2**20:.0f} MiB in float32")
    for taught in (False, True):
        made = []
        for pieces in (True, False):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                made.append(pool.apply(measure, (pieces, taught)))
        (memory, seconds, precision), (whole, whole_seconds, _) = made
        print(
            f"{'with a teacher' if taught else 'labels alone':<14} {precision}: in pieces {memory:.0f} MiB, {seconds:.2f} s;"
            f" at once {whole:.0f} MiB, {whole_seconds:.2f} s"
        )


if __name__ == "__main__":
    main()
