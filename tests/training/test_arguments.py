"""From our options to the Trainer's: the same on every processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from prune_cli import doctor
from prune_cli.errors import UserError
from prune_cli.training import hardware
from prune_cli.training.options import TrainerConfig


def arguments(folder: Path, **values: Any) -> TrainingArguments:
    return TrainerConfig(**values).arguments(folder, steps=10, seed=1)


@pytest.fixture(params=[True, False], ids=["with bf16 in hardware", "without"])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A processor that has bf16 in hardware, or has not, and no GPU."""
    monkeypatch.setattr(hardware, "bf16_in_hardware", lambda device: request.param)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda *args: False)
    return request.param


def test_auto_reaches_the_trainer_on_every_processor(bf16: bool, tmp_path: Path) -> None:
    made = arguments(tmp_path)
    assert (made.bf16, made.fp16, made.use_cpu) == (bf16, False, True)
    assert made.device == torch.device("cpu")


@pytest.mark.parametrize(("precision", "expected"), [("fp32", False), ("bf16", True)])
def test_what_is_asked_for_is_taken_on_every_processor(
    bf16: bool, precision: str, expected: bool, tmp_path: Path
) -> None:
    made = arguments(tmp_path, precision=precision, device="cpu")
    assert (made.bf16, made.use_cpu) == (expected, True)


@pytest.mark.parametrize("names", [["avx512_bf16"], ["amx_bf16"], ["bf16"], ["avx512f"], []])
def test_the_processor_is_asked_by_what_it_can(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True))
    assert hardware.bf16_in_hardware("cpu") == any("bf16" in name for name in names)


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_answers_for_itself(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda *args: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has and not including_emulation)
    assert hardware.resolved_precision("auto", "auto") == ("bf16" if has else "fp32")


def test_every_option_reaches_the_trainer(tmp_path: Path) -> None:
    made = arguments(
        tmp_path, batch_size=4, eval_batch_size=8, gradient_accumulation=3, learning_rate=1e-4, warmup=0.2, weight_decay=0.5,
        max_grad_norm=2.0, activation_checkpointing=True, epochs=7.0, precision="fp32", learning_rate_schedule="cosine",
    )  # fmt: skip
    assert (made.max_steps, made.seed, made.num_train_epochs, made.bf16) == (10, 1, 7.0, False)
    assert (made.per_device_train_batch_size, made.per_device_eval_batch_size) == (4, 8)
    assert (made.gradient_accumulation_steps, made.learning_rate, made.warmup_steps) == (3, 1e-4, 0.2)
    assert (made.weight_decay, made.max_grad_norm, made.activation_checkpointing) == (0.5, 2.0, True)
    assert made.lr_scheduler_type == "cosine"


def test_a_fraction_of_a_short_run_does_not_evaluate_at_nearly_every_step() -> None:
    assert [TrainerConfig(eval_steps=0.05).evaluated_every(steps) for steps in (20, 200, 2000)] == [10, 10, 100]
    assert TrainerConfig(eval_steps=3).evaluated_every(20) == 3


def test_a_gpu_that_is_asked_for_and_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (told,) = TrainerConfig(device="cuda").problems()
    assert told.startswith("device is cuda, and PyTorch finds no GPU here")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert not list(TrainerConfig(device="cuda").problems())


def test_a_refused_option_is_told_with_the_key_that_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "on_gpu", lambda device: True)  # which makes the Trainer ask for a GPU with bf16
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: False)
    with pytest.raises(UserError, match=r"bf16.*Change trainer\.precision=fp32"):
        arguments(tmp_path, precision="bf16")


def test_the_doctor_says_what_auto_takes_and_why(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {check.what: check for check in doctor.check_torch()}["precision"]
    takes, has = ("bf16", "it") if bf16 else ("fp32", "no bf16")
    assert found.found == f"trainer.precision=auto takes {takes}: the CPU that runs train on has {has} in hardware"
