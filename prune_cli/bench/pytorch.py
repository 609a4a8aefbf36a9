"""PyTorch, operation by operation or compiled."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from shutil import which
from typing import cast, final

import torch

from prune_cli.bench.base import Arrays, Candidate, Run, Runtime, not_among
from prune_cli.training.hardware import bf16_in_hardware


@final
@dataclass(frozen=True, kw_only=True)
class PyTorch(Runtime):
    """transformers as it is.

    Attributes:
        precision: fp32, or bf16 by autocast.
        compiled: By torch.compile, for any size of batch; the first call takes a minute.
        device: cpu or cuda.
    """

    precision: str = "fp32"
    compiled: bool = False
    device: str = "cpu"

    def problems(self) -> Iterator[str]:
        """See `Runtime`."""
        yield from not_among("precision", self.precision, "fp32", "bf16")
        yield from not_among("device", self.device, "cpu", "cuda")

    def lacking(self) -> str | None:
        """A GPU may be, or bf16 in hardware, without which it takes many times as long, or a compiler."""
        if self.device == "cuda" and not torch.cuda.is_available():
            return "there is no GPU"
        if self.precision == "bf16" and not bf16_in_hardware(self.device):
            return "no bf16 in hardware"
        return "there is no C++ compiler" if self.compiled and not (which("c++") or which("g++")) else None

    def prepare(self, candidate: Candidate) -> tuple[Run, int]:
        """See `Runtime`."""
        model = candidate.torch_model
        module = cast("torch.nn.Module", model)
        if self.device != "cpu":
            module = copy.deepcopy(module).to(self.device)
        called = torch.compile(module, dynamic=True) if self.compiled else module
        half = self.precision == "bf16"

        def run(inputs: Arrays) -> Arrays:
            given = {name: torch.from_numpy(value).to(self.device) for name, value in inputs.items()}
            with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=half):
                outputs = called(**given)
            names = [name for name in ("logits", "start_logits", "end_logits") if name in outputs]
            return {name: outputs[name].float().cpu().numpy() for name in names}  # a GPU has answered by then

        size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        return run, size
