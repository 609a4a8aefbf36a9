"""Labelled sentences and pairs of sentences made from the facts of a world.

What decides a label is one detail (who did it to whom, which of two places, a "not"), and the wording varies freely, so
that neither the commonest label nor the words that two sentences share give it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from prune_cli.world.facts import RELATIONS, Fact, World

Inference = Literal["entailment", "neutral", "contradiction"]


@dataclass(frozen=True)
class Statement:
    """What a clause says: that a fact holds, or that it does not."""

    fact: Fact
    denied: bool = False


class SentenceMaker:
    """Draws records about one world, one a call."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._about = list(world.about().values())

    def verdict(self, favourable: bool) -> tuple[str]:
        """Make a sentence in which somebody likes a book or does not."""
        random = self._random
        praise, blame = random.choice(PRAISE), random.choice(BLAME)
        meant, opposite = (praise, blame) if favourable else (blame, praise)
        form = random.choice(random.choice((PLAIN_VERDICTS, TURNED_VERDICTS, MIXED_VERDICTS)))
        work, person = random.choice(self._world.names["work"]), random.choice(self._world.names["person"])
        return (_sentence(form.format(work=work, person=person, meant=meant, opposite=opposite)),)

    def paraphrase(self, same: bool) -> tuple[str, str]:
        """Make two sentences that say the same, or that differ in one detail."""
        random = self._random
        statements = [Statement(fact) for fact in self._facts(random.choice((1, 2)))]
        if random.random() < 0.2:  # so that a "not" alone tells nothing
            statements[0] = Statement(self._with_another_object(statements[0].fact), denied=True)
        return self._two_wordings(statements, statements if same else self._differing(statements))

    def inference(self, relation: Inference) -> tuple[str, str]:
        """Make a premise of two facts and a hypothesis that it entails, leaves open or contradicts.

        A subject has one object a relation in this world, so that another object contradicts.
        """
        *facts, unsaid = self._facts(3)
        premise = [Statement(fact) for fact in facts]
        match relation:
            case "entailment":
                hypothesis = self._random.choice(premise)
            case "neutral":
                hypothesis = Statement(unsaid)
            case "contradiction":
                hypothesis = self._random.choice(
                    [new for old, new in zip(premise, self._differing(premise), strict=True) if new != old]
                )
        return self._say(premise), self._say([hypothesis])

    def similarity(self) -> tuple[tuple[str, str], float]:
        """Make two sentences and how much of their content they share, 0 to 1.

        Each says two things of one subject. The same subject counts 0.4, each of the two things 0.3.
        """
        random = self._random
        facts = self._facts(2)
        others, tenths = list(facts), 10
        if random.random() < 0.4:
            subject = self._another("subject", facts[0])
            others, tenths = [replace(fact, subject=subject) for fact in facts], tenths - 4
        for changed in random.sample((0, 1), random.choice((0, 0, 1, 2))):
            others[changed], tenths = self._with_another_object(others[changed]), tenths - 3
        pair = self._two_wordings([Statement(fact) for fact in facts], [Statement(fact) for fact in others])
        return pair, tenths / 10

    def _facts(self, count: int) -> list[Fact]:
        """Draw different facts about one subject."""
        return self._random.sample(self._random.choice([facts for facts in self._about if len(facts) >= count]), count)

    def _another(self, side: Literal["subject", "object"], fact: Fact) -> str:
        """Draw a thing that could stand on one side of a fact and does not stand on either."""
        relation = RELATIONS[fact.relation]
        names = self._world.names[relation.subject if side == "subject" else relation.object]
        return self._random.choice([name for name in names if name not in (fact.subject, fact.object)])

    def _with_another_object(self, fact: Fact) -> Fact:
        return replace(fact, object=self._another("object", fact))

    def _differing(self, statements: Sequence[Statement]) -> list[Statement]:
        """Change one detail; preferably one that leaves the words as they are and changes who, or which."""
        random = self._random
        index = random.randrange(len(statements))
        changed, fact = list(statements), statements[index].fact
        kinds = [RELATIONS[statement.fact.relation].object for statement in statements]
        two_alike = len(kinds) == 2 and kinds[0] == kinds[1] and statements[0].fact.object != statements[1].fact.object
        draw = random.random()
        if RELATIONS[fact.relation].subject == RELATIONS[fact.relation].object and draw < 0.45:
            swapped = Fact(fact.object, fact.relation, fact.subject)
            changed[index] = replace(statements[index], fact=swapped)
        elif two_alike and draw < 0.45:
            for here, there in ((0, 1), (1, 0)):
                other_object = statements[there].fact.object
                changed[here] = replace(statements[here], fact=replace(statements[here].fact, object=other_object))
        elif draw < 0.85:
            changed[index] = replace(statements[index], fact=self._with_another_object(fact))
        else:
            changed[index] = replace(statements[index], denied=not statements[index].denied)
        return changed

    def _two_wordings(self, one: Sequence[Statement], other: Sequence[Statement]) -> tuple[str, str]:
        """Put each into different words, in either order."""
        while True:
            first, second = self._say(one), self._say(other)
            if first != second:
                return (first, second) if self._random.random() < 0.5 else (second, first)

    def _say(self, statements: Sequence[Statement]) -> str:
        """Put one or two statements into a sentence."""
        random = self._random
        first, *rest = random.sample(statements, len(statements))
        text = self._clause(first)
        for second in rest:
            if second.fact.subject == first.fact.subject and random.random() < 0.5:
                text = f"{first.fact.subject} {self._predicate(first)} and {self._predicate(second)}"
            else:
                text = f"{text}, and {self._clause(second)}"
        return _sentence(text if random.random() < 0.8 else f"{random.choice(OPENINGS)} {text}")

    def _clause(self, statement: Statement) -> str:
        fact = statement.fact
        if statement.denied or self._random.random() < 0.5:
            return f"{fact.subject} {self._predicate(statement)}"
        return self._random.choice(RELATIONS[fact.relation].inversions).format(subject=fact.subject, object=fact.object)

    def _predicate(self, statement: Statement) -> str:
        relation = RELATIONS[statement.fact.relation]
        form = relation.denial if statement.denied else self._random.choice(relation.predicates)
        return form.format(object=statement.fact.object)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


OPENINGS = ("according to the records,", "it is well known that", "as far as we know,", "the guide says that")

PRAISE = tuple(
    "beautiful brilliant charming clever delightful enjoyable excellent fascinating funny gripping inspiring lovely "
    "moving original superb touching wonderful".split()
)
BLAME = tuple(
    "annoying awful boring clumsy confusing disappointing dreadful dull lifeless painful pointless poor shallow "
    "silly terrible tiresome weak".split()
)
PLAIN_VERDICTS = (
    "{work} by {person} is {meant}",
    "{person} found {work} {meant} from the first page to the last",
    "most readers agree that {work} is a most {meant} book",
    "what a truly {meant} story {person} tells in {work}",
)
TURNED_VERDICTS = (
    "{work} by {person} is anything but {opposite}",
    "nobody who reads {work} will call it {opposite}",
    "{person} did not find {work} {opposite} at all",
    "{work} is far from {opposite}, says {person}",
)
MIXED_VERDICTS = (
    "{work} starts out {opposite}, but in the end it is {meant}",
    "although {person} expected something {opposite}, {work} turned out to be {meant}",
    "{work} is {meant}, even if {person} called it {opposite}",
    "some pages of {work} are {opposite}, yet as a whole it is {meant}",
    "{person} feared that {work} would be {opposite}, but it is {meant}",
)
