from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from prune_cli.world.facts import Fact, World, draw_world
from prune_cli.world.sentences import BLAME, PRAISE, SentenceMaker

SMALL = World(
    names={
        "person": ("Ada Wolf", "Max York", "Eva Hill"),
        "place": ("Ashford", "Elmwood", "Oakport"),
        "work": ("The Lost Key", "The Old Ship"),
        "company": (),
        "trade": ("baker", "cook"),
        "year": ("1900", "1901"),
    },
    facts=(
        Fact("Ada Wolf", "born in", "Ashford"),
        Fact("Ada Wolf", "lives in", "Elmwood"),
        Fact("Ada Wolf", "taught", "Max York"),
    ),
)


def names_in(text: str) -> set[str]:
    return {name for names in SMALL.names.values() for name in names if name in text}


def split_people(names: set[str]) -> tuple[set[str], set[str]]:
    return names & set(SMALL.names["person"]), names - set(SMALL.names["person"])


def test_paraphrases_name_the_same_things():
    maker = SentenceMaker(SMALL, Random(0))
    for _ in range(200):
        one, other = maker.paraphrase(same=True)
        assert one != other
        assert names_in(one) == names_in(other)


def test_many_of_the_others_do_too():
    """Roles and places change hands, or a "not" comes in: which names there are tells nothing there."""
    maker = SentenceMaker(SMALL, Random(0))
    alike = sum(names_in(one) == names_in(other) for one, other in (maker.paraphrase(same=False) for _ in range(400)))
    assert 100 < alike < 300


def test_an_entailed_hypothesis_says_nothing_new():
    maker = SentenceMaker(SMALL, Random(0))
    for _ in range(200):
        premise, hypothesis = maker.inference("entailment")
        assert names_in(hypothesis) <= names_in(premise)


def test_a_neutral_hypothesis_says_something_new():
    maker = SentenceMaker(SMALL, Random(0))
    for _ in range(200):
        premise, hypothesis = maker.inference("neutral")
        assert not names_in(hypothesis) <= names_in(premise)
        assert "Ada Wolf" in hypothesis


@pytest.mark.parametrize("relation", ["entailment", "contradiction"])
def test_contradictions_differ_from_what_is_entailed(relation):
    maker = SentenceMaker(draw_world("0"), Random(0))
    pairs = [maker.inference(relation) for _ in range(300)]
    negated = sum(" not " in hypothesis or "never" in hypothesis for _, hypothesis in pairs)
    assert (negated > 0) == (relation == "contradiction")


def test_similarity_counts_what_is_shared():
    facts = (
        Fact("Ada Wolf", "born in", "Ashford"),
        Fact("Ada Wolf", "works as", "baker"),
        Fact("Ada Wolf", "wrote", "The Lost Key"),
    )
    maker = SentenceMaker(replace(SMALL, facts=facts), Random(0))
    seen = set()
    for _ in range(200):
        pair, share = maker.similarity()
        people, others = zip(*(split_people(names_in(text)) for text in pair), strict=True)
        assert share == pytest.approx(0.4 * (people[0] == people[1]) + 0.3 * len(others[0] & others[1]))
        seen.add(share)
    assert seen == {1.0, 0.7, 0.4, 0.6, 0.3, 0.0}


def test_verdicts_turn_on_more_than_their_adjective():
    """Praise stands in many a bad verdict and blame in many a good one."""
    maker = SentenceMaker(draw_world("0"), Random(0))
    for favourable, words in ((True, BLAME), (False, PRAISE)):
        verdicts = [maker.verdict(favourable)[0] for _ in range(300)]
        assert 0.5 < sum(any(word in verdict for word in words) for verdict in verdicts) / 300 < 0.8


@pytest.mark.parametrize("make", [lambda maker: maker.verdict(True), lambda maker: maker.paraphrase(False)])
def test_sentences_look_like_sentences(make):
    maker = SentenceMaker(draw_world("0"), Random(0))
    for _ in range(300):
        for text in make(maker):
            assert text[0].isupper()
            assert text.endswith(".")
            assert "{" not in text
            assert "  " not in text
