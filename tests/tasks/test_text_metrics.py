from __future__ import annotations

import itertools
import logging
import math
from random import Random
from typing import Any

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from prune_cli.tasks import text_metrics
from prune_cli.tasks.text_metrics import (
    DART,
    E2E,
    GENERATION_EVAL,
    Rules,
    installed_wordnet,
    meteor,
    rouge_l,
    signatures,
    ter,
    text_scores,
)

TEXTS = ["the cat sat on the mat today", "a dog ran off", "Ada was born in London ."]
PAIRS = [
    ["the cat sat on a mat", "the cat is on the mat today ."],
    ["off ran a dog", "a dog went away"],
    ["Ada was born in London.", "London is where Ada was born."],
]


class NoSynonyms:
    """Stands for WordNet."""

    def synsets(self, word: str) -> list[Any]:
        return []


@pytest.fixture
def fresh_wordnet():
    installed_wordnet.cache_clear()
    yield
    installed_wordnet.cache_clear()


def test_with_equally_many_references_they_are_those_of_sacrebleu():
    scores, streams = text_scores(TEXTS, PAIRS, E2E), [list(stream) for stream in zip(*PAIRS, strict=True)]
    assert scores["bleu"] == BLEU(lowercase=True).corpus_score(TEXTS, streams).score
    assert scores["chrf_plus_plus"] == CHRF(word_order=2).corpus_score(TEXTS, streams).score
    assert scores["ter"] == pytest.approx(TER().corpus_score(TEXTS, streams).score, rel=1e-12)
    assert 0 < scores["bleu"] < 100


def test_bleu_by_hand():
    # 7 of 7 words are in a reference, 6 of 6 pairs, 4 of 5 triples ("sat on the" is in none), 2 of 4 quadruples. References
    # have 6 and 8 tokens, both one off 7: the shorter counts, and there is no penalty
    assert text_scores(TEXTS[:1], PAIRS[:1], E2E)["bleu"] == pytest.approx(100 * (1 * 1 * 4 / 5 * 2 / 4) ** (1 / 4))
    # Alone against the longer one "sat" is in none: 6/7 words, 4/6 pairs, 2/5, 1/4, and 7 tokens stand against 8
    short = text_scores(TEXTS[:1], [PAIRS[0][1:]], E2E)["bleu"]
    assert short == pytest.approx(100 * math.exp(1 - 8 / 7) * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** (1 / 4))


def test_texts_may_have_different_numbers_of_references():
    few = [PAIRS[0], PAIRS[1][:1], PAIRS[2]]
    scores = text_scores(TEXTS, few, E2E)
    # A reference said twice is no other reference
    again = [PAIRS[0], PAIRS[1][:1] * 2, PAIRS[2]]
    assert scores["bleu"] == text_scores(TEXTS, again, E2E)["bleu"]
    assert scores["chrf_plus_plus"] == text_scores(TEXTS, again, E2E)["chrf_plus_plus"]
    assert scores["rouge_l"] == text_scores(TEXTS, again, E2E)["rouge_l"]
    assert scores["bleu"] > text_scores(TEXTS, [PAIRS[0][:1], *few[1:]], E2E)["bleu"]
    # With a shift each: "off ran a dog" from "a dog ran off" takes 2 of 4
    assert ter(TEXTS[1:2], few[1:2], TER()) == 50.0


def test_a_missing_reference_is_not_an_empty_one():
    # An empty reference would be nearest in length to an empty text, and would halve the mean length of references
    assert ter(["a b"], [["a b c d"]], TER()) == 50.0
    both = text_scores(["a b", "x"], [["a b c d"], ["x", "y"]], E2E)
    assert both["ter"] == 100 * 2 / (4 + 1)
    assert both["bleu"] == pytest.approx(100 * math.exp(1 - 5 / 3))  # lengths of the nearest references, 4 and 1


def test_ter_is_that_of_sacrebleu_on_any_texts():
    random = Random(0)

    def sentence() -> str:
        return " ".join(random.choices("a B c d e f. g", k=random.randint(1, 12)))

    texts = ["", *(sentence() for _ in range(40))]
    references = [[sentence() for _ in range(random.randint(1, 5))] for _ in texts]
    streams = list(itertools.zip_longest(*references))
    assert ter(texts, references, TER()) == pytest.approx(TER().corpus_score(texts, streams).score, rel=1e-12)


