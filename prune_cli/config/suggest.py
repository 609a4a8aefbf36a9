"""Finding what a misspelt word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like a misspelt one; None where none is close.

    >>> closest("mrcp", ["rte", "mrpc"])
    'mrpc'
    """
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say which known word is closest.

    Args:
        known: What could have been written. Of dotted keys, the last part alone is compared as well.

    Returns:
        ": did you mean ...?", to put behind a sentence, or nothing where no word is close.

    >>> did_you_mean("learning_rte", ["trainer.learning_rate", "trainer.epochs"])
    ': did you mean trainer.learning_rate?'
    """
    tails = {key.rpartition(".")[2]: key for key in sorted(known, reverse=True)}
    match = closest(word, tails.values()) or tails.get(closest(word.rpartition(".")[2], tails) or "")
    return f": did you mean {match}?" if match else ""
