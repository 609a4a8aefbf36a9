"""The options of the group `trainer`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from shutil import which
from typing import TYPE_CHECKING, final

from prune_cli.marks import NO_RESULT
from prune_cli.pruning.lengths import steps_of

if TYPE_CHECKING:
    from prune_cli.training.evaluate import Evaluator

_COUNTS = (
    "batch_size",
    "eval_batch_size",
    "gradient_accumulation",
    "save_steps",
    "log_steps",
    "keep_checkpoints",
)
_POSITIVE = ("epochs", "learning_rate", "max_grad_norm")
_PRECISIONS = ("auto", "fp32", "bf16")
_AMONG = {
    "precision": _PRECISIONS,
    "eval_precision": _PRECISIONS,
    "device": ("auto", "cpu", "cuda"),
    "learning_rate_schedule": ("linear", "cosine", "constant"),
    "keep": ("last", "best"),
    "sharding": ("none", "full"),
}
_RAREST = 10
"""Steps between two evaluations at least, where they are given as a fraction: each may take as long as some ten steps."""


@final
@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long and how fast to train."""

    epochs: float = 10.0
    """Passes over the training records, > 0; ignored where max_steps is set."""
    max_steps: int | None = None
    """Optimizer steps, > 0; null to count by epochs."""
    batch_size: int = 32
    """Training records of a batch over all processes, which share it evenly, > 0."""
    eval_batch_size: int = 64
    """Validation records a forward pass and process, > 0; on a GPU more of those that are shorter than the longest."""
    gradient_accumulation: int = 1
    """Batches a step, > 0."""
    activation_checkpointing: bool = False
    """Keep few activations and compute the others again in the backward pass: much less memory, slower steps."""
    compile: bool = False
    """Compile the model by torch.compile: after some minutes without a step, steps may be faster; metrics differ a little. Texts
    are padded to multiples of 16 tokens, so that few shapes are compiled."""
    learning_rate: float = 5e-5
    """Peak learning rate of AdamW, > 0."""
    warmup: float = 0.1
    """Learning-rate warm-up: a fraction of the run below 1, steps from 1 on."""
    learning_rate_schedule: str = "linear"
    """After the warm-up: linear or cosine to nothing at the last step, or constant."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0."""
    max_grad_norm: float = 1.0
    """Gradient norm is clipped at this value before scoring, > 0."""
    eval_steps: int | float = 50
    """Evaluate every so many steps (at the next step with masked weights): steps from 1 on, or a fraction of the run below 1,
    which means ten steps at least."""
    keep: str = "last"
    """Which weights are saved: those of the last step, or of the best evaluation that had the final number of zeros. The best
    is chosen on the validation records; of a task that evaluates a part of them while training, among such evaluations."""
    patience: int | None = None
    """Stop a dense run (sparsity=0) after so many evaluations in a row without a better metric, > 0; null to take all steps."""
    save_steps: int = field(default=200, metadata=NO_RESULT)
    """Write a checkpoint every so many steps (at the next step with masked weights), > 0."""
    log_steps: int = field(default=10, metadata=NO_RESULT)
    """Log the mean training loss every so many steps, > 0."""
    keep_checkpoints: int = field(default=2, metadata=NO_RESULT)
    """Checkpoints kept while running, > 0; a finished run keeps none."""
    group_by_length: bool = True
    """Batch records of similar length together: less padding."""
    precision: str = "auto"
    """fp32, bf16 (autocast), or auto: bf16 where the hardware has it."""
    eval_precision: str = "fp32"
    """Of the final evaluation, `prune eval` and `prune predict`: fp32, so that metrics do not depend on the machine; bf16 or
    auto are faster. Evaluations while training are in `precision`."""
    device: str = field(default="auto", metadata=NO_RESULT)
    """auto: a GPU where there is one; cpu: never a GPU; cuda: a GPU, or no run."""
    sharding: str = field(default="none", metadata=NO_RESULT)
    """Of several processes: none, each holds the whole model; full, each holds a part of it, its gradients and whatever is kept
    of its weights, so that a model trains that fits no single device."""

    def problems(self) -> Iterator[str]:
        """What is wrong with steps, batches and learning rate; each message begins with the field."""
        for name in _COUNTS:
            if (count := getattr(self, name)) < 1:
                yield f"{name} is {count}: give a whole number from 1 on"
        if self.max_steps is not None and self.max_steps < 1:
            yield f"max_steps is {self.max_steps}: give a whole number from 1 on, or null to count by epochs"
        for name in _POSITIVE:
            number: float = getattr(self, name)
            if not (number > 0 and math.isfinite(number)):
                yield f"{name} is {number:g}: give a number above 0"
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            yield f"weight_decay is {self.weight_decay:g}: give 0 or a number above"
        if not (0 < self.eval_steps < 1 or (1 <= self.eval_steps < math.inf and self.eval_steps == round(self.eval_steps))):
            yield f"eval_steps is {self.eval_steps:g}: give a fraction of the run above 0 and below 1, or a whole number of steps"
        yield from self._warmup_problems()
        if self.patience is not None and self.patience < 1:
            yield f"patience is {self.patience}: give a whole number of evaluations from 1 on, or null"
        for name, allowed in _AMONG.items():
            if (value := getattr(self, name)) not in allowed:
                yield f"{name} is {value}: give {', '.join(allowed[:-1])} or {allowed[-1]}"
        if self.compile and not (which("c++") or which("g++")):
            yield "compile needs a C++ compiler, and there is none here: install g++, or leave it out"
        if self.device == "cuda":
            from prune_cli.training.hardware import on_gpu

            if not on_gpu(self.device):
                yield "device is cuda, and PyTorch finds no GPU here: give device=auto or cpu, or see `prune doctor`"

    def _warmup_problems(self) -> Iterator[str]:
        warmup = self.warmup
        if not (0 <= warmup < 1 or (1 <= warmup < math.inf and warmup.is_integer())):
            yield f"warmup is {warmup:g}: give a fraction of the run from 0 to below 1, or a whole number of steps"
        elif self.max_steps is not None and warmup > max(self.max_steps, 1):
            yield f"warmup is {warmup:g} steps of a run of {self.max_steps}: give fewer, or a fraction below 1"

    def evaluated_every(self, steps: int) -> int:
        """Steps from one evaluation to the next.

        Args:
            steps: Optimizer steps of the run, > 0.
        """
        return max(_RAREST if self.eval_steps < 1 else 1, steps_of(float(self.eval_steps), steps))

    def evaluator(self, precision: str | None = None) -> Evaluator:
        """How models are evaluated.

        Args:
            precision: fp32 or bf16; None for that of final evaluations.
        """
        from prune_cli.training.evaluate import Evaluator
        from prune_cli.training.hardware import device_of, resolved_precision

        return Evaluator(
            batch_size=self.eval_batch_size,
            device=device_of(self.device),
            precision=precision or resolved_precision(self.eval_precision, self.device),
        )