def test_ter_spares_references_that_cannot_be_nearer(monkeypatch: pytest.MonkeyPatch):
    asked = []
    score = TER.sentence_score

    def counted(self: TER, hypothesis: str, references: list[str]) -> Any:
        asked.extend(references)
        return score(self, hypothesis, references)

    monkeypatch.setattr(TER, "sentence_score", counted)
    assert ter(["a b c d"], [["a y z d", "A B c d", "a b c d e"]], TER()) == pytest.approx(0.0)
    assert asked == ["A B c d"]


def test_e2e_bleu_by_the_rules_of_its_script():
    """e2e-metrics: tokens of mteval-v13a in lower case, references' n-grams together, the length of the nearest reference."""
    text = "The Eagle is a 5-star pub, isn't it?"  # the eagle is a 5 - star pub , isn't it ?
    references = ["the eagle is a 5-star place isn't it", "A 5-star pub, the Eagle is."]
    # All but "?" of 12 tokens is there, all but ", isn't" and "it ?" of 11 pairs, all but the last three of 10 triples and of 9
    # quadruples. 12 tokens stand against 10 of either reference: no penalty
    expected = 100 * (11 / 12 * 9 / 11 * 7 / 10 * 6 / 9) ** 0.25
    assert text_scores([text], [references], E2E)["bleu"] == pytest.approx(expected)
    assert text_scores([text], [references], GENERATION_EVAL)["bleu"] < expected  # "The" and "Eagle" count as others


def test_generation_eval_tells_capitals_apart_and_lets_punctuation_stand_alone():
    scores = text_scores(["Ada was born there."], [["ada was born there ."]], GENERATION_EVAL)
    assert scores["ter"] == 20.0  # of the five tokens "Ada" is another
    assert text_scores(["Ada was born there."], [["ada was born there ."]], E2E)["ter"] == 40.0  # "there." is, and "." lacks
    exact = text_scores(["Ada was born there."], [["Ada was born there ."]], GENERATION_EVAL)
    assert (exact["bleu"], exact["ter"]) == (pytest.approx(100), 0.0)


def test_signatures_are_sacrebleus_own():
    def plain(signature: str) -> str:
        return signature.rpartition("|version:")[0]

    one = {name: plain(text) for name, text in signatures([["a", "b"], ["c", "d"]], E2E).items()}
    assert one == {
        "bleu": "nrefs:2|case:lc|eff:no|tok:13a|smooth:exp",
        "chrf_plus_plus": "nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no",
        "ter": "nrefs:2|case:lc|tok:tercom|norm:no|punct:yes|asian:no",
    }
    other = {name: plain(text) for name, text in signatures([["a"], ["c", "d"]], GENERATION_EVAL).items()}
    assert other == {
        "bleu": "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp",
        "chrf_plus_plus": "nrefs:var|case:mixed|eff:yes|nc:6|nw:2|space:no",
        "ter": "nrefs:var|case:mixed|tok:tercom|norm:yes|punct:yes|asian:no",
    }
    bleu = BLEU(lowercase=True)
    bleu.corpus_score(TEXTS, [list(stream) for stream in zip(*PAIRS, strict=True)])
    assert signatures(PAIRS, E2E)["bleu"] == str(bleu.get_signature())


def test_rouge_l_takes_the_highest_precision_and_the_highest_recall():
    # "a c" is common to the first in order: P 2/3, R 2/4; "b" is to the second: P 1/3, R 1. So F of 2/3 and 1, b^2 = 1.44
    first = 2.44 * (2 / 3) * 1 / (1 + 1.44 * 2 / 3)
    assert rouge_l(["a b c", "Same, wörds"], [["a c d e", "b"], ["same wörds!"]]) == pytest.approx(100 * (first + 1) / 2)
    assert rouge_l([""], [["a"]]) == 0.0


def test_meteor_by_hand():
    wordnet: Any = NoSynonyms()
    # All words match in one run: penalty 1/2 (runs/matches)^3
    assert meteor(["A b c"], [["x y", "a b c"]], wordnet) == pytest.approx(100 * (1 - 0.5 / 27))
    # Runs "c" and "a b": precision and recall 1, two runs of three words
    assert meteor(["c a b"], [["a b c"]], wordnet) == pytest.approx(100 * (1 - 0.5 * (2 / 3) ** 3))
    # 2 of 2 words are right, 2 of 4 found, in one run: 10 * P * R / (R + 9 * P), penalty 1/16
    assert meteor(["a b"], [["a b c d"]], wordnet) == pytest.approx(100 * (10 * 0.5 / (0.5 + 9)) * (1 - 0.5 / 8))
    assert meteor(["", "q"], [["a"], ["q"]], wordnet) == pytest.approx(25.0)


