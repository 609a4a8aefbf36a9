"""Facts of a world told in several ways, which agree: as triples, as texts, as words with entities, as questions with answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from prune_cli.world.facts import RELATIONS, Fact, Kind, World

WORDS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Question:
    """A question about a context.

    Attributes:
        answer: The words that answer it; None where the context does not.
        start: Where they begin in the context, in characters.
    """

    text: str
    context: str
    answer: str | None = None
    start: int = 0


class StoryTeller:
    """Draws stories about one world, one a call."""

    def __init__(self, world: World, random: Random) -> None:
        self._random = random
        self._about = list(world.about().values())
        self._kinds: Mapping[str, Kind] = {name: kind for kind, names in world.names.items() for name in names}
        self._same: dict[str, list[Fact]] = {}
        for fact in world.facts:
            self._same.setdefault(fact.relation, []).append(fact)

    def facts(self, most: int = 3) -> list[Fact]:
        """Draw one to so many facts about one subject."""
        count = self._random.randint(1, most)
        return self._random.sample(self._random.choice([facts for facts in self._about if len(facts) >= count]), count)

    def text(self, facts: Sequence[Fact]) -> str:
        """Put facts about one subject into words: every name in them occurs."""
        random, sentences = self._random, []
        rest = random.sample(facts, len(facts))
        while rest:
            fact = rest.pop()
            sentence = self._clause(fact)
            if rest and random.random() < 0.4:
                sentence = f"{fact.subject} {self._predicate(fact)} and {self._predicate(rest.pop())}"
            sentences.append(f"{sentence[0].upper()}{sentence[1:]}.")
        return " ".join(sentences)

    def texts(self, facts: Sequence[Fact], count: int) -> list[str]:
        """Put the same facts into different words so many times.

        Args:
            count: At most 3: there are five ways to say a fact at least.
        """
        texts: list[str] = []
        while len(texts) < count:
            if (text := self.text(facts)) not in texts:
                texts.append(text)
        return texts

    def tagged(self, text: str, facts: Sequence[Fact]) -> tuple[list[str], list[tuple[int, int, Kind]]]:
        """Split a text into words and find the things in it.

        Returns:
            Words and marks, and for each thing its first word, the one behind its last, and its kind.
        """
        words = WORDS.findall(text)
        found: list[tuple[int, int, Kind]] = []
        names = {name for fact in facts for name in (fact.subject, fact.object)}
        for name in sorted(names, key=lambda name: (-len(name), name)):  # the longest first: a name may be part of another
            parts = WORDS.findall(name)
            for start in range(len(words) - len(parts) + 1):
                end = start + len(parts)
                if words[start:end] == parts and all(end <= first or last <= start for first, last, _ in found):
                    found.append((start, end, self._kinds[name]))
        return words, sorted(found)

    def question(self, *, answered: bool) -> Question:
        """Ask for the object of a fact, amid others of the same subject and others of the same kind.

        Args:
            answered: Whether the fact itself is told.
        """
        random = self._random
        about = random.choice([facts for facts in self._about if len(facts) > 1])
        asked, *others = random.sample(about, min(len(about), 3))
        alike = [fact for fact in self._same[asked.relation] if asked.object not in (fact.subject, fact.object)]
        told_facts = [*others, *random.sample(alike, 2), *([asked] if answered else [])]
        told_facts = [fact for fact in told_facts if fact == asked or asked.object not in (fact.subject, fact.object)]
        random.shuffle(told_facts)
        context, start = "", 0
        for fact in told_facts:
            sentence = self.text([fact])
            if fact == asked:
                start = len(context) + sentence.index(asked.object)
            context += sentence + " "
        question = RELATIONS[asked.relation].question.format(subject=asked.subject)
        return Question(question, context.rstrip(), asked.object if answered else None, start)

    def _clause(self, fact: Fact) -> str:
        if self._random.random() < 0.5:
            return f"{fact.subject} {self._predicate(fact)}"
        return self._random.choice(RELATIONS[fact.relation].inversions).format(subject=fact.subject, object=fact.object)

    def _predicate(self, fact: Fact) -> str:
        return self._random.choice(RELATIONS[fact.relation].predicates).format(object=fact.object)


def triple(fact: Fact) -> tuple[str, str, str]:
    """Subject, predicate and object, the predicate in camelCase as in WebNLG.

    >>> triple(Fact("Ada Abbott", "born in", "Elmford"))
    ('Ada Abbott', 'bornIn', 'Elmford')
    """
    first, *rest = fact.relation.split()
    return fact.subject, first + "".join(word.capitalize() for word in rest), fact.object
