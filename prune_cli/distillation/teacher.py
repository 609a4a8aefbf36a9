"""The teacher of self-regularization: a frozen copy of the student at its best so far, or a running mean of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, final

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers.pytorch_utils import Conv1D

from prune_cli.distillation.base import Regularization
from prune_cli.distillation.cache import OutputCache
from prune_cli.distillation.states import Reading, read
from prune_cli.pruning.shards import fill, held

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from prune_cli.heads.base import Batch, Head


class Laid(Protocol):
    """A model of which each device holds a part."""

    def __call__(self, compute: Callable[[], Any]) -> Any:
        """Compute something with it."""

    def rest(self) -> None:
        """Give back what was gathered for that: the model then holds its parts alone."""


@final
class Teacher:
    """Holds the teacher, if there is one yet, and replaces it as the rule says.

    A teacher is a model of its own, made by a factory and filled by copying tensors: how it computes depends on its
    weights and on the context it is called in, and not on whether it was made in mid-run or after a resume.

    Attributes:
        model: The teacher in evaluation mode, or None before the first.
        version: How many times the student has become the teacher.
        best: Primary metric that a student has to beat; None before the first evaluation.
        first_metric: Primary metric of the first teacher; None without one.
        taught: Steps in which there was a teacher.
        cache: What it made of training records; None where it changes at every step, or its states are wanted.
    """

    def __init__(
        self,
        rule: Regularization,
        make: Callable[[], PreTrainedModel],
        *,
        precision: str = "fp32",
        first: PreTrainedModel | None = None,
        first_metric: float | None = None,
        laid: Callable[[PreTrainedModel], Laid] | None = None,
    ) -> None:
        """Start with a dense fine-tuned model or with none.

        Args:
            rule: Tells when the student becomes the teacher, and which states are wanted.
            make: Makes a model of the student's class and configuration, whose weights do not matter.
            precision: In which it computes, fp32 or bf16.
            first: Model that teaches first.
            first_metric: Its primary metric on the validation records.
            laid: Lays a model on several devices, a part on each; None for whole models.
        """
        self.rule = rule
        self.make = make
        self._lay, self._laid = laid, None
        # a mean moves by less than bfloat16 tells apart; of a model that is parted, all weights have one type
        self._half = precision == "bf16" and rule.mean_decay is None and laid is None
        self.model = None if first is None else self._frozen(first)
        asked_once = rule.mean_decay is None and not rule.kinds and laid is None  # all parts of a model are asked together
        self.cache = OutputCache() if asked_once else None
        self.version = 0
        self.taught = 0
        self.best = self.first_metric = first_metric
        self._own = False

    def reading(self, head: Head[Any], batch: Batch) -> Reading | None:
        """What the teacher makes of a batch, without dropout and gradient; None before the first teacher."""
        if self.model is None:
            return None
        with torch.no_grad():
            if self.cache is not None and "places" in batch:
                return Reading(head.decisions(self.cache.outputs(self.model, head, batch), batch), {})
            reading = partial(read, self.model, head, batch, self.rule.kinds)
            return reading() if self._laid is None else self._laid(reading)

    def consider(self, student: PreTrainedModel, step: int, metric: float) -> bool:
        """Let a student that was just evaluated become the teacher, if the rule says so.

        Args:
            student: The masked model.
            metric: Its primary metric; higher is better.

        Returns:
            Whether it did.
        """
        renewed = self.rule.renews(step, metric, self.best)
        if self.best is None or metric > self.best:
            self.best = metric
        if not renewed or (self.rule.mean_decay is not None and self._own):  # a running mean follows already
            return False
        self._take(tensors(student))
        self.version += 1
        return True

    @torch.no_grad()
    def follow(self, student: PreTrainedModel) -> None:
        """Move a little towards the student after a step, if the rule says so; as it trains, masked or not."""
        decay = self.rule.mean_decay
        if decay is None or self.model is None or not self._own:
            return
        theirs = tensors(student)
        pairs = [(mine, theirs[name]) for name, mine in self._tensors(self.model).items()]
        floats = (map(held, pair) for pair in pairs if pair[0].is_floating_point())
        means, weights = (list(each) for each in zip(*floats, strict=True))
        get_ema_multi_avg_fn(decay)(means, weights, 0)
        for mine, other in pairs:
            if not mine.is_floating_point():
                mine.copy_(other)

    def state(self) -> dict[str, Any]:
        """The small part of the state, for JSON."""
        return {"version": self.version, "best": self.best, "own": self._own, "taught": self.taught}

    def load(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Take back what a checkpoint holds.

        Args:
            weights: The teacher's tensors by name, whole; empty while the first teacher, or none, teaches.
        """
        self.version, self.best, self.taught = state["version"], state["best"], state["taught"]
        if state["own"]:
            self._take(weights)

    def weights(self) -> dict[str, Tensor]:
        """Tensors of a teacher that was the student once; a first teacher is read from its own folder again."""
        if self.model is None or not self._own:
            return {}
        return self._tensors(self.model)

    @torch.no_grad()
    def _take(self, student: Mapping[str, Tensor]) -> None:
        """Become a copy of a student, whose tensors these are."""
        if self.model is None or not self._own:  # a first teacher may have another architecture
            self.model = self._frozen(self.make())
            self._own = True
        if self.cache is not None:
            self.cache.clear()
        for name, tensor in self._tensors(self.model).items():
            fill(tensor, student[name])

    def _frozen(self, model: PreTrainedModel) -> PreTrainedModel:
        """To be read alone; in bf16, layers that compute in it have their weights so, which saves a conversion at every step."""
        if self._half:
            owners = Counter(id(each) for _, each in model.named_parameters(remove_duplicate=False))
            for module in model.modules():
                alone = all(owners[id(each)] == 1 for each in module.parameters())  # embeddings may share theirs
                if isinstance(module, nn.Linear | Conv1D) and alone:
                    module.to(torch.bfloat16)
        model.eval().requires_grad_(False)
        self._laid = None if self._lay is None else self._lay(model)
        return model

    def _tensors(self, model: PreTrainedModel) -> dict[str, Tensor]:
        """The teacher's own tensors."""
        if self._laid is not None:
            self._laid.rest()
        return tensors(model)


def tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones once."""
    return dict(model.named_parameters()) | dict(model.named_buffers())
