"""Pruning inside a Trainer of transformers, with one's own records and one's own loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prune_cli.pruning import Pruner

_STATE = "pruner.safetensors"


@final
class PruneCallback(TrainerCallback):
    """Prunes while a Trainer trains; its last step leaves exactly as many zeros as were asked for.

    A checkpoint of the Trainer holds the state of pruning too, so that training goes on from there as if it had never stopped.
    """

    def __init__(self, make: Callable[[nn.Module, int], Pruner]) -> None:
        """Prepare.

        Args:
            make: Makes the pruner of a model that is on its device, given the steps of the whole training.
        """
        self._make = make
        self.pruner: Pruner | None = None
        """None before training begins."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Make the pruner, and give it its state back where training goes on from a checkpoint.

        Raises:
            ValueError: If the Trainer is to end with other weights than those of the last step.
            FileNotFoundError: If the checkpoint has no state of a pruner.
        """
        if args.load_best_model_at_end:
            raise ValueError("load_best_model_at_end=True may end with weights that are not pruned yet: set it to False")
        self.pruner = self._make(kwargs["model"], state.max_steps)
        if state.global_step > 0:
            self.pruner.load_state_dict(load_file(_file(args, state)))

    def on_pre_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score the weights: their gradients are clipped, and the optimizer has not moved them yet."""
        assert self.pruner is not None
        groups: list[dict[str, Any]] = kwargs["optimizer"].param_groups
        rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
        self.pruner.score(state.global_step, [rates.get(id(each.parameter), 0.0) for each in self.pruner.matrices])

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Select, and zero what is not kept."""
        assert self.pruner is not None
        self.pruner.select(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the state beside that of the Trainer."""
        assert self.pruner is not None
        if state.is_world_process_zero:
            tensors: dict[str, torch.Tensor] = self.pruner.state_dict()
            save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, _file(args, state))


def _file(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(str(args.output_dir), f"checkpoint-{state.global_step}", _STATE)
