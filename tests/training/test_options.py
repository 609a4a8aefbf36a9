"""From options to the loop: the same on every processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prune_cli import doctor
from prune_cli.training import hardware
from prune_cli.training.optimizer import LearningRate
from prune_cli.training.options import TrainerConfig
from tests.whole_runs import do


@pytest.fixture(params=[True, False], ids=["with bf16 in hardware", "without"])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A processor that has bf16 in hardware, or has not, and no GPU."""
    monkeypatch.setattr(hardware, "bf16_in_hardware", lambda device: request.param)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda *args: False)
    return request.param


def test_auto_is_what_the_processor_has(bf16: bool) -> None:
    evaluator = TrainerConfig(eval_precision="auto").evaluator()
    assert (evaluator.precision, evaluator.device) == ("bf16" if bf16 else "fp32", torch.device("cpu"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken_on_every_processor(bf16: bool, precision: str) -> None:
    assert TrainerConfig(eval_precision=precision, device="cpu").evaluator().precision == precision
    assert hardware.resolved_precision(precision, "cpu") == precision


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


class Seen(Exception):
    """What a run was about to train with."""


def test_every_option_reaches_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*learning: Any, **options: Any) -> None:
        raise Seen(*learning, options)

    compiled: list[dict[str, Any]] = []
    monkeypatch.setattr("prune_cli.run.assembly.Training", seen)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compiled.append(how))
    given = (
        "batch_size=4 eval_batch_size=8 gradient_accumulation=3 learning_rate=1e-4 warmup=0.2 weight_decay=0.5"
        " max_grad_norm=2.0 activation_checkpointing=true max_steps=20 learning_rate_schedule=cosine precision=bf16"
        " eval_steps=5 log_steps=3 save_steps=7 compile=true"
    )
    with pytest.raises(Seen) as raised:
        do(tmp_path, "seed=9", *(f"trainer.{option}" for option in given.split()))
    it, options = raised.value.args
    assert it.rate == LearningRate(peak=1e-4, warmup=0.2, shape="cosine", total_steps=20)
    assert (it.max_grad_norm, it.precision, it.model.is_activation_checkpointing) == (2.0, "bf16", True)
    assert compiled == [{"dynamic": True}]
    assert [group["weight_decay"] for group in it.optimizer.param_groups] == [0.5, 0.0]
    assert [len(part["labels"]) for part in next(it.batches.after(0)).batches] == [4, 4, 4]
    assert (options["evaluator"].batch_size, options["evaluator"].precision) == (8, "bf16")
    assert (options["final_precision"], options["seed"], options["steps"]) == ("fp32", 9, 20)
    assert options["every"] == {"evaluate": 5, "log": 3, "save": 7}


def test_a_fraction_of_a_short_run_does_not_evaluate_at_nearly_every_step() -> None:
    assert [TrainerConfig(eval_steps=0.05).evaluated_every(steps) for steps in (20, 200, 2000)] == [10, 10, 100]
    assert TrainerConfig(eval_steps=3).evaluated_every(20) == 3


def test_a_gpu_that_is_asked_for_and_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (told,) = TrainerConfig(device="cuda").problems()
    assert told.startswith("device is cuda, and PyTorch finds no GPU here")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert not list(TrainerConfig(device="cuda").problems())


def test_the_doctor_says_what_auto_takes_and_why(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {check.what: check for check in doctor.check_torch()}["precision"]
    takes, has = ("bf16", "it") if bf16 else ("fp32", "no bf16")
    assert found.found == f"trainer.precision=auto takes {takes}: the CPU that runs train on has {has} in hardware"
