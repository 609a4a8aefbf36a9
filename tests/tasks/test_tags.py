from __future__ import annotations

from random import Random

import pytest
from seqeval.scheme import IOB2, Entities

from prune_cli.tasks.tags import entities_of, entity_scores, label_problems, label_set, plain, types_of

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("O", "O"), ("B-X", "B-X"), ("S-X", "B-X"), ("U-a-b", "B-a-b"), ("E-X", "I-X"), ("L-X", "I-X"), ("Q-X", "Q-X"),
     ("S-", "S-"), ("S", "B-ENTITY"), ("I", "I-ENTITY"), ("", "")],
)  # fmt: skip
def test_prefixes_of_other_schemes(tag: str, expected: str):
    assert plain(tag) == expected


def test_types_of_what_is_no_tag():
    assert types_of(["O", "-X", "BI-X", "B-", "PER", "b-X", "B-a-b"]) == ["a-b"]


def test_label_set_has_both_tags_of_every_type():
    assert label_set(["B-b", "L-a"]) == ("O", "B-a", "I-a", "B-b", "I-b")
    assert label_set([]) == ("O",)


def test_a_label_set_needs_no_continuation():
    assert label_problems(["B-PER", "O"], "labels") == []
    assert label_problems(LABELS, "labels") == []


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["B-PER", "I-PER"], "labels: O is missing"),
        (["O", "B-PER", "PER"], "labels: `PER` is no tag"),
        (["O", "B-PER", "S-PER"], "labels: `S-PER` is no tag"),
        (["O", "B-PER", "I-LOC"], "labels: `I-LOC` is there without B-LOC"),
        (["O", "B-PER", "O"], "labels: O is there more than once"),
        (["O"], "labels: there is no type of entity"),
    ],
)
def test_label_sets_that_are_none(labels: list[str], problem: str):
    (found,) = label_problems(labels, "labels")
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("O O", []),
        ("B-PER", [("PER", 0, 1)]),
        ("B-PER I-PER", [("PER", 0, 2)]),
        ("B-PER B-PER I-PER O", [("PER", 0, 1), ("PER", 1, 3)]),
        ("B-PER I-LOC I-PER", [("PER", 0, 1)]),  # neither I-LOC nor I-PER continues anything
        ("I-PER I-PER B-LOC", [("LOC", 2, 3)]),
    ],
)
def test_entities(tags: str, entities: list[tuple[str, int, int]]):
    assert entities_of(tags.split()) == entities


def test_entities_are_those_that_seqeval_counts():
    random = Random(0)
    sequences: list[list[str]] = [random.choices(LABELS, k=random.randrange(12)) for _ in range(500)]
    theirs = [[(entity.tag, entity.start, entity.end) for entity in entities] for entities in Entities(sequences, IOB2).entities]
    assert [entities_of(tags) for tags in sequences] == theirs
    assert sum(map(len, theirs)) > 500


def test_scores_by_hand():
    """Four right entities, three predicted: one right, one with a wrong boundary, one of the wrong type; one is missed."""
    right = ["B-PER I-PER O B-LOC I-LOC O B-LOC".split(), "O B-PER".split()]
    found = ["B-PER I-PER O B-LOC O O B-PER".split(), "O O".split()]
    scores = entity_scores(right, found, ["PER", "LOC"])
    assert scores == pytest.approx(
        {
            "f1": 2 / 7,  # 2 * 1 / (3 + 4)
            "precision": 1 / 3,
            "recall": 1 / 4,
            "accuracy": 6 / 9,
            "f1_PER": 2 / 4,  # 2 * 1 / (2 + 2)
            "precision_PER": 1 / 2,
            "recall_PER": 1 / 2,
            "f1_LOC": 0.0,
            "precision_LOC": 0.0,
            "recall_LOC": 0.0,
        }
    )
    assert list(scores)[:4] == ["f1", "precision", "recall", "accuracy"]
    assert all(type(value) is float for value in scores.values())


def test_a_continuation_without_a_beginning_is_no_entity():
    """The lenient mode, and conlleval, would count it."""
    assert entity_scores([["B-PER", "O"]], [["I-PER", "O"]], ["PER"])["f1"] == 0.0


def test_scores_without_any_entity():
    scores = entity_scores([["O", "O"]], [["O", "O"]], ["PER"])
    by_type = {"f1_PER": 0.0, "precision_PER": 0.0, "recall_PER": 0.0}
    assert scores == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 1.0, **by_type}
