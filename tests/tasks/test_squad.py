from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from prune_cli.config.build import construct
from prune_cli.data.local import Local
from prune_cli.errors import UserError
from prune_cli.tasks import squad
from prune_cli.tasks.squad import SpanExtraction
from prune_cli.tasks.squad_metrics import answer_scores, normalized
from tests.tiers import exhaustive

WORDS = [f"w{number}" for number in range(20)]


def made(**changes: Any) -> SpanExtraction:
    return construct(SpanExtraction, {"name": "squad", **changes}, "task")


def narrow(**changes: Any) -> SpanExtraction:
    """Windows of 16 tokens; with a question of two words, 11 of the text, of which neighbours share 4."""
    return made(max_length=16, stride=4, max_question=8, **changes)


def row(context: str, *answers: str, question: str = "who sat") -> dict[str, Any]:
    """A record whose answers are where they are first found."""
    return {
        "question": question,
        "context": context,
        "answers": {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]},
    }


def dataset(*rows: dict[str, Any]) -> Dataset:
    return Dataset.from_list(list(rows))


def encoded(task: SpanExtraction, tiny_tokenizer: Any, *rows: dict[str, Any], training: bool = False) -> Dataset:
    records = dataset(*rows)
    return task.encode(records, tiny_tokenizer(task.texts(records)), training=training)


def logits(windows: Dataset, fill: float = 0.0, beyond: float = -100.0) -> tuple[np.ndarray, np.ndarray]:
    """Equal logits for every token, and what stands behind them."""
    lengths = windows["length"][:]
    start = np.full((len(lengths), max(lengths) + 3), beyond, np.float32)
    for values, length in zip(start, lengths, strict=True):
        values[:length] = fill
    return start, start.copy()


def perfect(windows: Dataset) -> tuple[np.ndarray, np.ndarray]:
    start, end = logits(windows)
    for number, (first, last) in enumerate(windows["labels"][:]):
        start[number, first] += 10
        end[number, last] += 10
    return start, end


def predicted(task: SpanExtraction, outputs: tuple[np.ndarray, ...], windows: Dataset, *rows: dict[str, Any]) -> Any:
    return task.predictions(outputs, windows, dataset(*rows), None)  # pyright: ignore[reportArgumentType]


def answers_of(*args: Any) -> list[str]:
    return [prediction["answer"] for prediction in predicted(*args)]


# --- fields


