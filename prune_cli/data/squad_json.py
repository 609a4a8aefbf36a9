"""The files of SQuAD itself (Rajpurkar et al. 2016): articles, their paragraphs, and the questions about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prune_cli.data.formats import parsed
from prune_cli.data.records import Split, Unreadable
from prune_cli.errors import UserError


def read_squad(file: Path, columns: Mapping[str, type]) -> Split:
    """Read `{"data": [...]}`: articles with paragraphs, or a flat list of records.

    Returns:
        Rows with `id`, `title`, `context`, `question` and `answers` as on the hub; a question is told by its article, paragraph
        and number, each from 1. One that is marked `is_impossible` has no answer, whatever is plausible.

    Raises:
        UserError: If it is no JSON, or has no list `data`.
    """
    content = parsed(file.read_bytes())
    if isinstance(content, Unreadable):
        raise UserError(f"{file}: {content.reason}.")
    articles = content.get("data") if isinstance(content, Mapping) else content
    if not isinstance(articles, list):
        raise UserError(f'{file}: no list of articles or records, {{"data": [...]}}, as the files of SQuAD have it.')
    rows, places = [], []
    for number, article in enumerate(articles, start=1):
        for place, row in _questions(article, f"article {number}"):
            rows.append(row)
            places.append(place)
    return Split(rows, lambda number: f"{file}: {places[number]}", str(file))


def _questions(article: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The questions of an article, each with its place; something else as it is."""
    if not isinstance(article, Mapping) or "paragraphs" not in article:
        yield place.replace("article", "record"), article
        return
    for number, paragraph in enumerate(_listed(article["paragraphs"]), start=1):
        inside = f"{place}, paragraph {number}"
        if not isinstance(paragraph, Mapping) or not isinstance(paragraph.get("qas"), list):
            yield inside, Unreadable("no list `qas` of questions")
            continue
        about = {"title": article.get("title"), **{name: paragraph[name] for name in ("context",) if name in paragraph}}
        for question, asked in enumerate(paragraph["qas"], start=1):
            yield f"{inside}, question {question}", _row(asked, about)


def _row(asked: Any, about: Mapping[str, Any]) -> Any:
    if not isinstance(asked, Mapping):
        return Unreadable("a question is no object")
    row = {**about, **asked}
    answers = [] if asked.get("is_impossible") else asked.get("answers", [])
    if not all(isinstance(answer, Mapping) and {"text", "answer_start"} <= answer.keys() for answer in _listed(answers)):
        return Unreadable("`answers` is no list of objects with `text` and `answer_start`")
    return {**row, "answers": {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]
