from __future__ import annotations

import string

import pytest

from prune_cli.world.facts import RELATIONS, Relation, draw_world


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_every_way_of_saying_names_what_it_must(relation: Relation):
    def names(form: str) -> list[str]:
        return sorted(field for _, field, _, _ in string.Formatter().parse(form) if field)

    assert all(names(form) == ["object"] for form in (*relation.predicates, relation.denial))
    assert all(names(form) == ["object", "subject"] for form in relation.inversions)
    assert len(set(relation.predicates)) >= 2


def test_facts_are_about_the_world():
    world = draw_world("0")
    for fact in world.facts:
        relation = RELATIONS[fact.relation]
        assert fact.subject in world.names[relation.subject]
        assert fact.object in world.names[relation.object]
    assert {fact.relation for fact in world.facts} == set(RELATIONS)


def test_a_subject_has_one_object_a_relation():
    facts = draw_world("0").facts
    assert len({(fact.subject, fact.relation) for fact in facts}) == len(facts)


def test_nothing_holds_both_ways():
    holds = {(fact.subject, fact.relation, fact.object) for fact in draw_world("0").facts}
    assert not any((object, relation, subject) in holds for subject, relation, object in holds)


def test_a_work_has_one_author():
    authored = [fact.object for fact in draw_world("0").facts if fact.relation == "wrote"]
    assert len(set(authored)) == len(authored) == 150


def test_names_are_all_different():
    for names in draw_world("0").names.values():
        assert len(set(names)) == len(names)


def test_the_seed_decides():
    assert draw_world("0") == draw_world("0") != draw_world("1")


def test_facts_by_subject():
    world = draw_world("0")
    about = world.about()
    assert sum(map(len, about.values())) == len(world.facts)
    assert all(fact.subject == subject for subject, facts in about.items() for fact in facts)
    assert min(map(len, about.values())) >= 3
