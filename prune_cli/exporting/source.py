"""What is exported: a model, its tokenizer, and the records that exports are calibrated and checked on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, GenerationConfig

from prune_cli import models
from prune_cli.errors import UserError
from prune_cli.heads.base import inputs_of
from prune_cli.runtime.compact import class_as_saved
from prune_cli.runtime.folders import first_line
from prune_cli.training.evaluation import EvaluationSet

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.config.run_config import RunConfig
    from prune_cli.tasks.base import Task

Inputs = dict[str, Tensor]
"""What a model's forward takes, by name; its first dimension is the batch."""


@final
class Source:
    """A saved model, with its task and records where they are known."""

    def __init__(self, folder: Path, config: RunConfig | None) -> None:
        """Remember.

        Args:
            config: Names task and data; None for a model alone.
        """
        self.folder = folder
        self.config = config

    def model(self) -> PreTrainedModel:
        """The model in float32, loaded anew, with an attention that every exporter takes apart.

        Raises:
            UserError: If it cannot be loaded.
        """
        cls = class_as_saved(self.folder)
        try:
            model = cls.from_pretrained(str(self.folder), dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise UserError(f"{self.folder} cannot be loaded: {first_line(error)}") from error
        model = cast("PreTrainedModel", model)
        model.set_attn_implementation("eager")
        return model.eval()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's."""
        return models.load_tokenizer(self.folder)

    @cached_property
    def model_config(self) -> PretrainedConfig:
        """The model's configuration."""
        try:
            return AutoConfig.from_pretrained(str(self.folder), trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder} cannot be loaded: {first_line(error)}") from error

    @cached_property
    def generation(self) -> GenerationConfig:
        """How the model writes."""
        if (self.folder / "generation_config.json").is_file():
            return GenerationConfig.from_pretrained(str(self.folder))
        return GenerationConfig.from_model_config(self.model_config)

    @cached_property
    def _loaded(self) -> tuple[Task, Mapping[str, Dataset]]:
        if self.config is None:
            raise UserError(f"{self.folder} is in no run folder, so nobody knows its records: give task=... data=...")
        return self.config.data.load(self.config.task.labelled(cast("Mapping[int, str]", self.model_config.id2label)))

    @property
    def task(self) -> Task:
        """The task, with the model's labels.

        Raises:
            UserError: If it, or its records, cannot be had.
        """
        return self._loaded[0]

    def evaluated(self) -> EvaluationSet:
        """The records that the primary metric is of."""
        task, records = self._loaded
        return EvaluationSet(task, task.examples(records[task.evaluation_splits[0]]), self.tokenizer)

    def inputs(self, count: int, batch_size: int, *, split: str | None = None) -> Iterator[Inputs]:
        """Model inputs of the first records, in batches with their padding.

        Args:
            batch_size: Inputs in a batch at most; a record may give several.
            split: Such as "train", what the model has learned from; the evaluated one without.
        """
        task, records = self._loaded
        wanted = records[split or task.evaluation_splits[0]]
        chosen = task.examples(wanted.select(range(min(count, len(wanted)))))
        features = cast("list[Mapping[str, Any]]", task.encode(chosen, self.tokenizer, training=False).to_list())
        for start in range(0, len(features), batch_size):
            yield self.forward_inputs(features[start : start + batch_size])

    def forward_inputs(self, features: Sequence[Mapping[str, Any]]) -> Inputs:
        """What forward takes for some encoded records; for a text its source and, where there is one, its target."""
        if "source_ids" not in features[0]:
            return inputs_of(self.task.head.collator(self.tokenizer)(features))
        padding = cast("int", self.tokenizer.pad_token_id)
        sources = [torch.tensor(feature["source_ids"]) for feature in features]
        targets = [torch.tensor(feature.get("target_ids", [])) for feature in features]
        if not self.model_config.is_encoder_decoder:
            whole = [torch.cat(pair).long() for pair in zip(sources, targets, strict=True)]
            return _padded(whole, padding)
        start = torch.tensor([self.model_config.decoder_start_token_id])
        begun = [torch.cat([start, target])[: max(1, len(target))].long() for target in targets]
        return {
            **_padded(sources, padding),
            "decoder_input_ids": pad_sequence(begun, batch_first=True, padding_value=padding),
        }

    def invented(self, lengths: Sequence[int] = (12, 7, 3)) -> Inputs:
        """Inputs of random words, where there are no records.

        Args:
            lengths: Tokens of each.
        """
        random = torch.Generator().manual_seed(0)
        words = self.model_config.vocab_size
        texts = [torch.randint(min(5, words - 1), words, (length,), generator=random) for length in lengths]
        batch = _padded(texts, cast("int", self.tokenizer.pad_token_id))
        if self.model_config.is_encoder_decoder:
            batch["decoder_input_ids"] = batch["input_ids"][:, :5].clone()
        return batch


def _padded(texts: Sequence[Tensor], padding: int) -> Inputs:
    """Texts of different lengths, padded on the right, where a decoder does not look back to."""
    return {
        "input_ids": pad_sequence(list(texts), batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(text) for text in texts], batch_first=True),
    }
