"""Extractive question answering: the stretch of a text that answers a question, as in SQuAD (Rajpurkar et al. 2016, 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from prune_cli.data.formats import TABLES, Reader
from prune_cli.data.records import SHOWN, source_of
from prune_cli.data.squad_json import read_squad
from prune_cli.errors import UserError
from prune_cli.plain import shortened
from prune_cli.tasks.base import Inventor, Prediction, Row, Task, refuse_diverged
from prune_cli.tasks.squad_metrics import UNITS, Unit, answer_scores
from prune_cli.world.stories import StoryTeller

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.heads.base import Head
    from prune_cli.world.facts import World

QUESTION, CONTEXT, ANSWERS = "question", "context", "answers"  # columns, named as on the hub
TEXTS, STARTS = "text", "answer_start"  # of `answers`
FORMATS: Mapping[str, Reader] = MappingProxyType({**TABLES, ".json": read_squad})
METRICS = ("exact_match", "f1")  # those that every split has
WINDOWLESS = "its answer is whole in no window: raise task.stride or task.max_length, or shorten the answer"
ANSWERED_SHARE = 2 / 3  # of the synthetic questions that may have no answer
_FARTHEST = 2**31  # characters: where no answer starts
SEARCHED_AT_ONCE = 256  # windows whose spans are all scored together: some 12 MB


@dataclass(frozen=True, kw_only=True)
class SpanExtraction(Task):
    """A question, a text, and the stretch of the text that answers.

    A text too long for the model is read in windows that overlap, each behind the whole question.

    Attributes:
        null_answers: Whether a question may have no answer, as in SQuAD v2.0.
        null_threshold: How much higher than the best answer "no answer" must score to be given; with `null_answers` alone.
        max_length: Tokens of a window at most. Where the model takes less, `max_question` and `stride` shrink in proportion.
        stride: Tokens of the text, >= 0, that two neighbouring windows share; with `max_question` 3/4 of `max_length` at most.
        max_question: Tokens of a question at most, > 0; longer ones lose their end.
        max_context: Characters of a text at most, > 0. One of 100,000 gives some 80 windows and takes 17 MB while it is encoded,
            together with 199 others; a book by mistake would fill the memory.
        n_best: Answers over which the probability of an answer is taken, > 0.
        max_answer_length: Tokens of a predicted answer at most, > 0.
        unit: What F1 counts: "word", between blanks, as the official scripts do; or "character", for languages without blanks.
    """

    encoded_at_once: ClassVar[int] = 200  # a token takes 540 bytes outside a data set

    null_answers: bool = False
    null_threshold: float = 0.0
    primary_metric: str = "f1"
    max_length: int = 384
    stride: int = 128
    max_question: int = 64
    max_context: int = 100_000
    n_best: int = 20
    max_answer_length: int = 30
    unit: str = "word"

    def problems(self) -> Iterator[str]:
        """See `Task`."""
        yield from super().problems()
        least = {"stride": 0, "max_question": 1, "max_context": 1, "n_best": 1, "max_answer_length": 1}
        for field, lowest in least.items():
            if (value := getattr(self, field)) < lowest:
                yield f"{field}={value}: give at least {lowest}."
        if 4 * (self.max_question + self.stride) > 3 * self.max_length:
            yield (
                f"max_question={self.max_question} and stride={self.stride} leave too little of a window of "
                f"max_length={self.max_length} tokens: together they may take 3/4 of it."
            )
        if not math.isfinite(self.null_threshold):
            yield f"null_threshold={self.null_threshold}: give a finite number."
        if self.unit not in UNITS:
            yield f"unit={self.unit}: give {' or '.join(UNITS)}."
        if self.primary_metric not in METRICS:
            yield f"primary_metric={self.primary_metric} is no metric of {self.name}; known are {', '.join(METRICS)}."

    @property
    def head(self) -> Head[Any]:
        """A stretch of the input."""
        from prune_cli.heads.spans import Spans

        return Spans()

    @property
    def formats(self) -> Mapping[str, Reader]:
        """SQuAD's own nested JSON too."""
        return FORMATS

    @property
    def key(self) -> str:
        """The id, by which official scripts tell questions."""
        return "id"

    @property
    def columns(self) -> Mapping[str, type]:
        """`question`, `context` and `answers`: lists `text` and, in characters of the context, `answer_start`."""
        return {QUESTION: str, CONTEXT: str, ANSWERS: dict}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The question and the text."""
        return (QUESTION, CONTEXT)

    def adapt(self, row: Row) -> Row:
        """The columns that it has among the task's, and of `answers` the two lists.

        Raises:
            ValueError: If `answers` lacks one of the lists, or they hold something else than text and whole numbers.
        """
        adapted = {column: row[column] for column in self.columns if column in row}
        if isinstance(answers := adapted.get(ANSWERS), Mapping):
            adapted[ANSWERS] = {TEXTS: _list_of(str, answers, TEXTS), STARTS: _list_of(int, answers, STARTS)}
        return adapted

    def _record_problem(self, record: Row) -> str | None:
        """No text, or an answer that is not where it should be."""
        question, context, answers = (record[column] for column in self.columns)
        if question is None or not question.strip():
            return f"`{QUESTION}` is empty"
        if context is None or not context.strip():
            return f"`{CONTEXT}` is empty"
        if len(context) > self.max_context:
            return (
                f"`{CONTEXT}` has {len(context)} characters, above task.max_context={self.max_context}: "
                "split it, or raise that limit if there is memory for so many windows"
            )
        if answers is None:
            return f"`{ANSWERS}` is empty"
        texts, starts = answers[TEXTS], answers[STARTS]
        if len(texts) != len(starts):
            return f"`{ANSWERS}` has {len(texts)} in `{TEXTS}`, but {len(starts)} in `{STARTS}`"
        if not texts and not self.null_answers:
            return f"no answer in `{ANSWERS}`; task=squad_v2 is for questions that may have none"
        for number, (text, start) in enumerate(zip(texts, starts, strict=True), start=1):
            if not text.strip():
                return f"answer {number} is blank"
            if start < 0 or not context.startswith(text, start):
                there = repr(shortened(context[start : start + len(text)])) if 0 <= start < len(context) else "nothing"
                return f"answer {number}, {shortened(text)!r}, is not at its `{STARTS}` {start} in `{CONTEXT}`: there is {there}"
        return None

    def encode(self, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
        """See `Task`.

        Raises:
            UserError: If the tokenizer does not know where in the text its tokens are, the model takes too few, or an answer to
                learn is whole in no window.
        """
        windows = super().encode(records, tokenizer, training=training)
        if training and (lost := _lost_answers(windows, records)):
            problems = [f"{source_of(records)}: record {n + 1}, {records[n][QUESTION]!r}: {WINDOWLESS}." for n in lost[:SHOWN]]
            more = [f"{len(lost) - SHOWN} more answers are in no window."] if len(lost) > SHOWN else []
            raise UserError(*problems, *more)
        return windows

    def model_inputs(
        self, part: Mapping[str, Any], first: int, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Mapping[str, Any]:
        """Turn each record into one window or several, unpadded: the question, then as much of the text as fits.

        A window that does not hold the whole (first) answer has its null position as both labels, as have questions without an
        answer: that is where the model learns to point if there is none.

        Returns:
            What the tokenizer makes (`input_ids`, `attention_mask`, for some models `token_type_ids`), `labels` (positions of
            the answer's first and last token; left out where the records have no answers), `length` (tokens), `record` and
            `null`, the position of the [CLS] token, 0 where there is none; `cut`, whether the end of the question is left out;
            unless training also `offsets`: first character and
            that behind the last, for one token after the other, -1 outside the text.
        """
        import numpy as np

        size, asked, shared = self._sizes(tokenizer)
        questions = _cut(part[QUESTION], tokenizer, asked)
        cut = [len(kept) < len(asked.strip()) for kept, asked in zip(questions, part[QUESTION], strict=True)]
        inputs = tokenizer(
            questions,
            part[CONTEXT],
            truncation="only_second",
            max_length=size,
            stride=shared,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=True,
        )
        owners, tokens = inputs.pop("overflow_to_sample_mapping"), inputs["input_ids"]
        offsets = [np.array(pairs, np.int32) for pairs in inputs.pop("offset_mapping")]
        for row, pairs in enumerate(offsets):
            pairs[np.array(inputs.sequence_ids(row)) != 1] = -1
        cls = tokenizer.cls_token_id
        nulls = [row.index(cls) if cls in row else 0 for row in tokens]
        windows = {**inputs, "length": [len(row) for row in tokens], "record": [first + owner for owner in owners]}
        windows["cut"] = [cut[owner] for owner in owners]
        if ANSWERS in part:
            spans = [_first_span(answers) for answers in part[ANSWERS]]
            windows["labels"] = [
                _tokens_of(spans[owner], pairs) or (null, null) for owner, pairs, null in zip(owners, offsets, nulls, strict=True)
            ]
        windows["null"] = nulls
        return windows if training else {**windows, "offsets": [pairs.ravel() for pairs in offsets]}

    def _sizes(self, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int, int]:
        """Tokens of a window, of a question and of the overlap, at most."""
        if not tokenizer.is_fast:
            raise UserError(
                f"task {self.name} must know where in the text each token is, and {type(tokenizer).__name__} does not "
                "say: give a model with a fast tokenizer (tokenizer.json)."
            )
        size = min(self.max_length, tokenizer.model_max_length)
        asked, shared = math.ceil(self.max_question * size / self.max_length), self.stride * size // self.max_length
        if size - tokenizer.num_special_tokens_to_add(pair=True) - asked <= shared:
            raise UserError(
                f"A window of {size} tokens is too small for a question and a text: raise task.max_length"
                f"{'' if size == self.max_length else ', and take a model with longer inputs'}."
            )
        return size, asked, shared

    def predictions(
        self,
        outputs: tuple[np.ndarray, ...],
        encoded: Dataset,
        records: Dataset,
        tokenizer: PreTrainedTokenizerBase,
    ) -> list[Prediction]:
        """The stretch of the text with the highest sum of start and end logit, over all windows of a record.

        All stretches of up to `max_answer_length` tokens are candidates, of ties the first; the published scripts pair the
        `n_best` best starts with the `n_best` best ends only, and may so miss the best pair. With `null_answers`, no answer
        scores the sum at the null position, the lowest of the record's windows: all of them must agree that there is none.

        Args:
            outputs: Start and end logits, [windows, tokens] each; what stands behind a window's own tokens is not read.

        Returns:
            `answer`, a part of the text ("" for none), `start` and `end`, its first character and that behind its last (None
            for none), and `score`, its probability: the softmax over the scores of the `n_best` best stretches, among them
            or beside them that of no answer where it may be given.

        Raises:
            UserError: If an output is not finite: training has diverged.
        """
        import numpy as np

        start, end = outputs
        lengths = np.asarray(encoded["length"][:])
        real = np.arange(start.shape[1]) < lengths[:, None]  # [windows, tokens]
        broken = int(np.sum(((~np.isfinite(start) | ~np.isfinite(end)) & real).any(axis=1)))
        refuse_diverged(broken, len(start), "windows")
        offsets = np.full((*start.shape, 2), -1, np.int32)
        offsets[real] = np.concatenate(encoded.with_format("numpy")["offsets"][:]).reshape(-1, 2)
        best, scores = _best_spans(start, end, offsets[..., 0] >= 0, self.max_answer_length, self.n_best)
        rows, null = np.arange(len(start)), np.asarray(encoded["null"][:])
        null_scores = start[rows, null] + end[rows, null]
        bounds = np.searchsorted(encoded["record"][:], np.arange(len(records) + 1))

        predictions = []
        for context, first, behind in zip(records[CONTEXT][:], bounds[:-1], bounds[1:], strict=True):
            window = first + scores[first:behind, 0].argmax()
            null_score = null_scores[first:behind].min() if self.null_answers else None
            first_token, last_token = best[window]
            span = (int(offsets[window, first_token, 0]), int(offsets[window, last_token, 1]))
            predictions.append(self._prediction(context, span, scores[first:behind], null_score))
        return predictions

    def _prediction(self, context: str, span: tuple[int, int], scores: np.ndarray, null_score: float | None) -> Prediction:
        """Say what a record's best stretch, the best scores of its windows and the score of no answer mean."""
        import numpy as np

        ranked = np.sort(scores[np.isfinite(scores)])[::-1][: self.n_best].astype(np.float64)
        given = best = ranked[0] if len(ranked) else -np.inf  # -inf: the tokenizer left nothing of the text
        if null_score is not None:
            ranked = np.sort(np.append(ranked, null_score))[::-1][: self.n_best]
            if null_score < ranked[-1]:
                ranked = np.append(ranked, null_score)
            if null_score - best > self.null_threshold:
                given, span = null_score, (0, 0)
        text = context[slice(*span)]
        answer = text.strip()  # some tokens begin with the blank before them
        begin = span[0] + len(text) - len(text.lstrip())
        return {
            "answer": answer,
            "start": begin if answer else None,
            "end": begin + len(answer) if answer else None,
            "score": float(np.exp(given - ranked[0]) / np.exp(ranked - ranked[0]).sum()) if len(ranked) else 0.0,
        }

    def _metrics(self, predictions: Sequence[Prediction], records: Dataset) -> dict[str, float]:
        answers, references = (
            [prediction["answer"] for prediction in predictions],
            [answers_of[TEXTS] for answers_of in records[ANSWERS][:]],
        )
        return self._scores(answers, references)

    def _scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        return answer_scores(answers, references, null_answers=self.null_answers, unit=cast("Unit", self.unit))

    def expected(self, record: Row) -> Prediction:
        """The first reference answer, "" for none."""
        return {"answer": next(iter(record[ANSWERS][TEXTS]), "")}

    def answered(self, record: Row, prediction: Prediction) -> Row | None:
        """The answer and where it stands; without one, nothing where every question has an answer."""
        answer, start = prediction["answer"], prediction["start"]
        if not answer and not self.null_answers:
            return None
        return {**record, ANSWERS: {TEXTS: [answer] if answer else [], STARTS: [start] if answer else []}}

    def headline(self, prediction: Prediction) -> str:
        """The answer."""
        return prediction["answer"] or "no answer"

    def right(self, prediction: Prediction, record: Row) -> bool:
        """Whether it is one of the reference answers, as exact match tells it."""
        references = record[ANSWERS][TEXTS]
        return self._scores([prediction["answer"]], [references])["exact_match"] == 1

    def inventor(self, world: World, random: Random) -> Inventor:
        """Questions for the object of a fact amid others like it; a third is not answered where a question may have no answer."""
        stories = StoryTeller(world, random)

        def invent() -> tuple[Any, list[Row]]:
            drawn = stories.question(answered=not self.null_answers or random.random() < ANSWERED_SHARE)
            texts, starts = ([], []) if drawn.answer is None else ([drawn.answer], [drawn.start])
            answers = {TEXTS: texts, STARTS: starts}
            return (drawn.text, drawn.context), [{QUESTION: drawn.text, CONTEXT: drawn.context, ANSWERS: answers}]

        return invent

    def texts(self, records: Dataset) -> list[str]:
        """The questions, then every text once."""
        return [*records[QUESTION], *dict.fromkeys(records[CONTEXT])]


def _lost_answers(windows: Dataset, records: Dataset) -> list[int]:
    """Numbers of the records that have an answer, but no window that points at one."""
    pointed = {
        record
        for record, span, null in zip(*(windows[n][:] for n in ("record", "labels", "null")), strict=True)
        if tuple(span) != (null, null)
    }
    answered = (n for n, answers in enumerate(records[ANSWERS][:]) if answers[TEXTS])
    return [number for number in answered if number not in pointed]


def _list_of(kind: type, answers: Mapping[str, Any], name: str) -> list[Any]:
    """One of the lists of `answers`, if it is one and holds nothing else."""
    values = answers.get(name)
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        what = "texts" if kind is str else "whole numbers"
        raise ValueError(f"`{ANSWERS}.{name}` is {shortened(repr(values))}, not a list of {what}")
    if kind is int and any(abs(value) > _FARTHEST for value in values):
        raise ValueError(f"`{ANSWERS}.{name}` is {shortened(repr(values))}, past the end of any text")
    return values


def _cut(questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, count: int) -> list[str]:
    """The questions, each ending with its token of this number."""
    questions = [question.strip() for question in questions]
    offsets = tokenizer(questions, add_special_tokens=False, truncation=True, max_length=count, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return [question[: pairs[-1][1]] if pairs else "" for question, pairs in zip(questions, offsets, strict=True)]


def _first_span(answers: Mapping[str, Any]) -> tuple[int, int] | None:
    """The first answer's first character and that behind its last, blanks around it left out; None for no answer."""
    if not answers[TEXTS]:
        return None
    text, start = answers[TEXTS][0], answers[STARTS][0]
    begin = start + len(text) - len(text.lstrip())
    return begin, begin + len(text.strip())


def _tokens_of(span: tuple[int, int] | None, offsets: np.ndarray) -> tuple[int, int] | None:
    """The first and the last token that share a character with an answer; None unless the window holds all of it."""
    import numpy as np

    inside = np.flatnonzero(offsets[:, 0] >= 0)
    if span is None or not len(inside) or span[0] < offsets[inside[0], 0] or span[1] > offsets[inside[-1], 1]:
        return None
    first = np.searchsorted(offsets[inside, 1], span[0], side="right")
    last = np.searchsorted(offsets[inside, 0], span[1], side="left") - 1
    return (int(inside[first]), int(inside[last])) if first <= last else None  # a tokenizer may leave characters out


def _best_spans(
    start: np.ndarray, end: np.ndarray, inside: np.ndarray, longest: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the best stretch of each window, and the scores of the best few.

    Args:
        start: Start logits, [windows, tokens].
        end: End logits, [windows, tokens].
        inside: Which tokens are of the text, [windows, tokens].

    Returns:
        First and last token, [windows, 2], of ties the first; and scores, [windows, count or as many as there are], highest
        first, -inf where there is no other stretch.
    """
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    tokens = start.shape[1]
    longest = min(longest, tokens)
    count = min(count, tokens * longest)
    start = np.where(inside, start, -np.inf)
    end = np.pad(np.where(inside, end, -np.inf), ((0, 0), (0, longest - 1)), constant_values=-np.inf)
    best, top = [], []
    for first in range(0, len(start), SEARCHED_AT_ONCE):
        rows = slice(first, first + SEARCHED_AT_ONCE)
        # [windows, tokens, longest]: all stretches from each token on, the shortest first
        scores = start[rows, :, None] + sliding_window_view(end[rows], longest, axis=1)
        scores = scores.reshape(len(scores), -1)
        begin, more = np.divmod(scores.argmax(axis=1), longest)
        best.append(np.stack([begin, begin + more], axis=1))
        top.append(np.sort(np.partition(scores, -count, axis=1)[:, -count:], axis=1)[:, ::-1])
    return np.concatenate(best), np.concatenate(top)
