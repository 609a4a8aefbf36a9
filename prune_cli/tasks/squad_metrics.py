"""Exact match and F1 of answers, as the official scripts of SQuAD compute them.

The rules are those of evaluate-v1.1.py (Rajpurkar et al. 2016) and evaluate-v2.0.py (Rajpurkar et al. 2018). The scripts print
percent, here all are fractions. They differ where an answer has no word left after `normalized`, as "The":

- v1.1: two answers without a word match exactly, but their F1 is 0, since they share no word.
- v2.0: their F1 is 1, that of a wordless answer and any other 0; reference answers without a word are left out, and where none
  remains only an answer without a word is right.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Unit = Literal["word", "character"]
UNITS: tuple[Unit, ...] = ("word", "character")
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)  # of ASCII alone


def normalized(answer: str) -> str:
    """An answer in lower case, without ASCII punctuation and articles, its words parted by single blanks.

    Punctuation goes first and leaves nothing behind, so "a-team" becomes one word; that beyond ASCII stays.

    >>> normalized("The  U.S.A.'s  a-team")
    'usas ateam'
    >>> normalized("“An apple” and the end…")
    '“ apple” and end…'
    """
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def answer_scores(
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    null_answers: bool,
    unit: Unit = "word",
) -> dict[str, float]:
    """Compute the mean exact match and F1 of answers, each against the reference that suits it best.

    Args:
        answers: One a question, at least one; "" for none.
        references: Right answers of each question. Without `null_answers` there is at least one.
        null_answers: Whether a question may have no answer: the rules of v2.0, else those of v1.1.
        unit: What F1 counts: words between blanks, as the scripts have it, or single characters, for languages without blanks.

    Returns:
        `exact_match` and `f1`, 0 to 1. With `null_answers` also `has_answer_exact_match` and `has_answer_f1` over the questions
        that have references, `no_answer_exact_match` and `no_answer_f1` over the others; left out where there are none.

    F1 of "in Paris" and "Paris": precision 1/2, recall 1, so 2 * 1/2 / (3/2) = 2/3:

    >>> answer_scores(["the cat", "in Paris"], [["Cat."], ["Rome", "Paris"]], null_answers=False)
    {'exact_match': 0.5, 'f1': 0.8333333333333333}

    Of two characters and three, two are shared, 2 * 2 / (2 + 3):

    >>> answer_scores(["伦敦"], [["伦敦市"]], null_answers=False, unit="character")
    {'exact_match': 0.0, 'f1': 0.8}
    """
    pairs = [_best(answer, right, null_answers, unit) for answer, right in zip(answers, references, strict=True)]
    groups = {"": pairs}
    if null_answers:
        groups["has_answer_"] = [pair for pair, right in zip(pairs, references, strict=True) if right]
        groups["no_answer_"] = [pair for pair, right in zip(pairs, references, strict=True) if not right]
    return {
        f"{prefix}{name}": sum(scores) / len(group)
        for prefix, group in groups.items()
        for name, scores in zip(("exact_match", "f1"), zip(*group, strict=True), strict=False)
    }


def _best(answer: str, references: Sequence[str], null_answers: bool, unit: Unit) -> tuple[float, float]:
    """Best exact match and best F1 over the references."""
    words = _parts(answer, unit)
    parts = [_parts(reference, unit) for reference in references]
    if null_answers:
        parts = [reference for reference in parts if reference] or [[]]
    return float(words in parts), max(_f1(words, reference, float(null_answers)) for reference in parts)


def _parts(answer: str, unit: Unit) -> list[str]:
    words = normalized(answer).split()
    return words if unit == "word" else [*"".join(words)]


def _f1(words: Sequence[str], reference: Sequence[str], both_empty: float) -> float:
    """Harmonic mean of precision and recall of words as a bag; where both have none, what is given for that."""
    if not words and not reference:
        return both_empty
    shared = (Counter(words) & Counter(reference)).total()
    return 2 * shared / (len(words) + len(reference))  # 2pr/(p + r) with p = shared/words, r = shared/reference
