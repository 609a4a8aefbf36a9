"""A small invented world: people, places, works and companies, and facts about them drawn with a seed.

Facts are plain (subject, relation, object); `RELATIONS` holds the ways to put one into words. Every kind of synthetic
record is made from these two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["person", "place", "work", "company", "trade", "year"]


@dataclass(frozen=True)
class Relation:
    """What can hold between two things, and how to say it.

    Attributes:
        subject: Kind of the subject.
        object: Kind of the object.
        predicates: Ways to say it of the subject; "{object}" stands for the object.
        denial: A way to say of the subject that it does not hold.
        inversions: Whole clauses that do not begin with the subject.
        question: Asks for the object.
    """

    subject: Kind
    object: Kind
    predicates: tuple[str, ...]
    denial: str
    inversions: tuple[str, ...]
    question: str


RELATIONS: Mapping[str, Relation] = {
    "born in": Relation(
        "person",
        "place",
        ("was born in {object}", "came into the world in {object}", "is a native of {object}"),
        "was not born in {object}",
        ("{object} is the birthplace of {subject}", "{object} saw the birth of {subject}"),
        "Where was {subject} born?",
    ),
    "lives in": Relation(
        "person",
        "place",
        ("lives in {object}", "resides in {object}", "has a home in {object}"),
        "does not live in {object}",
        ("{object} is home to {subject}", "{object} is where {subject} lives"),
        "Where does {subject} live?",
    ),
    "studied in": Relation(
        "person",
        "place",
        ("studied in {object}", "went to college in {object}", "was a student in {object}"),
        "did not study in {object}",
        ("{object} is where {subject} studied", "the college of {subject} was in {object}"),
        "Where did {subject} study?",
    ),
    "works as": Relation(
        "person",
        "trade",
        ("works as a {object}", "is a {object} by trade", "earns a living as a {object}"),
        "is not a {object}",
        ("{subject} by trade is a {object}", "the job of {subject} is that of a {object}"),
        "What is the job of {subject}?",
    ),
    "taught": Relation(
        "person",
        "person",
        ("taught {object}", "was the teacher of {object}", "gave lessons to {object}"),
        "never taught {object}",
        ("{object} was taught by {subject}", "{object} was a pupil of {subject}", "{object} learned from {subject}"),
        "Who was taught by {subject}?",
    ),
    "wrote": Relation(
        "person",
        "work",
        ("wrote {object}", "is the author of {object}", "has written {object}"),
        "did not write {object}",
        ("{object} was written by {subject}", "{object} is a book by {subject}"),
        "Which book did {subject} write?",
    ),
    "set in": Relation(
        "work",
        "place",
        ("is set in {object}", "takes place in {object}", "tells a story from {object}"),
        "is not set in {object}",
        ("{object} is the setting of {subject}", "{object} is where {subject} takes place"),
        "Where is {subject} set?",
    ),
    "printed in": Relation(
        "work",
        "place",
        ("was printed in {object}", "left the press in {object}", "came from a printer in {object}"),
        "was not printed in {object}",
        ("a press in {object} printed {subject}", "{object} is where {subject} was printed"),
        "Where was {subject} printed?",
    ),
    "published in year": Relation(
        "work",
        "year",
        ("was published in {object}", "first appeared in {object}", "came out in {object}"),
        "was not published in {object}",
        ("the year {object} saw {subject} appear", "it was in {object} that {subject} came out"),
        "When was {subject} published?",
    ),
    "founded": Relation(
        "person",
        "company",
        ("founded {object}", "set up {object}", "is the founder of {object}"),
        "did not found {object}",
        ("{object} was founded by {subject}", "{object} was started by {subject}"),
        "Which company did {subject} found?",
    ),
    "founded in year": Relation(
        "company",
        "year",
        ("was founded in {object}", "has existed since {object}", "dates from {object}"),
        "was not founded in {object}",
        ("the year {object} saw {subject} begin", "it was in {object} that {subject} started"),
        "When was {subject} founded?",
    ),
    "based in": Relation(
        "company",
        "place",
        ("is based in {object}", "has its head office in {object}", "is run from {object}"),
        "is not based in {object}",
        ("{object} is the seat of {subject}", "the head office of {subject} is in {object}"),
        "Where is {subject} based?",
    ),
    "sells in": Relation(
        "company",
        "place",
        ("sells its goods in {object}", "has customers in {object}", "trades in {object}"),
        "sells nothing in {object}",
        ("people in {object} buy from {subject}", "{object} is a market for {subject}"),
        "Where does {subject} sell its goods?",
    ),
    "bought": Relation(
        "company",
        "company",
        ("bought {object}", "acquired {object}", "became the owner of {object}"),
        "never bought {object}",
        ("{object} was bought by {subject}", "{object} was sold to {subject}"),
        "Which company did {subject} buy?",
    ),
}


@dataclass(frozen=True, order=True)
class Fact:
    """Something that holds in a world."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True)
