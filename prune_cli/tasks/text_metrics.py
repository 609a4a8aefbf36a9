"""How close generated texts are to references written by people, each text with one reference or several.

All scores are on the scale of the field, 0 to 100, not fractions as those of the other tasks.
"""

from __future__ import annotations

import logging
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, cast, final

if TYPE_CHECKING:
    from nltk.corpus import WordNetCorpusReader
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

log = logging.getLogger(__name__)

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
ROUGE_BETA = 1.2  # of COCO's scorer: recall counts a little more than precision


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the official script of a data set compares texts for BLEU and TER.

    Attributes:
        lowercase: Capitals do not count.
        read: What becomes of a text and of its references first.
        tokens: What BLEU parts them into then, by sacrebleu's name.
        empty_references: A text with fewer references than another has empty ones beside them for BLEU.
        short_texts: Where all texts have fewer than four tokens, the n-grams that none is long enough for count as right in BLEU;
            else BLEU is 0 there.
        ter_as_bleu: TER compares tokens as BLEU does: punctuation stands alone, capitals count. Else words, as tercom's default.
    """

    lowercase: bool
    read: Callable[[str], str]
    tokens: Literal["13a", "none"]
    empty_references: bool
    short_texts: bool
    ter_as_bleu: bool


def _ascii_lower(text: str) -> str:
    return text.translate(_LOWER)


def _apart(text: str) -> str:
    """In lower case, whatever is no letter, digit or underscore standing alone."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))


E2E = Rules(lowercase=True, read=_ascii_lower, tokens="13a", empty_references=False, short_texts=True, ter_as_bleu=False)
"""e2e-metrics (Dušek et al. 2018): BLEU of mteval-v13a without regard to the case of ASCII; it has no TER."""
GENERATION_EVAL = Rules(lowercase=False, read=str, tokens="13a", empty_references=True, short_texts=False, ter_as_bleu=True)
"""GenerationEval of the WebNLG challenge 2020: BLEU of multi-bleu-detok with case; TER of split tokens."""
DART = Rules(lowercase=True, read=_apart, tokens="none", empty_references=True, short_texts=False, ter_as_bleu=False)
"""DART (Nan et al. 2021): BLEU of multi-bleu and TER with tercom's defaults, both over its files of tokens in lower case."""


def text_scores(texts: Sequence[str], references: Sequence[Sequence[str]], rules: Rules) -> dict[str, float]:
    """Compare texts with their references.

    Args:
        texts: At least one.
        references: At least one of each text.

    Returns:
        Numbers from 0 to 100, the higher the better but for `ter`, which may exceed 100:

        - `bleu`: BLEU of the corpus (Papineni et al. 2002) with the tokens of the data set's script, by sacrebleu (Post 2018).
        - `chrf_plus_plus`: chrF++ of the corpus (Popović 2017), with the reference that suits each text best.
        - `ter`: translation edit rate of the corpus (Snover et al. 2006): edits to the nearest reference by mean words of the
          references. Lower is better.
        - `rouge_l`: mean ROUGE-L (Lin 2004), see `rouge_l`.
        - `meteor`: mean METEOR (Banerjee and Lavie 2005) as NLTK has it; left out where WordNet is not installed.

    >>> texts, references = ["Ada was born in Elmford."], [["Ada comes from Elmford.", "ada was born in Elmford."]]
    >>> scores = text_scores(texts, references, E2E)
    >>> {name: round(value, 1) for name, value in scores.items() if name != "meteor"}
    {'bleu': 100.0, 'chrf_plus_plus': 91.1, 'ter': 0.0, 'rouge_l': 100.0}
    """
    streams = list(zip_longest(*references))  # None where a text has fewer; "" would count as a reference without words
    _, chrf, edits = _metrics(rules)
    read = [[rules.read(reference) for reference in of_text] for of_text in references]
    scores = {
        "bleu": bleu(texts, references, rules),
        "chrf_plus_plus": chrf.corpus_score(texts, streams).score,
        "ter": ter([rules.read(text) for text in texts], read, edits),
        "rouge_l": rouge_l(texts, references),
    }
    if (wordnet := installed_wordnet()) is not None:
        scores["meteor"] = meteor(texts, references, wordnet)
    return scores


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], rules: Rules) -> float:
    """BLEU of the corpus, as the official script of a data set reads texts.

    An empty reference has no words, but a length: it may be the nearest to that of a very short text, and so counts.

    Of five words the first differs, 4/5 * 3/4 * 2/3 * 1/2, since the script knows the capitals of ASCII alone; two words of six
    are short by exp(1 - 6/2):

    >>> round(bleu(["É a b c d"], [["é A b c d"]], E2E), 2)
    66.87
    >>> round(bleu(["the cat"], [["The cat sat on the mat"]], E2E), 2)
    13.53
    """
    from sacrebleu.metrics.bleu import BLEU

    lacking: Any = "" if rules.empty_references else None  # which sacrebleu takes for no reference
    streams = [*zip_longest(*([rules.read(text) for text in of_text] for of_text in references), fillvalue=lacking)]
    bleu_score = BLEU(tokenize=rules.tokens, force=True).corpus_score([rules.read(text) for text in texts], streams)
    if rules.short_texts and bleu_score.totals[0] and not bleu_score.totals[-1]:
        log_precisions = [
            math.log(share / 100) for share, total in zip(bleu_score.precisions, bleu_score.totals, strict=True) if total
        ]
        return 100 * bleu_score.bp * math.exp(sum(log_precisions) / len(bleu_score.totals))
    return bleu_score.score


