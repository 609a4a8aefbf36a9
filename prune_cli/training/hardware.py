"""What the machine can compute with."""

from __future__ import annotations

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
    """Whether the processor or GPU multiplies bfloat16 by itself; emulated, it is slower than float32.

    Args:
        device: See `on_gpu`.
    """
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