@pytest.mark.usefixtures("fresh_wordnet")
def test_without_wordnet_meteor_is_left_out_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    class Missing:
        def ensure_loaded(self) -> None:
            raise LookupError

    monkeypatch.setattr("nltk.corpus.wordnet", Missing())
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert set(text_scores(TEXTS, PAIRS, E2E)) == {"bleu", "chrf_plus_plus", "ter", "rouge_l"}
    assert [record.message.split(":")[0] for record in caplog.records] == ["METEOR is left out"]


def test_with_wordnet_there_is_meteor(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_metrics, "installed_wordnet", NoSynonyms)
    assert text_scores(["a b c"], [["a b c"]], E2E)["meteor"] == pytest.approx(100 * (1 - 0.5 / 27))


def test_texts_without_words_score_nothing():
    scores = text_scores(["", ""], [["a b c d"], ["e"]], E2E)
    assert (scores["bleu"], scores["chrf_plus_plus"], scores["ter"], scores["rouge_l"]) == (0, pytest.approx(0), 100, 0)


def test_references_that_lack_are_empty_lines_to_the_script_of_webnlg() -> None:
    """GenerationEval of the WebNLG challenge 2020 fills its reference files with empty lines, and such a line has a length, 0."""
    texts, references = ["a b c d e f", "g h i j"], [["a b c d e x", "a b c d e f y z"], ["g h i j k l m n o p q r"]]
    filled = BLEU(force=True).corpus_score(texts, [["a b c d e x", references[1][0]], ["a b c d e f y z", ""]]).score
    missing: Any = None
    left_out = BLEU(force=True).corpus_score(texts, [["a b c d e x", references[1][0]], ["a b c d e f y z", missing]]).score
    assert text_scores(texts, references, GENERATION_EVAL)["bleu"] == pytest.approx(filled)
    assert text_scores(texts, references, E2E)["bleu"] == pytest.approx(left_out)
    assert filled > left_out + 5  # the shorter length is the nearer one, and nothing is taken off for brevity


@pytest.mark.parametrize(("rules", "official"), [(GENERATION_EVAL, 53.2097), (DART, 65.7539)])
def test_bleu_is_that_of_the_official_scripts(rules: Rules, official: float) -> None:
    """What the Perl scripts say of these texts, references that lack being empty lines.

    scripts/generic of moses-smt/mosesdecoder: multi-bleu-detok.perl at fdb7384 for WebNLG's GenerationEval; for DART
    multi-bleu.perl at 31473d8, its files made as evaluation/dart_baseline_input.py of Yale-LILY/dart at 125ba67 makes them,
    in lower case as those in evaluation/dart_reference are.
    """
    texts = [
        "Ailee won the Rookie-award (2013) at the 23rd Seoul awards.",
        "In 2004, K-1 200 m was at 4:13.470.",
        "José's record was 65.38%",
    ]
    references = [
        ["Ailee won the rookie award in 2013 at the 23rd Seoul Music Awards."],
        ["In 2004 the K-1 (200 m) ended at 4:13.470.", "K-1 200 m was at 4:13.47 in 2004."],
        ["The record of José was 65.38%.", "José's record is 65.38 %", "José got 65.38%"],
    ]
    assert text_scores(texts, references, rules)["bleu"] == pytest.approx(official, abs=1e-4)


def test_ter_of_dart_is_over_its_tokens_in_lower_case() -> None:
    assert text_scores(["K-1 (WON)"], [["k - 1 ( won )"]], DART)["ter"] == 0.0
    assert text_scores(["K-1 (WON)"], [["k - 1 ( won )"]], E2E)["ter"] > 0.0


def test_short_texts_as_mteval_has_them() -> None:
    """`bleu_score` of mteval-v13a.pl leaves out n-grams that no text is long enough for, and halves for one not found."""
    references = [["The cat sat on the mat"]]
    brevity = math.exp(1 - 6 / 2)
    assert text_scores(["the cat"], references, E2E)["bleu"] == pytest.approx(100 * brevity)  # 13.53
    assert text_scores(["the dog"], references, E2E)["bleu"] == pytest.approx(100 * brevity * (1 / 2 * 1 / 2) ** (1 / 4))
    assert text_scores(["the cat", "on"], references * 2, GENERATION_EVAL)["bleu"] == 0.0  # of multi-bleu
