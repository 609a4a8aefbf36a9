"""Tags that mark entities word by word, in the scheme IOB2 (Ratnaparkhi 1998; Tjong Kim Sang and Veenstra 1999).

B-X begins an entity of type X, I-X continues it, O is outside of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

OUTSIDE = "O"
BY_TYPE = ("f1", "precision", "recall")  # scores that each type of entity has, f1_PER say
UNTYPED = "ENTITY"  # the type of entities whose tags, B and I, name none
PREFIXES = {"B": "B", "I": "I", "S": "B", "E": "I", "U": "B", "L": "I"}  # those of IOBES and BILOU in terms of IOB2


def plain(tag: str) -> str:
    """A tag of IOBES or BILOU in terms of B, I and O, with the type ENTITY where it names none; any other text as it is.

    >>> plain("S-PER"), plain("L-creative-work"), plain("I"), plain("O"), plain("PER")
    ('B-PER', 'I-creative-work', 'I-ENTITY', 'O', 'PER')
    """
    prefix, dash, kind = tag.partition("-")
    if prefix not in PREFIXES or (dash and not kind):
        return tag
    return f"{PREFIXES[prefix]}-{kind or UNTYPED}"


def types_of(tags: Iterable[str]) -> list[str]:
    """The types of entity that tags name, each once, in order of appearance.

    >>> types_of(["O", "B-PER", "I-LOC", "I-PER", "PER"])
    ['PER', 'LOC']
    """
    parts = (tag.partition("-") for tag in tags)
    return list(dict.fromkeys(kind for prefix, _, kind in parts if kind and prefix in ("B", "I")))


def label_set(tags: Iterable[str]) -> tuple[str, ...]:
    """All labels that such tags need: O, then B-X and I-X of each type, by alphabet.

    >>> label_set(["S-PER", "O", "I-LOC"])
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(types_of(map(plain, tags))) for prefix in "BI"))


def label_problems(labels: Sequence[str], where: str) -> list[str]:
    """Say what keeps labels from being a label set of IOB2.

    Args:
        labels: In label order.
        where: What to call them in messages; a plural or a name.
    """
    problems = []
    if OUTSIDE not in labels:
        problems.append(f"{where}: {OUTSIDE} is missing, the tag of words outside of every entity.")
    for label in labels:
        if label != OUTSIDE and not types_of([label]):
            problems.append(f"{where}: `{label}` is no tag; tags are {OUTSIDE}, and B-X and I-X for each type X.")
        if label.startswith("I-") and f"B-{label[2:]}" not in labels:
            problems.append(f"{where}: `{label}` is there without B-{label[2:]}, with which such an entity begins.")
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(f"{where}: {', '.join(repeated)} is there more than once.")
    if not types_of(labels):
        problems.append(f"{where}: there is no type of entity; name B-X and I-X for each type X.")
    return problems


def entities_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Read the entities off tags; an I-X that continues no entity of type X is part of none.

    Returns:
        Type, position of the first word, and the position behind the last.

    >>> entities_of(["B-PER", "I-PER", "I-LOC", "O", "B-LOC", "B-LOC"])
    [('PER', 0, 2), ('LOC', 4, 5), ('LOC', 5, 6)]
    """
    entities = []
    kind, start = "", 0  # of the entity that is open; none where the type is empty
    for position, tag in enumerate([*tags, OUTSIDE]):
        if kind and tag != f"I-{kind}":
            entities.append((kind, start, position))
            kind = ""
        if tag.startswith("B-"):
            kind, start = tag.removeprefix("B-"), position
    return entities


def entity_scores(right: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], types: Sequence[str]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities, by seqeval (Nakayama 2018) in its strict mode with IOB2.

    An entity is found if its first word, its last word and its type are.

    Args:
        right: The right tags of each sequence.
        types: Types of entity to report, even where there are none of them.

    Returns:
        `f1`, `precision` and `recall` over all entities, `accuracy` over all words, and `f1_X`, `precision_X` and `recall_X` for
        each type X; 0 where there is nothing to divide by.

    >>> entity_scores([["B-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "B-LOC"]], ["PER", "LOC"])["f1"]
    0.5
    """
    from seqeval.metrics import accuracy_score
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOB2, Entities

    # Not its classification_report, which fails where there is no entity at all
    both = [list(tags) for tags in right], [list(tags) for tags in predicted]
    entities_by_side = {"entities_true": Entities(both[0], IOB2), "entities_pred": Entities(both[1], IOB2)}

    def divided(average: str | None) -> Any:
        measure: Any = precision_recall_fscore_support  # its annotations forbid what its documentation asks for
        return measure(*both, average=average, scheme=IOB2, zero_division=0, **entities_by_side)[:3]

    precision, recall, f1 = divided("micro")
    scores = {"f1": f1, "precision": precision, "recall": recall, "accuracy": accuracy_score(*both)}
    types_seen = sorted(set().union(*(entities.unique_tags for entities in entities_by_side.values())))
    for name, values in zip(("precision", "recall", "f1"), divided(None), strict=True):
        of = dict.fromkeys(types, 0.0) | dict(zip(types_seen, values, strict=True))
        scores |= {f"{name}_{kind}": of[kind] for kind in types}
    return {name: float(value) for name, value in scores.items()}