@pytest.mark.parametrize(
    ("name", "path", "null"), [("squad", "rajpurkar/squad", False), ("squad_v2", "rajpurkar/squad_v2", True)]
)
def test_yaml(glue_task: Callable[..., Any], name: str, path: str, null: bool):
    task = glue_task(name)
    assert [*task.head.auto_classes.values()] == ["AutoModelForQuestionAnswering"]
    assert task.labels == ()
    assert (task.hub_path, task.null_answers, task.null_threshold) == (path, null, 0.0)
    # as in the published fine-tuning scripts
    assert (task.max_length, task.stride, task.max_question) == (384, 128, 64)
    assert (task.n_best, task.max_answer_length) == (20, 30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": -1}, "task.stride=-1: give at least 0"),
        ({"max_question": 0}, "task.max_question=0: give at least 1"),
        ({"max_context": 0}, "task.max_context=0: give at least 1"),
        ({"n_best": 0}, "task.n_best=0: give at least 1"),
        ({"max_answer_length": 0}, "task.max_answer_length=0: give at least 1"),
        (
            {"max_length": 255},
            "max_question=64 and stride=128 leave too little of a window of max_length=255",
        ),
        ({"null_threshold": float("nan")}, "task.null_threshold=nan: give a finite number"),
        ({"primary_metric": "accuracy"}, "accuracy is no metric of squad; known are exact_match, f1"),
        ({"evaluation_splits": ()}, "task.evaluation_splits is empty"),
        ({"evaluation_records": 0}, "task.evaluation_records=0: give at least 1"),
    ],
)
def test_impossible_fields(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        made(**changes)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(UserError) as caught:
        made(n_best=0, max_length=0, evaluation_splits=())
    assert len(caught.value.problems) == 3


def test_three_quarters_of_a_window_may_be_question_and_overlap():
    assert made(max_length=256).stride == 128  # 64 + 128 = 192


# --- records


def test_adapt_keeps_the_columns_of_the_task():
    raw = {"id": "7", "title": "t", **row("a cat", "cat")}
    raw["answers"]["answer_end"] = [5]
    assert made().adapt(raw) == row("a cat", "cat")
    assert made().adapt({"question": "q", "context": "c"}) == {"question": "q", "context": "c"}
    assert made().adapt({"answers": "a cat"}) == {"answers": "a cat"}  # its type is checked for all tasks alike


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": ["a"]}, "`answers.answer_start` is None, not a list of whole numbers"),
        ({"answer_start": [0]}, "`answers.text` is None, not a list of texts"),
        ({"text": "a", "answer_start": [0]}, "`answers.text` is 'a', not a list of texts"),
        ({"text": [None], "answer_start": [0]}, r"`answers.text` is \[None\], not a list of texts"),
        ({"text": ["a"], "answer_start": ["0"]}, r"`answers.answer_start` is \['0'\], not a list of whole numbers"),
        ({"text": ["a"], "answer_start": [True]}, r"`answers.answer_start` is \[True\], not a list of whole numbers"),
    ],
)
def test_answers_of_another_shape(answers: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        made().adapt({"answers": answers})


def test_check_finds_every_kind_of_bad_record():
    def answered(*answers: str, starts: list[int]) -> dict[str, Any]:
        return {"question": "who", "context": "a cat sat", "answers": {"text": answers, "answer_start": starts}}

    records = dataset(
        row("a cat sat", "cat", "cat sat"),
        answered("cat", starts=[3]),
        answered("a", "cat", starts=[0, 9]),
        answered("sat", starts=[-3]),  # from the end it would be right
        answered(starts=[]),
        answered("cat", starts=[2, 2]),
        answered(" ", starts=[1]),
        {**row("a cat sat", "cat"), "question": " "},
        {**answered("cat", starts=[2]), "context": ""},
        {**answered("cat", starts=[2]), "context": None},
        {**answered("cat", starts=[2]), "answers": None},
        row("a cat sat by", "cat"),
    )
    assert made(max_context=11).check(records) == [
        (1, "answer 1, 'cat', is not at its `answer_start` 3 in `context`: there is 'at '"),
        (2, "answer 2, 'cat', is not at its `answer_start` 9 in `context`: there is nothing"),
        (3, "answer 1, 'sat', is not at its `answer_start` -3 in `context`: there is nothing"),
        (4, "no answer in `answers`; task=squad_v2 is for questions that may have none"),
        (5, "`answers` has 1 in `text`, but 2 in `answer_start`"),
        (6, "answer 1 is blank"),
        (7, "`question` is empty"),
        (8, "`context` is empty"),
        (9, "`context` is empty"),
        (10, "`answers` is empty"),
        (
            11,
            "`context` has 12 characters, above task.max_context=11: "
            "split it, or raise that limit if there is memory for so many windows",
        ),
    ]
    assert 4 not in dict(made(null_answers=True).check(records))


def test_long_answers_are_shortened_in_messages():
    context = "x" * 100
    records = dataset({"question": "q", "context": context, "answers": {"text": ["y" * 70], "answer_start": [0]}})
    assert made().check(records) == [
        (0, f"answer 1, '{'y' * 57}...', is not at its `answer_start` 0 in `context`: there is '{'x' * 57}...'")
    ]


def test_texts_are_questions_then_every_context_once():
    records = dataset(row("a cat", "cat"), row("a cat", "a"), row("a dog", "dog", question="what"))
    assert made().texts(records) == ["who sat", "who sat", "what", "a cat", "a dog"]


# --- windows


def test_encode(tiny_tokenizer: Any):
    windows = encoded(made(), tiny_tokenizer, row("a cat sat, there", "cat sat"))
    # [CLS] who sat [SEP] a cat sat , there [SEP]
    assert windows["token_type_ids"][:] == [[0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]
    assert windows["attention_mask"][:] == [[1] * 10]
    assert (windows["length"][:], windows["record"][:], windows["null"][:]) == ([10], [0], [0])
    assert windows["labels"][:] == [[5, 6]]
    assert windows["offsets"][:] == [[*[-1] * 8, 0, 1, 2, 5, 6, 9, 9, 10, 11, 16, -1, -1]]


def test_a_long_text_gives_windows_that_overlap(tiny_tokenizer: Any):
    windows = encoded(narrow(), tiny_tokenizer, row("a cat sat", "cat"), row(" ".join(WORDS), "w8 w9"))
    # 11 words a window, 7 on each time: w0 to w10, w7 to w17, w14 to w19; behind [CLS] who sat [SEP]
    assert windows["record"][:] == [0, 1, 1, 1]
    assert windows["length"][:] == [8, 16, 16, 11]
    assert windows["labels"][:] == [[5, 5], [4 + 8, 4 + 9], [4 + 1, 4 + 2], [0, 0]]
    texts = [np.array(offsets).reshape(-1, 2) for offsets in windows["offsets"][1:]]
    assert [len(offsets[offsets[:, 0] >= 0]) for offsets in texts] == [11, 11, 6]
    assert [" ".join(WORDS)[slice(*offsets[4])] for offsets in texts] == ["w0", "w7", "w14"]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("w10", [[14, 14], [7, 7], [0, 0]]),  # the last word of the first window
        ("w10 w11", [[0, 0], [7, 8], [0, 0]]),  # over its end
        ("w7", [[11, 11], [4, 4], [0, 0]]),  # the first word of the second
        ("w6 w7", [[10, 11], [0, 0], [0, 0]]),  # over its beginning
        ("w19", [[0, 0], [0, 0], [9, 9]]),
    ],
)
def test_an_answer_at_the_border_of_a_window(tiny_tokenizer: Any, answer: str, labels: list[list[int]]):
    windows = encoded(narrow(), tiny_tokenizer, row(" ".join(WORDS), answer), training=True)
    assert windows["labels"][:] == labels


