"""Texts with other words in place of some, by a masked language model (TinyBERT, Jiao et al. 2020, arXiv:1909.10351)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, final

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CANDIDATES = 15
"""Most probable words that one is drawn from, as published."""
AT_ONCE = 32
"""Texts a forward pass."""
_WORD_STARTS = ("Ġ", "▁")
"""How byte-level and sentencepiece tokenizers mark the first token of a word."""


@final
class Replacer:
    """Replaces words of texts.

    Only words of one token are replaced, and by such words, so that a text keeps its form; the others stay as they are, which
    the published algorithm replaces by neighbours in GloVe. All words to replace in a text are masked together, as in the
    model's own pre-training, and not one after the other.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, replaced: float, seed: int) -> None:
        """Prepare.

        Args:
            model: A masked language model, in evaluation mode.
            replaced: Share of the words, above 0 and below 1.
            seed: Of what is drawn.
        """
        self.model = model
        self.tokenizer = tokenizer
        self.replaced = replaced
        self.random = torch.Generator().manual_seed(seed)
        self.words = _whole_words(tokenizer, model.config.vocab_size)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """The texts with some words replaced; the same call on the same texts gives others, as it draws on."""
        texts_made: list[str] = []
        for start in range(0, len(texts), AT_ONCE):
            texts_made += self._some(texts[start : start + AT_ONCE])
        return texts_made

    @torch.no_grad()
    def _some(self, texts: Sequence[str]) -> list[str]:
        batch = self.tokenizer(list(texts), padding=True, truncation=True, return_offsets_mapping=True, return_tensors="pt")
        offsets = cast("Tensor", batch.pop("offset_mapping"))
        tokens = cast("Tensor", batch["input_ids"])
        chosen = self._lone_words(batch) & (torch.rand(tokens.shape, generator=self.random) < self.replaced)
        batch["input_ids"] = tokens.masked_fill(chosen, cast("int", self.tokenizer.mask_token_id))
        device = self.model.device
        logits = self.model(**{name: cast("Tensor", each).to(device) for name, each in batch.items()}).logits.cpu()
        logits = logits[chosen].float().masked_fill(~self.words, -torch.inf)
        logits.scatter_(1, tokens[chosen].unsqueeze(1), -torch.inf)  # another word than the one that was there
        best = logits.topk(CANDIDATES).values[:, -1:]
        chances = logits.masked_fill(logits < best, -torch.inf).softmax(-1)
        drawn = torch.multinomial(chances, 1, generator=self.random).squeeze(1) if len(chances) else tokens.new_empty(0)
        words = iter(self.tokenizer.batch_decode(drawn.unsqueeze(1)))
        words_made: list[str] = []
        for text, places in zip(texts, [spans[there] for spans, there in zip(offsets, chosen, strict=True)], strict=True):
            parts, behind = [], 0
            for first, end in places.tolist():
                first += len(text[first:end]) - len(text[first:end].lstrip())  # some tokens begin with the blank before them
                parts += [text[behind:first], next(words).strip()]
                behind = end
            words_made.append("".join([*parts, text[behind:]]))
        return words_made

    def _lone_words(self, batch: Any) -> Tensor:
        """Which tokens are whole words, [texts, tokens]."""
        rows = []
        for number, tokens in enumerate(batch["input_ids"]):
            owners = batch.word_ids(number)
            rows.append(
                [
                    owner is not None and owners.count(owner) == 1 and bool(self.words[token])
                    for owner, token in zip(owners, tokens, strict=True)
                ]
            )
        return torch.tensor(rows)


def _whole_words(tokenizer: PreTrainedTokenizerBase, size: int) -> Tensor:
    """Which tokens of a vocabulary are whole words, [size]."""
    names = [str(name) for name in tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))]
    marked = any(name.startswith(_WORD_STARTS) for name in names)
    special = set(tokenizer.all_special_ids)
    whole = [
        token not in special and (name[1:].isalpha() and name.startswith(_WORD_STARTS) if marked else name.isalpha())
        for token, name in enumerate(names)
    ]
    return torch.tensor(whole + [False] * (size - len(whole)))
