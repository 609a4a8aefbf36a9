"""A text, token by token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from prune_cli.objectives.base import IGNORED, Batch, Features, decision_losses

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation
    from prune_cli.tasks.base import Generation

LOGITS_AT_ONCE = 1 << 24  # 64 MiB of float32


class TextView(NamedTuple):
    """What predicts the labelled tokens of a batch.

    Attributes:
        hidden: What the output layer reads, [labelled tokens, width].
        logits: The output layer, [tokens, width] -> [tokens, vocabulary].
    """

    hidden: Tensor
    logits: Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class Text:
    """Cross-entropy over the vocabulary at each token of the target, and no other; for decoders and encoder-decoders.

    Logits are made a piece at a time, and again in the backward pass: neither the student's nor the teacher's are ever
    held for a whole batch.

    Attributes:
        tokenizer: Names padding and end; pads sources on the left for a decoder, which writes on from their end.
        generation: How texts are generated.
    """

    tokenizer: PreTrainedTokenizerBase
    generation: Generation

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Make sources and targets rectangular.

        Returns:
            `source` and `source_mask`, [records, tokens], padded on the tokenizer's side, and with targets `labels`,
            [records, tokens], padded with -100 on the right.
        """
        side: str = self.tokenizer.padding_side
        sources = [torch.tensor(feature["source_ids"]) for feature in features]
        padding = cast("int", self.tokenizer.pad_token_id)
        batch = {
            "source": pad_sequence(sources, batch_first=True, padding_value=padding, padding_side=side),
            "source_mask": pad_sequence([torch.ones_like(s) for s in sources], batch_first=True, padding_side=side),
        }
        if "target_ids" in features[0]:
            targets = [torch.tensor(feature["target_ids"]) for feature in features]
            batch["labels"] = pad_sequence(targets, batch_first=True, padding_value=IGNORED)
        return batch

    def view(self, model: nn.Module, batch: Batch) -> TextView:
        """The hidden states that predict the targets; none without targets."""
        bare = _bare(model)
        output_layer = cast("nn.Module", bare.get_output_embeddings())
        bias: Tensor | None = dict(bare.named_buffers()).get("final_logits_bias")  # BART's

        def logits(hidden: Tensor) -> Tensor:
            made = output_layer(hidden)
            return made if bias is None else made + bias

        if "labels" not in batch:
            return TextView(batch["source"].new_empty(0, 0), logits)
        labels = batch["labels"]
        if bare.config.is_encoder_decoder:
            inputs = {
                "input_ids": batch["source"],
                "attention_mask": batch["source_mask"],
                "decoder_input_ids": bare.prepare_decoder_input_ids_from_labels(labels=labels),  # pyright: ignore
            }
            hidden = _hidden(model, output_layer, inputs)
        else:
            there = labels != IGNORED
            mask = torch.cat([batch["source_mask"], there.to(batch["source_mask"].dtype)], dim=1)
            inputs = {
                "input_ids": torch.cat([batch["source"], labels.where(there, self.tokenizer.pad_token_id)], dim=1),
                "attention_mask": mask,
                "position_ids": (mask.cumsum(1) - 1).clamp(min=0),  # counted from the first token that is no padding
            }
            before = batch["source"].shape[1] - 1  # a token is predicted at the one before it
            hidden = _hidden(model, output_layer, inputs)[:, before:-1]
        return TextView(hidden[labels != IGNORED], logits)

    def loss(self, view: TextView, batch: Batch, taught: TextView | None, rule: Distillation | None) -> Tensor:
        """Mean over the target tokens."""
        labels = batch["labels"][batch["labels"] != IGNORED]

        def part(hidden: Tensor, taught_hidden: Tensor | None, labels: Tensor) -> Tensor:
            teacher = None
            if taught is not None and taught_hidden is not None:
                with torch.no_grad():
                    teacher = taught.logits(taught_hidden)
            return decision_losses(view.logits(hidden), labels, teacher, rule).sum()

        vocabulary = len(self.tokenizer)
        count = max(1, LOGITS_AT_ONCE // vocabulary)
        hiddens = view.hidden.split(count)
        taughts = [None] * len(hiddens) if taught is None else taught.hidden.split(count)
        parts = zip(hiddens, taughts, labels.split(count), strict=True)
        losses = [cast("Tensor", checkpoint(part, *p, use_reentrant=False, preserve_rng_state=False)) for p in parts]
        return torch.stack(losses).sum() / len(labels)

    def outputs(self, model: nn.Module, batch: Batch, view: TextView) -> tuple[Tensor, ...]:
        """The generated tokens without the end and what follows it, [records, tokens], padded with -100."""
        from transformers import GenerationConfig

        bare, tokenizer = _bare(model), self.tokenizer
        asked = GenerationConfig(
            max_new_tokens=self.generation.max_new_tokens,
            num_beams=self.generation.beams,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            decoder_start_token_id=bare.config.to_dict().get("decoder_start_token_id"),
        )
        made: Tensor = cast("Any", bare).generate(
            input_ids=batch["source"], attention_mask=batch["source_mask"], generation_config=asked
        )
        made = made[:, 1:] if bare.config.is_encoder_decoder else made[:, batch["source"].shape[1] :]
        ended = made.eq(cast("int", tokenizer.eos_token_id)).cumsum(1) > 0
        return (made.masked_fill(ended, IGNORED),)


@torch.no_grad()
def output_layer_problem(objective: Text, model: PreTrainedModel) -> str | None:
    """Say why an architecture cannot be trained: it changes its logits behind the output layer (soft caps, scales).

    Args:
        objective: Reads what the output layer reads.
        model: In evaluation mode.

    Returns:
        The reason, None where all is well.
    """
    end = cast("int", objective.tokenizer.eos_token_id)
    batch = objective.collate([{"source_ids": [end], "target_ids": [end, end]}])
    view = objective.view(model, batch)
    if model.config.is_encoder_decoder:
        whole = model(input_ids=batch["source"], labels=batch["labels"]).logits[0]
    else:
        whole = model(input_ids=torch.cat([batch["source"], batch["labels"]], dim=1)).logits[0, :-1]
    if torch.allclose(view.logits(view.hidden), whole, rtol=1e-3, atol=1e-3):
        return None
    return f"{type(model).__name__} changes its logits behind the output layer, which training here would not see"


def _bare(model: nn.Module) -> PreTrainedModel:
    """The model itself, where it is wrapped for several processes."""
    return cast("PreTrainedModel", model.module if isinstance(model, DistributedDataParallel) else model)


def _hidden(model: nn.Module, output_layer: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """What the output layer would read, [records, tokens, width]; it is given nothing, so that no logits are made."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        caught.append(arguments[0])
        return (arguments[0][:, :0],)

    hook = output_layer.register_forward_pre_hook(catch)
    try:
        model(**inputs, use_cache=False)
    finally:
        hook.remove()
    return caught[0]
