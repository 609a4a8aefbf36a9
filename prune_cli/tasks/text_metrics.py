"""How close generated texts are to references written by people, each text with one reference or several.

All scores are on the scale of the field, 0 to 100, not fractions as those of the other tasks.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.corpus import WordNetCorpusReader

log = logging.getLogger(__name__)


def text_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compare texts with their references.

    Args:
        texts: At least one.
        references: At least one of each text.

    Returns:
        Numbers from 0 to 100, the higher the better but for `ter`, which may exceed 100:

        - `bleu`: BLEU of the corpus (Papineni et al. 2002) with sacrebleu's own tokens (13a), case-sensitive (Post 2018).
        - `chrf_plus_plus`: chrF++ of the corpus (Popović 2017), with the reference that suits each text best.
        - `ter`: translation edit rate of the corpus (Snover et al. 2006), case-insensitive: edits to the nearest reference by
          mean words of the references. Lower is better.
        - `rouge_l`: mean F-measure of ROUGE-L (Lin 2004) with the best reference, without stemming; of Latin letters
          without accents and digits alone.
        - `meteor`: mean METEOR (Banerjee and Lavie 2005) as NLTK has it; left out where WordNet is not installed.

    >>> scores = text_scores(["Ada was born in Elmford."], [["Ada comes from Elmford.", "Ada was born in Elmford."]])
    >>> {name: round(value, 1) for name, value in scores.items() if name != "meteor"}
    {'bleu': 100.0, 'chrf_plus_plus': 100.0, 'ter': 0.0, 'rouge_l': 100.0}
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    streams = list(zip_longest(*references))  # None where a text has fewer; "" would count as a reference without words
    scores = {
        "bleu": BLEU(force=True).corpus_score(texts, streams).score,  # `force`: no warning that texts end in " ."
        "chrf_plus_plus": CHRF(word_order=2).corpus_score(texts, streams).score,
        "ter": ter(texts, references),
        "rouge_l": rouge_l(texts, references),
    }
    if (wordnet := installed_wordnet()) is not None:
        scores["meteor"] = meteor(texts, references, wordnet)
    return scores


def ter(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Translation edit rate of the corpus: what sacrebleu's `corpus_score` gives, in half the time with many references.

    A shift moves words and leaves them the words that they are, so edits to a reference are at least those between the two as
    bags of words. Where that is no fewer than what another reference took, the search for shifts, milliseconds each, is spared.

    Args:
        texts: At least one.
        references: At least one of each text.

    "a b c d" becomes "c d a b" by one shift; references have 4 and 6 words, 5 in the mean:

    >>> ter(["a b c d"], [["c d a b", "a x y z v w"]])
    20.0
    """
    from sacrebleu.metrics.ter import TER

    metric = TER()
    total = words = 0.0
    for text, known in zip(texts, references, strict=True):
        bags = [Counter(reference.lower().split()) for reference in known]
        mine = Counter(text.lower().split())
        bounds = [max(mine.total(), bag.total()) - (mine & bag).total() for bag in bags]
        fewest = math.inf
        for bound, reference in sorted(zip(bounds, known, strict=True)):
            if bound < fewest:
                fewest = min(fewest, metric.sentence_score(text, [reference]).num_edits)
        total += fewest
        words += sum(bag.total() for bag in bags) / len(bags)
    return 100 * total / words


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean F-measure of the longest common subsequence of words, each text with the reference that suits it best.

    Args:
        texts: At least one.
        references: At least one of each text.

    "a b c" and "a c d e" share 2 words in order: precision 2/3, recall 2/4, so 2 * 2 / (3 + 4):

    >>> round(rouge_l(["a b c"], [["x", "a c d e"]]), 2)
    57.14
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer(
        ["rougeL"], tokenizer=DefaultTokenizer(use_stemmer=False)
    )  # its default, but without a log line
    best = [scorer.score_multi(known, text)["rougeL"].fmeasure for text, known in zip(texts, references, strict=True)]
    return 100 * sum(best) / len(best)


def meteor(texts: Sequence[str], references: Sequence[Sequence[str]], wordnet: WordNetCorpusReader) -> float:
    """Mean METEOR, each text with the reference that suits it best, over the tokens of sacrebleu's BLEU in lower case.

    Args:
        texts: At least one.
        references: At least one of each text.
        wordnet: Knows synonyms.
    """
    from nltk.translate.meteor_score import meteor_score
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer = Tokenizer13a()
    best = [
        meteor_score([tokenizer(reference).split() for reference in known], tokenizer(text).split(), wordnet=wordnet)
        for text, known in zip(texts, references, strict=True)
    ]
    return 100 * sum(best) / len(best)


@cache
def installed_wordnet() -> WordNetCorpusReader | None:
    """NLTK's WordNet where its data is installed; nothing is downloaded. Where it is not, the log says so once."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        log.info("METEOR is left out: WordNet is not installed (`python -m nltk.downloader wordnet` fetches it)")
        return None
    return wordnet
