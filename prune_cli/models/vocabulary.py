"""Whether a tokenizer knows the words of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARKS = "\u2581\u0120#"  # of a word's beginning or continuation: SentencePiece, byte-level BPE, WordPiece


def unknown_share(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> float:
    """The share of the tokens of some texts that the tokenizer does not know, from 0 to 1; 1 where it knows none.

    Args:
        tokenizer: One without files of its own knows its special tokens and nothing else.
    """
    known = unknown = 0
    for text in texts:
        ids: Any = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        for token in tokenizer.convert_ids_to_tokens(ids):
            if token == tokenizer.unk_token:
                unknown += 1
            else:
                known += bool(token.strip(_MARKS))
    return unknown / (known + unknown) if known else 1.0


def other_token(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> str | None:
    """A token to which two tokenizers give different numbers, so that one's inputs mean something else to the other's model.

    Returns:
        The first by number; None where all have the same.
    """
    vocabulary = other.get_vocab()
    different = {token: number for token, number in one.get_vocab().items() if vocabulary.get(token) != number}
    return min(different, key=different.__getitem__) if different else None