def test_an_answer_in_no_window_is_not_learned_from(tiny_tokenizer: Any):
    whole = [row(" ".join(WORDS), " ".join(WORDS), question=f"{number} who") for number in range(7)]
    with pytest.raises(UserError) as caught:
        encoded(narrow(), tiny_tokenizer, row("a cat", "cat"), *whole, training=True)
    first, *_, last = caught.value.problems
    assert first.startswith(
        "the records: record 2, '0 who': its answer is whole in no window: raise task.stride or task.max_length"
    )
    assert (len(caught.value.problems), last) == (6, "2 more answers are in no window.")
    assert encoded(narrow(), tiny_tokenizer, *whole)["labels"][:3] == [[0, 0]] * 3, "and is no error to be asked"
    encoded(narrow(null_answers=True), tiny_tokenizer, row("a cat"), training=True)


def test_the_nested_json_of_squad_itself(tmp_path: Path):
    """Files of both forms give the same records; bad ones are told by article, paragraph and question."""
    answer, plausible = {"text": "cat", "answer_start": 2}, {"text": "a", "answer_start": 0}
    asked = [
        {"id": "1", "question": "who sat", "answers": [answer, answer], "is_impossible": False},
        {"id": "2", "question": "who ran", "answers": [], "plausible_answers": [plausible], "is_impossible": True},
    ]
    nested = {"version": "v2.0", "data": [{"title": "Cats", "paragraphs": [{"context": "a cat sat", "qas": asked}]}]}
    flat = {"data": [{"id": "1", **row("a cat sat", "cat", "cat")}, {"id": "2", **row("a cat sat", question="who ran")}]}
    loaded = []
    for name, content in (("nested", nested), ("flat", flat)):
        folder = tmp_path / name
        folder.mkdir()
        for split in ("train", "validation"):
            (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        assert Local(str(folder)).missing(made()) == []
        loaded.append(Local(str(folder)).load(made(null_answers=True))[1]["train"].to_list())
    assert (
        loaded[0]
        == loaded[1]
        == [
            {**row("a cat sat", "cat", "cat"), "id": "1"},
            {**row("a cat sat", question="who ran"), "id": "2"},
        ]
    )

    asked += [{"id": "1", **asked[1]}, {"id": "3", "question": "why", "answers": ["cat"]}, "what"]
    nested["data"] += [
        {"paragraphs": [{"context": "a dog"}, {"qas": [asked[0] | {"id": "9"}]}]},
        {"paragraphs": None},
        7,
    ]
    file = tmp_path / "nested" / "train.json"
    file.write_text(json.dumps(nested), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        Local(str(file.parent)).load(made(null_answers=True))
    inside = f"{file}: article 1, paragraph 1"
    assert caught.value.problems == (
        f"{inside}, question 3: `id` is that of {inside}, question 2: two records are one, or need two.",
        f"{inside}, question 4: `answers` is no list of objects with `text` and `answer_start`.",
        f"{inside}, question 5: a question is no object.",
        f"{file}: article 2, paragraph 1: no list `qas` of questions (1 more record likewise).",
        f"{file}: article 2, paragraph 2, question 1: no column `context`; there are `title`, `id`, `question`, `answers`, "
        "`is_impossible`.",
        f"{file}: 1 more records are unusable.",
    )
    broken = (
        ("{", "broken JSON"),
        ('{"version": 2}', "no list of articles or records"),
        ('{"data": [], "data": []}', "`data` more than once in one object"),
    )
    for content, message in broken:
        file.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            Local(str(file.parent)).load(made())


@pytest.mark.parametrize(
    ("answer", "start", "labels"),
    [
        ("at", 3, [5, 5]),  # part of a word
        (" cat ", 1, [5, 5]),  # blanks around
        ("cat sat,", 2, [5, 7]),
        ("  ", 10, [0, 0]),  # shares no character with a token
    ],
)
def test_tokens_of_an_answer(tiny_tokenizer: Any, answer: str, start: int, labels: list[int]):
    answers = {"text": [answer, "there"], "answer_start": [start, 12]}
    record = {"question": "who sat", "context": "a cat sat,  there", "answers": answers}
    assert encoded(made(), tiny_tokenizer, record)["labels"][:] == [labels]


def test_a_question_without_an_answer_points_at_the_null_position(tiny_tokenizer: Any):
    assert encoded(made(null_answers=True), tiny_tokenizer, row("a cat"), row("a cat", "a"))["labels"][:] == [
        [0, 0],
        [4, 4],
    ]


def test_a_long_question_is_cut_and_the_text_is_not(tiny_tokenizer: Any):
    task, context = made(max_question=3), " ".join(WORDS)
    records = dataset(row(context, "w0", question="  who, please, sat"))
    tokenizer = tiny_tokenizer(task.texts(records))
    windows = task.encode(records, tokenizer, training=False)
    words = tokenizer.convert_ids_to_tokens(windows["input_ids"][0])
    assert words == ["[CLS]", "who", ",", "please", "[SEP]", *WORDS, "[SEP]"]


def test_a_model_with_shorter_inputs_gets_smaller_windows(tiny_tokenizer: Any):
    task = made()  # of 384, 64 are the question's and 128 shared; of 24 these are 4 and 8
    records = dataset(row(" ".join(WORDS + WORDS[:10]), "w19", question="who of them sat on it"))
    tokenizer = tiny_tokenizer(task.texts(records))
    tokenizer.model_max_length = 24
    # 24 - 3 - 4 = 17 words a window, 9 on each time: words 0 to 16, 9 to 25, 18 to 29
    assert task.encode(records, tokenizer, training=False)["length"][:] == [24, 24, 7 + 12]


def test_windows_too_small_for_anything(tiny_tokenizer: Any):
    with pytest.raises(UserError, match=r"A window of 8 tokens is too small for a question and a text: raise task.max_length\."):
        encoded(made(max_length=8, max_question=2, stride=4), tiny_tokenizer, row("a cat", "cat"))
    tokenizer, records = tiny_tokenizer(["a cat"]), dataset(row("a cat", "cat"))
    tokenizer.model_max_length = 6
    with pytest.raises(UserError, match="and take a model with longer inputs"):
        made().encode(records, tokenizer, training=True)


def test_a_tokenizer_without_offsets_is_refused():
    from transformers import ByT5Tokenizer

    with pytest.raises(UserError, match="ByT5Tokenizer does not say: give a model with a fast tokenizer"):
        made().encode(dataset(row("a cat", "cat")), ByT5Tokenizer(), training=True)


def test_training_keeps_no_offsets_and_prediction_needs_no_answers(tiny_tokenizer: Any):
    inputs = {"input_ids", "token_type_ids", "attention_mask", "length", "record", "null", "cut"}
    assert set(encoded(made(), tiny_tokenizer, row("a cat", "cat"), training=True).column_names) == inputs | {"labels"}
    asked = {"question": "who", "context": "a cat"}
    assert set(encoded(made(), tiny_tokenizer, asked).column_names) == inputs | {"offsets"}


def test_encode_leaves_the_tokenizer_as_it_was(tiny_tokenizer: Any):
    task, records = narrow(), dataset(row(" ".join(WORDS), "w1"))
    tokenizer = tiny_tokenizer(task.texts(records))
    before = tokenizer.backend_tokenizer.to_str()
    task.encode(records, tokenizer, training=True)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_encode_by_parts_and_by_threads_is_the_same(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    task = narrow(null_answers=True)
    records = dataset(*(row(" ".join(WORDS[: number % 20 + 1]), *WORDS[: number % 2]) for number in range(50)))
    tokenizer = tiny_tokenizer(task.texts(records))
    whole = task.encode(records, tokenizer, training=False)
    assert whole.cache_files == []
    monkeypatch.setattr("prune_cli.tasks.squad.SpanExtraction.encoded_at_once", 7)
    with ThreadPoolExecutor(4) as pool:
        for parts in pool.map(lambda _: task.encode(records, tokenizer, training=False), range(8)):
            assert parts.to_dict() == whole.to_dict()
            assert parts.features == whole.features


# --- predictions


def test_a_prediction_says_where_it_stands(tiny_tokenizer: Any):
    record = row("a cat sat, there", "cat sat")
    windows = encoded(made(), tiny_tokenizer, record)
    start, end = logits(windows)
    start[0, 5], end[0, 6] = 200, 200
    assert predicted(made(), (start, end), windows, record) == [{"answer": "cat sat", "start": 2, "end": 9, "score": 1.0}]


def test_the_best_window_answers(tiny_tokenizer: Any):
    rows = row("a cat sat", "cat"), row(" ".join(WORDS), "w8"), row(" ".join(WORDS), "w19")
    windows = encoded(narrow(), tiny_tokenizer, *rows)
    start, end = logits(windows)
    start[0, 6], end[0, 6] = 1, 1
    start[1, 4], end[1, 4] = 5, 5  # w0
    start[2, 5], end[2, 6] = 6, 6  # w8 w9
    start[4, 5], end[4, 5] = 7, 6  # w1
    start[6, 9], end[6, 9] = 7, 7  # w19
    assert answers_of(narrow(), (start, end), windows, *rows) == ["sat", "w8 w9", "w19"]


def test_what_stands_behind_a_window_is_not_read(tiny_tokenizer: Any):
    rows = row("a cat", "cat"), row("a cat sat there", "sat")
    windows = encoded(made(), tiny_tokenizer, *rows)
    expected = predicted(made(), perfect(windows), windows, *rows)
    assert [prediction["answer"] for prediction in expected] == ["cat", "sat"]
    for beyond in (1e9, np.nan):
        outputs = perfect(windows)
        for values in outputs:
            values[values == -100] = beyond
        assert predicted(made(), outputs, windows, *rows) == expected


def test_only_the_text_answers_and_from_start_to_end(tiny_tokenizer: Any):
    record = row("a cat sat there", "cat")
    windows = encoded(made(max_answer_length=2), tiny_tokenizer, record)
    start, end = logits(windows)
    for position in (0, 1, 2, 3, 8):  # [CLS] who sat [SEP] ... [SEP]
        start[0, position] = end[0, position] = 50
    start[0, 4], end[0, 6], end[0, 7] = 1, 2, 4
    start[0, 7] = 2
    assert answers_of(made(max_answer_length=4), (start, end), windows, record) == ["there"]  # 2 + 4
    start[0, 4] = 5
    assert answers_of(made(max_answer_length=4), (start, end), windows, record) == ["a cat sat there"]  # 5 + 4
    assert answers_of(made(max_answer_length=3), (start, end), windows, record) == ["a cat sat"]  # 5 + 2
    start[0, 7] = 6
    assert answers_of(made(max_answer_length=3), (start, end), windows, record) == ["there"]
    end[0, 4], start[0, 7] = 9, 11  # an end before the start is none
    assert answers_of(made(), (start, end), windows, record) == ["there"]


def test_of_ties_the_first_and_shortest_answers(tiny_tokenizer: Any):
    record = row(" ".join(WORDS), "w8")
    windows = encoded(narrow(), tiny_tokenizer, record)
    assert answers_of(narrow(), logits(windows), windows, record) == ["w0"]


def two_words(tiny_tokenizer: Any, null: float) -> tuple[dict[str, Any], Dataset, tuple[np.ndarray, np.ndarray]]:
    """Stretches "a", "a cat" and "cat" of exp(score) 4 * 1, 4 * 2 and 1 * 2, and no answer."""
    record = row("a cat", "cat")
    windows = encoded(made(), tiny_tokenizer, record)
    start, end = logits(windows, fill=30.0)  # of what is no candidate
    start[0, 4:6], end[0, 4:6] = np.log([4, 1]), np.log([1, 2])
    start[0, 0], end[0, 0] = np.log(null), 0.0
    return record, windows, (start, end)


@pytest.mark.parametrize(
    ("changes", "null", "answer", "probability"),
    [
        ({}, 100, "a cat", 8 / (8 + 4 + 2)),
        ({"n_best": 2}, 100, "a cat", 8 / (8 + 4)),
        ({"null_answers": True}, 2, "a cat", 8 / (8 + 4 + 2 + 2)),
        ({"null_answers": True, "n_best": 2}, 3, "a cat", 8 / (8 + 4 + 3)),  # beside the two best
        ({"null_answers": True, "n_best": 2}, 5, "a cat", 8 / (8 + 5)),  # one of the two best
        ({"null_answers": True, "n_best": 2}, 12, "", 12 / (12 + 8)),
        ({"null_answers": True, "null_threshold": 0.3}, 12, "", 12 / 26),  # ln(12/8) = 0.405
        ({"null_answers": True, "null_threshold": 0.5}, 12, "a cat", 8 / 26),
        ({"null_answers": True, "null_threshold": -0.5}, 6, "", 6 / 20),  # ln(6/8) = -0.288
    ],
)
def test_probability(tiny_tokenizer: Any, changes: dict[str, Any], null: float, answer: str, probability: float):
    record, windows, outputs = two_words(tiny_tokenizer, null)
    (prediction,) = predicted(made(**changes), outputs, windows, record)
    assert prediction["answer"] == answer
    assert (prediction["start"], prediction["end"]) == ((0, 5) if answer else (None, None))
    assert prediction["score"] == pytest.approx(probability)


def test_probability_over_windows(tiny_tokenizer: Any):
    record = row(" ".join(WORDS), "w8")
    windows = encoded(narrow(), tiny_tokenizer, record)
    start, end = logits(windows, fill=-100)
    start[1, 4], end[1, 4:6] = np.log(6), np.log([1, 2])  # w7 6, w7 w8 12
    start[2, 9], end[2, 9] = np.log(2), 0  # w19 2
    (prediction,) = predicted(narrow(), (start, end), windows, record)
    assert prediction["answer"] == "w7 w8"
    assert prediction["score"] == pytest.approx(12 / 20)


def test_no_answer_needs_all_windows(tiny_tokenizer: Any):
    record = row(" ".join(WORDS), "w8")
    task = narrow(null_answers=True)
    windows = encoded(task, tiny_tokenizer, record)
    start, end = logits(windows)
    start[:, 0] = [9, 8, 3]
    start[1, 5] = 3  # as much as no answer in the third window
    assert answers_of(task, (start, end), windows, record) == ["w8"]
    start[2, 0] = 3.5
    assert answers_of(task, (start, end), windows, record) == [""]
    assert answers_of(narrow(), (start, end), windows, record) == ["w8"]  # v1.1 has no such answer


def test_a_text_of_which_the_tokenizer_leaves_nothing(tiny_tokenizer: Any):
    asked = {"question": "who", "context": " "}
    windows = encoded(made(), tiny_tokenizer, asked)
    nothing = {"answer": "", "start": None, "end": None}
    assert predicted(made(), logits(windows), windows, asked) == [{**nothing, "score": 0.0}]
    assert predicted(made(null_answers=True), logits(windows), windows, asked) == [{**nothing, "score": 1.0}]


def test_outputs_that_are_not_finite_are_no_prediction(tiny_tokenizer: Any):
    rows = row("a cat", "cat"), row("a cat", "cat"), row("a cat", "cat")
    windows = encoded(made(), tiny_tokenizer, *rows)
    start, end = logits(windows)
    start[0, 1], end[2, 4] = np.nan, -np.inf
    with pytest.raises(UserError, match="Training diverged: outputs for 2 of 3 windows are not finite"):
        predicted(made(), (start, end), windows, *rows)


def test_the_search_is_that_of_a_plain_loop(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(squad, "SEARCHED_AT_ONCE", 5)
    rows = [row(" ".join(WORDS[: number + 1]), "w0") for number in range(20)]
    task = narrow(max_answer_length=3, n_best=4)
    windows = encoded(task, tiny_tokenizer, *rows)
    random = np.random.default_rng(0)
    start, end = (random.normal(size=values.shape).astype(np.float32) for values in logits(windows))
    candidates: list[list[tuple[float, int, int]]] = [[] for _ in rows]
    for number, (owner, flat) in enumerate(zip(windows["record"], windows["offsets"], strict=True)):
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        for first in range(len(pairs)):
            for last in range(first, min(first + 3, len(pairs))):
                if pairs[first][0] >= 0 and pairs[last][0] >= 0:
                    candidates[owner].append((start[number, first] + end[number, last], pairs[first][0], pairs[last][1]))
    for prediction, found in zip(predicted(task, (start, end), windows, *rows), candidates, strict=True):
        scores = sorted((score for score, _, _ in found), reverse=True)[:4]
        assert (prediction["start"], prediction["end"]) == max(found)[1:]
        assert prediction["score"] == pytest.approx(1 / sum(np.exp(score - scores[0]) for score in scores))


def test_tokens_that_begin_with_a_blank():
    """As those of byte-level tokenizers that do not trim offsets, and without a [CLS] token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(["a cat sat", " cat sat"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    record = row("a cat sat at 3 £", "cat sat", question="?")
    windows = made().encode(dataset(record), tokenizer, training=False)
    assert windows["null"][:] == [0]
    assert predicted(made(), perfect(windows), windows, record)[0] == {
        "answer": "cat sat",
        "start": 2,
        "end": 9,
        "score": pytest.approx(1, abs=1e-2),
    }
    pound = row("a cat sat at 3 £", "£", question="?")  # two bytes, two tokens, one character
    windows = made().encode(dataset(pound), tokenizer, training=False)
    assert np.array(windows["offsets"][0]).reshape(-1, 2)[slice(-2, None), 1].tolist() == [16, 16]
    (first, last) = windows["labels"][0]
    assert last == windows["length"][0] - 1 > first
    assert answers_of(made(), perfect(windows), windows, pound) == ["£"]


# --- metrics


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("The Cat", "cat"),
        ("an apple a day", "apple day"),
        ("another theatre", "another theatre"),
        ("U.S.A.'s", "usas"),
        ("a-team", "ateam"),  # punctuation goes before articles do
        ("A. Smith", "smith"),
        ("$1,000.5", "10005"),
        ("“the” … 5 °C", "“ ” … 5 °c"),  # only ASCII punctuation goes
        ("  two \t words\u00a0here\n", "two words here"),
        ("É", "é"),
        ("The", ""),
        ("?!", ""),
    ],
)
def test_normalization(answer: str, words: str):
    assert normalized(answer) == words


@pytest.mark.parametrize(
    ("answer", "references", "v1", "v2"),
    [
        ("the cat", ["A cat!"], (1, 1), (1, 1)),
        ("big cat sat", ["the cat"], (0, 0.5), (0, 0.5)),  # 2 * 1 / (3 + 1)
        ("cat cat dog", ["cat cat cat"], (0, 2 / 3), (0, 2 / 3)),  # words count as often as they are there
        ("cat", ["dog", "cat", "a big cat"], (1, 1), (1, 1)),
        ("big cat", ["cat", "small dog"], (0, 2 / 3), (0, 2 / 3)),
        ("10 km", ["10km"], (0, 0), (0, 0)),
        ("“cat”", ["cat"], (0, 0), (0, 0)),
        ("", ["cat"], (0, 0), (0, 0)),
        ("", ["The"], (1, 0), (1, 1)),
        ("a", ["The"], (1, 0), (1, 1)),
        ("cat", ["The", "cat"], (1, 1), (1, 1)),
        ("the", ["The", "cat"], (1, 0), (0, 0)),  # v2.0 leaves out a reference without a word if there are others
    ],
)
def test_scores_of_one_answer(answer: str, references: list[str], v1: tuple[float, float], v2: tuple[float, float]):
    scores = answer_scores([answer], [references], null_answers=False)
    assert scores == {"exact_match": v1[0], "f1": pytest.approx(v1[1])}
    scores = answer_scores([answer], [references], null_answers=True)
    assert (scores["exact_match"], scores["f1"]) == (v2[0], pytest.approx(v2[1]))


def test_scores_with_null_answers():
    answers = ["cat", "", "big cat", "", "dog", "the"]
    references = [["cat"], ["cat"], ["cat"], [], [], []]
    assert answer_scores(answers, references, null_answers=True) == {
        "exact_match": pytest.approx(3 / 6),  # first, fourth, sixth: nothing is left of "the"
        "f1": pytest.approx((1 + 2 / 3 + 1 + 1) / 6),
        "has_answer_exact_match": pytest.approx(1 / 3),
        "has_answer_f1": pytest.approx((1 + 2 / 3) / 3),
        "no_answer_exact_match": pytest.approx(2 / 3),
        "no_answer_f1": pytest.approx(2 / 3),
    }
    assert set(answer_scores(["cat"], [["cat"]], null_answers=True)) == {
        "exact_match",
        "f1",
        "has_answer_exact_match",
        "has_answer_f1",
    }


def test_score_of_a_split():
    task = made(evaluation_splits=("validation", "test"))
    records = dataset(row("a cat sat", "cat", "a cat sat"), row("a cat sat", "sat"))
    predictions = [{"answer": "a cat"}, {"answer": "cat sat"}]
    assert task.score(predictions, records, "validation") == {"exact_match": 0.5, "f1": pytest.approx(5 / 6)}
    assert set(task.score(predictions, records, "test")) == {"exact_match_test", "f1_test"}


# --- real records


def read(file: Path, every: int = 1) -> Dataset:
    lines = file.read_text(encoding="utf-8").splitlines()[::every]
    return dataset(*(dict(made().adapt(json.loads(line))) for line in lines))


@exhaustive
def test_real_records_are_sound(real_data: Path):
    for split, count in (("train", 9215), ("validation", 2910)):
        records = read(real_data / "squad" / f"{split}.jsonl")
        assert len(records) == count
        assert made().check(records) == []


@pytest.mark.parametrize("max_length", [384, 96])
def test_perfect_logits_answer_real_records(real_data: Path, tiny_tokenizer: Any, max_length: int):
    records = read(real_data / "squad" / "validation.jsonl", every=15)
    task = made(max_length=max_length, max_question=32, stride=40, max_answer_length=100)
    tokenizer = tiny_tokenizer(task.texts(records))
    windows = task.encode(records, tokenizer, training=False)
    assert len(windows) > len(records) == 194
    predictions = task.predictions(perfect(windows), windows, records, tokenizer)
    assert task.score(predictions, records, "validation") == {"exact_match": 1.0, "f1": 1.0}
    for prediction, context in zip(predictions, records["context"], strict=True):
        assert context[prediction["start"] : prediction["end"]] == prediction["answer"]