def signatures(references: Sequence[Sequence[str]], rules: Rules) -> dict[str, str]:
    """How sacrebleu computes its scores, in its own words (Post 2018), by the names of `text_scores`.

    >>> signatures([["a"], ["b", "c"]], E2E)["bleu"].rpartition("|")[0]
    'nrefs:var|case:lc|eff:no|tok:13a|smooth:exp'
    """
    counts = {len(of_text) for of_text in references}
    count = counts.pop() if len(counts) == 1 else -1  # what they count themselves while they score
    named = dict(zip(("bleu", "chrf_plus_plus", "ter"), _metrics(rules), strict=True))
    for metric in named.values():
        metric.num_refs = count
    return {name: str(metric.get_signature()) for name, metric in named.items()}


def _metrics(rules: Rules) -> tuple[BLEU, CHRF, TER]:
    """Those of sacrebleu that read texts by the rules."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    return (
        BLEU(lowercase=rules.lowercase, tokenize=rules.tokens, force=True),  # `force`: no warning that texts end in " ."
        CHRF(word_order=2),
        TER(normalized=rules.ter_as_bleu, case_sensitive=rules.ter_as_bleu),
    )


def ter(texts: Sequence[str], references: Sequence[Sequence[str]], metric: TER) -> float:
    """Translation edit rate of the corpus: what sacrebleu's `corpus_score` gives, in half the time with many references.

    A shift moves words and leaves them the words that they are, so edits to a reference are at least those between the two as
    bags of words. Where that is no fewer than what another reference took, the search for shifts, milliseconds each, is spared.

    "a b c d" becomes "c d a b" by one shift; references have 4 and 6 words, 5 in the mean:

    >>> from sacrebleu.metrics.ter import TER
    >>> ter(["a b c d"], [["c d a b", "a x y z v w"]], TER())
    20.0
    """
    total = words = 0.0
    for text, of_text in zip(texts, references, strict=True):
        bags = [Counter(metric.tokenizer(reference).split()) for reference in of_text]
        mine = Counter(metric.tokenizer(text).split())
        bounds = [max(mine.total(), bag.total()) - (mine & bag).total() for bag in bags]
        fewest = math.inf
        for bound, reference in sorted(zip(bounds, of_text, strict=True)):
            if bound < fewest:
                fewest = min(fewest, metric.sentence_score(text, [reference]).num_edits)
        total += fewest
        words += sum(bag.total() for bag in bags) / len(bags)
    return 100 * total / words


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean ROUGE-L with several references as e2e-metrics has it, after the scorer of COCO captions (Chen et al. 2015).

    From the longest common subsequence of words come a precision and a recall for each reference; the highest of each, whichever
    references they are from, make F = (1 + b^2) P R / (R + b^2 P) with b = 1.2. Words are tokens of mteval-v13a in lower
    case without punctuation.

    "a b c" and "a c d e" share 2 words in order, so P = 2/3 and R = 2/4:

    >>> round(rouge_l(["a b c"], [["x", "A, c d e."]]), 2)
    55.71
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=cast("Any", _Words()))
    total = 0.0
    for text, of_text in zip(texts, references, strict=True):
        scores = [scorer.score(reference, text)["rougeL"] for reference in of_text]
        precision, recall = max(score.precision for score in scores), max(score.recall for score in scores)
        if precision > 0:
            total += (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)
    return 100 * total / len(texts)


@final
class _Words:
    """Words as ROUGE-L compares them, in the form in which its scorer takes a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return [token for token in tokens_13a(text) if any(letter.isalnum() for letter in token)]


def tokens_13a(text: str) -> list[str]:
    """The tokens of BLEU, in lower case.

    >>> tokens_13a("Ada's 3.5 stars, by the river.")
    ["ada's", '3.5', 'stars', ',', 'by', 'the', 'river', '.']
    """
    return _tokenizer_13a()(text.lower()).split()


@cache
def _tokenizer_13a() -> Tokenizer13a:
    """One for all texts: it remembers those that it has seen."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()


def meteor(texts: Sequence[str], references: Sequence[Sequence[str]], wordnet: WordNetCorpusReader) -> float:
    """Mean METEOR, each text with the reference that suits it best, over the tokens of sacrebleu's BLEU in lower case."""
    from nltk.translate.meteor_score import meteor_score

    best = [
        meteor_score([tokens_13a(reference) for reference in of_text], tokens_13a(text), wordnet=wordnet)
        for text, of_text in zip(texts, references, strict=True)
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