class World:
    """Things and what holds between them.

    Attributes:
        names: Names of all things of each kind, without repetition.
        facts: What holds. A subject has one object a relation at most; nobody teaches or buys what it is taught or
            bought by.
    """

    names: Mapping[Kind, tuple[str, ...]]
    facts: tuple[Fact, ...]

    def about(self) -> dict[str, list[Fact]]:
        """Group the facts by subject."""
        groups: dict[str, list[Fact]] = {}
        for fact in self.facts:
            groups.setdefault(fact.subject, []).append(fact)
        return groups


def draw_world(seed: str, people: int = 300, places: int = 80, works: int = 150, companies: int = 100) -> World:
    """Draw a world; the same arguments give the same one on every machine.

    Args:
        places: Number of places, > 2.
        works: Number of books, at most `people`.
        companies: Number of companies, > 1 and at most `people`.
    """
    random = Random(seed)
    names: dict[Kind, tuple[str, ...]] = {
        "person": _combine(random, people, "{} {}", GIVEN_NAMES, FAMILY_NAMES),
        "place": _combine(random, places, "{}{}", PLACE_STEMS, PLACE_ENDINGS),
        "work": _combine(random, works, "The {} {}", WORK_QUALITIES, WORK_THINGS),
        "company": _combine(random, companies, "{} {}", FAMILY_NAMES, COMPANY_LINES),
        "trade": TRADES,
        "year": tuple(str(year) for year in range(1850, 1996)),
    }
    subjects: dict[str, Sequence[str]] = {  # who or what has a fact of each relation; the rest may all have one
        "wrote": random.sample(names["person"], works),
        "founded": random.sample(names["person"], companies),
    }
    facts = []
    for key, relation in RELATIONS.items():
        holders = subjects.get(key, names[relation.subject])
        for number, holder in enumerate(holders):
            if relation.subject == relation.object:  # towards the next in a line: never back, never to itself
                if number + 1 < len(holders):
                    facts.append(Fact(holder, key, holders[number + 1]))
            elif key in subjects:  # one author a work, one founder a company
                facts.append(Fact(holder, key, names[relation.object][number]))
            else:
                facts.append(Fact(holder, key, random.choice(names[relation.object])))
    return World(names=names, facts=tuple(facts))


def _combine(random: Random, count: int, form: str, first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Draw names made of two parts, all different."""
    return tuple(form.format(a, b) for a, b in random.sample([(a, b) for a in first for b in second], count))


GIVEN_NAMES = tuple(
    "Ada Albert Alice Anton Bella Boris Carla Cecil Clara Daniel Dora Edgar Elena Emil Esther Felix Flora Frank Grace "
    "Greta Harold Helen Henry Ida Igor Irene Ivan Jack Jane Joel Julia Karl Kate Laura Leo Linda Louis Lucy Marco "
    "Maria Martin Mira Nadia Nora Oscar Otto Paula Peter Rosa Ruth Samuel Sofia Thomas Vera Victor Walter Wanda".split()
)
FAMILY_NAMES = tuple(
    "Abbott Barker Bauer Becker Bishop Blake Brandt Carter Castro Chandler Cohen Conrad Costa Dalton Doyle Drake "
    "Fischer Fletcher Forbes Foster Garner Gibson Graham Hansen Harper Hudson Hughes Jensen Keller Kovacs Lambert "
    "Larsen Lehmann Lopez Mason Mercer Meyer Moreno Murray Novak Olsen Palmer Porter Quinn Ramsey Rossi Sanders "
    "Schmidt Silva Stone Tanner Turner Vogel Wagner Walsh Weber Winter Wolf York Zimmer".split()
)
PLACE_STEMS = tuple(
    "Ash Birch Black Bright Clear Cold Crow Deer East Elm Fair Fox Glen Green Hart High Lake Long Mill North Oak Red "
    "Rock Salt Silver South Stone Swan West White Wolf".split()
)
PLACE_ENDINGS = ("bridge", "bury", "field", "ford", "haven", "port", "ton", "ville", "wick", "wood")
WORK_QUALITIES = tuple(
    "Broken Burning Distant Empty Endless Faithful Fallen Final Forgotten Frozen Gentle Golden Hidden Hollow Last "
    "Lonely Lost Midnight Patient Quiet Restless Secret Silent Sleeping Stolen Thirsty Wandering Wicked Winter "
    "Wooden".split()
)
WORK_THINGS = tuple(
    "Bell Bridge Candle Captain Castle Clock Crown Daughter Door Engine Forest Garden Harbor House Island Key Letter "
    "Mirror Mountain Orchard Path River Sailor Ship Song Stranger Tower Traveler Wheel Window".split()
)
COMPANY_LINES = ("Bank", "Brewery", "Foods", "Glass", "Motors", "Paper", "Railways", "Shipping", "Steel", "Textiles")
TRADES = tuple(
    "baker barber builder butcher carpenter chemist cook dancer dentist doctor driver farmer gardener guard judge "
    "lawyer mechanic miner nurse painter pilot plumber potter sailor singer soldier surgeon tailor teacher "
    "waiter watchmaker weaver".split()
)
