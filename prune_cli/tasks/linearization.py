"""Facts in one line: triples, or attributes with values, in words that a language model knows, and back to their parts."""

from __future__ import annotations

import re
from typing import Any

from prune_cli.plain import shortened

WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # where the words of birthPlace and UTCOffset meet
QUOTED = re.compile(r'"([^"]*)"')
ATTRIBUTE = re.compile(r"([^\[\],]+)\[([^\[\]]*)\]")


def triples_in_line(facts: Any) -> str:
    """Write triples as "subject | predicate | object", joined by " && ", in words that a language model knows.

    Args:
        facts: A list of triples, each of three texts or one text with its parts between |; or all in one text, parted by
            &&, by line or by semicolon.

    Raises:
        ValueError: If a triple has not three parts.

    >>> triples_in_line(['Aarhus_Airport | runwayName | "10L/28R"', "Aarhus | leaderName | Jacob_Bundsgaard"])
    'Aarhus Airport | runway name | 10L/28R && Aarhus | leader name | Jacob Bundsgaard'
    >>> triples_in_line("Ada | birthPlace | London; Ada | occupation | writer")
    'Ada | birth place | London && Ada | occupation | writer'
    """
    if isinstance(facts, str):
        facts = [piece for fact in re.split("&&|\n", facts) if fact.strip() for piece in _parted(fact)]
    if not isinstance(facts, list):
        raise ValueError(f"the facts are {shortened(repr(facts))}, not text or a list")  # noqa: TRY004 adapt's promise
    lines = []
    for number, fact in enumerate(facts, start=1):
        parts = fact.split("|") if isinstance(fact, str) else fact
        if not isinstance(parts, list) or len(parts) != 3 or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"fact {number} is {shortened(repr(fact))}, not subject | predicate | object")
        subject, predicate, object_ = map(plain, parts)
        lines.append(f"{subject} | {predicate_words(predicate)} | {object_}".strip())
    return " && ".join(lines)


def attributes_in_line(facts: Any) -> str:
    """Write a meaning representation of E2E NLG as "attribute : value", joined by " | ".

    Args:
        facts: In the form of the data set, "attribute[value], attribute[value]", or the one made here.

    Raises:
        ValueError: If it is neither.

    >>> attributes_in_line("name[Alimentum], area[city centre], familyFriendly[no]")
    'name : Alimentum | area : city centre | family friendly : no'
    """
    if not isinstance(facts, str):
        raise ValueError(f"the facts are {shortened(repr(facts))}, not text")  # noqa: TRY004 adapt's promise
    pairs = ATTRIBUTE.findall(facts)
    if ATTRIBUTE.sub("", facts).strip(", \n"):
        parts = [part.partition(":") for part in facts.split("|")]
        if not all(colon for _, colon, _ in parts):
            raise ValueError(f"the facts are {shortened(repr(facts))}, not attribute[value], attribute[value]")
        pairs = [(name, value) for name, _, value in parts]
    return " | ".join(f"{predicate_words(plain(name))} : {plain(value)}".strip() for name, value in pairs)


def parts_of_triples(source: str) -> list[list[str]]:
    """Subject, predicate and object of each triple of a line.

    >>> parts_of_triples("Ada | birth place | London && Ada | nick |")
    [['Ada', 'birth place', 'London'], ['Ada', 'nick', '']]
    """
    return [[part.strip() for part in fact.split("|")] for fact in source.split(" && ")]


def parts_of_attributes(source: str) -> list[list[str]]:
    """Attribute and value of each pair of a line.

    >>> parts_of_attributes("name : Zizzi | area : a:b")
    [['name', 'Zizzi'], ['area', 'a:b']]
    """
    pairs = [fact.partition(":") for fact in source.split("|")]
    return [[attribute.strip(), value.strip()] for attribute, _, value in pairs]


def plain(part: str) -> str:
    """A part of a fact without underscores, quotation marks around it, and what parts facts.

    >>> plain('"Acta_Palaeontol. Pol."'), plain('"Squeezed" or "smashed" chicken'), plain("A|B && C")
    ('Acta Palaeontol. Pol.', '"Squeezed" or "smashed" chicken', 'A/B & C')
    """
    text = re.sub("&{2,}", "&", part.replace("_", " ").replace("|", "/")).strip()
    quoted = QUOTED.fullmatch(text)
    return " ".join((quoted[1] if quoted else text).split())


def predicate_words(predicate: str) -> str:
    """The words of a predicate; all capitals become small.

    >>> predicate_words("birthPlace"), predicate_words("UTCOffset"), predicate_words("NUMBER OF STUDENTS")
    ('birth place', 'UTC offset', 'number of students')
    """
    if predicate.isupper():
        return predicate.lower()
    first, *others = WORDS.split(predicate)
    return " ".join([first, *(word[0].lower() + word[1:] if word[1:2].islower() else word for word in others)])


def _parted(fact: str) -> list[str]:
    """The triple that a piece of text is, or those between its semicolons: an object may have semicolons of its own."""
    return [fact] if fact.count("|") == 2 else [part for part in fact.split(";") if part.strip()]
