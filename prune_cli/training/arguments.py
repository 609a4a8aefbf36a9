"""From our few training options to the Trainer's many."""

from __future__ import annotations

import torch
from transformers import TrainingArguments

from prune_cli.errors import UserError

_OUR_KEYS = {
    "bf16": "trainer.precision=fp32",
    "use_cpu": "trainer.device",
    "warmup_steps": "trainer.warmup",
    "max_steps": "trainer.max_steps",
    "num_train_epochs": "trainer.epochs",
    "learning_rate": "trainer.learning_rate",
    "weight_decay": "trainer.weight_decay",
    "max_grad_norm": "trainer.max_grad_norm",
    "gradient_accumulation_steps": "trainer.gradient_accumulation",
    "per_device_train_batch_size": "trainer.batch_size",
    "per_device_eval_batch_size": "trainer.eval_batch_size",
    "seed": "seed",
}
"""The keys of ours behind the Trainer's options, as its messages name them."""


def on_gpu(device: str) -> bool:
    """Whether a run is computed on an accelerator.

    Args:
        device: "cpu", or "auto" for a GPU where there is one.
    """
    return device == "auto" and torch.accelerator.is_available()


def bf16_in_hardware(device: str) -> bool:
    """Whether the processor or GPU multiplies bfloat16 by itself; emulated, it is slower than float32.

    Args:
        device: "cpu", or "auto" for a GPU where there is one.
    """
    if on_gpu(device):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # x86, x86, ARM


def resolved_precision(precision: str, device: str) -> str:
    """What `auto` means here: bf16 where it is in hardware, else fp32.

    Args:
        precision: auto, fp32 or bf16.
        device: "cpu", or "auto" for a GPU where there is one.
    """
    if precision == "auto":
        return "bf16" if bf16_in_hardware(device) else "fp32"
    return precision


def training_arguments(
    output_dir: str,
    *,
    epochs: float,
    max_steps: int | None,
    batch_size: int,
    eval_batch_size: int,
    gradient_accumulation: int,
    activation_checkpointing: bool,
    learning_rate: float,
    warmup: float,
    weight_decay: float,
    max_grad_norm: float,
    precision: str,
    device: str,
    seed: int,
) -> TrainingArguments:
    """Make the Trainer's arguments; logging, evaluating and saving are left to the callbacks.

    Args:
        output_dir: Folder for the Trainer's files.
        epochs: Passes over the records, where max_steps is None.
        max_steps: Optimizer steps.
        batch_size: Records a step and device.
        eval_batch_size: Records a forward pass and device.
        gradient_accumulation: Batches a step.
        activation_checkpointing: Compute activations again in the backward pass, and keep few.
        learning_rate: Peak, of AdamW.
        warmup: Fraction of the run below 1, steps from 1 on.
        weight_decay: Decoupled.
        max_grad_norm: Clipping norm.
        precision: fp32 or bf16, as `resolved_precision` gives.
        device: auto or cpu.
        seed: Of everything random.

    Raises:
        UserError: If the machine cannot do it.
    """
    try:
        return TrainingArguments(
            output_dir=output_dir,
            num_train_epochs=epochs,
            max_steps=max_steps or -1,
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=eval_batch_size,
            gradient_accumulation_steps=gradient_accumulation,
            activation_checkpointing=activation_checkpointing,
            learning_rate=learning_rate,
            warmup_steps=warmup,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            bf16=precision == "bf16",
            use_cpu=not on_gpu(device),  # without it the Trainer takes bf16 for a GPU's, and refuses
            seed=seed,
            eval_strategy="no",
            save_strategy="no",
            logging_strategy="no",
            logging_nan_inf_filter=False,  # it would wait for the device at every step
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,  # the heads' collators pick what they need
            dataloader_pin_memory=torch.cuda.is_available() and device != "cpu",
            save_total_limit=None,
        )
    except ValueError as error:
        named = [key for name, key in _OUR_KEYS.items() if name in str(error)] or ["the group trainer"]
        raise UserError(f"the Trainer refuses an option: {error}. Change {' or '.join(named)}") from error
