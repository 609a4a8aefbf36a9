"""What the machine can compute with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def on_gpu(device: str) -> bool:
    """Whether a run is computed on an accelerator.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
    """
    if device == "cuda":
        return torch.cuda.is_available()
    return device == "auto" and torch.accelerator.is_available()


def bf16_in_hardware(device: str) -> bool:
    """Whether the processor or GPU multiplies bfloat16 by itself; emulated, it is slower than float32."""
    if on_gpu(device):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # x86, x86, ARM


def resolved_precision(precision: str, device: str) -> str:
    """What `auto` means here: bf16 where it is in hardware, else fp32.

    Args:
        precision: auto, fp32 or bf16.
        device: See `on_gpu`.
    """
    if precision == "auto":
        return "bf16" if bf16_in_hardware(device) else "fp32"
    return precision


def device_of(device: str) -> torch.device:
    """Where a run is computed."""
    accelerator = torch.accelerator.current_accelerator() if on_gpu(device) else None
    if accelerator is None:
        return torch.device("cpu")
    return torch.device(accelerator.type, torch.accelerator.current_device_index())


def moved(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch on a device; from pinned memory without waiting for it."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value for name, value in batch.items()
    }
