from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from omegaconf import OmegaConf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from prune_cli.config.build import build
from prune_cli.data.local import Local
from prune_cli.errors import UserError
from prune_cli.tasks.ner import WORDS, TokenTagging
from tests.tiers import quick

Build = Callable[..., TokenTagging]
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.fixture
def ner_task(project_root: Path) -> Build:
    """Build the task of a YAML file in conf/task, with fields replaced at will."""

    def make(name: str = "ner", **changes: object) -> TokenTagging:
        fields = OmegaConf.to_container(OmegaConf.load(project_root / "conf" / "task" / f"{name}.yaml"))
        assert isinstance(fields, dict)
        return build({str(key): value for key, value in {**fields, **changes}.items()}, "task")

    return make


@pytest.fixture
def task(ner_task: Build) -> TokenTagging:
    """Persons and places, in IOB2."""
    return ner_task(labels=list(LABELS))


def records(*sentences: tuple[str, list[int]]) -> Dataset:
    return Dataset.from_dict({"tokens": [text.split() for text, _ in sentences], "ner_tags": [tags for _, tags in sentences]})


ANN = records(("Ann Lee visited New York", [1, 2, 0, 3, 4]), ("Bob slept", [1, 0]))


def pieces(prefix: str, pre_tokenizer: pre_tokenizers.PreTokenizer, **special: str) -> PreTrainedTokenizerFast:
    """A tokenizer that splits words into letters, all but "Ann" and "New"; a prefix marks what follows a blank."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        special_tokens=["<unk>", "<pad>", "</s>"],
        initial_alphabet=[*pre_tokenizers.ByteLevel.alphabet(), prefix],
        vocab_size=3 + 257 + 6,
        show_progress=False,
    )
    tokenizer.train_from_iterator([" Ann New"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **special)


TOKENIZERS = {
    "byte-level": lambda: pieces("Ġ", pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "digits": lambda: pieces(
        "Ġ", pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ),
    "metaspace": lambda: pieces("▁", pre_tokenizers.Metaspace()),
}


def certain(classes: Sequence[Sequence[int]] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The head's predictions of a model that is quite sure: classes, and their probabilities."""
    chosen = np.asarray(classes)
    return chosen, np.where(chosen == -100, -100.0, 1.0)


def perfect(encoded: Dataset, right: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Those of one that is right on every word: -100 on padding, class 0 on what is no first sub-token."""
    outputs = np.full((len(encoded), max(encoded["length"])), -100)
    columns = (encoded[name] for name in ("length", "record", "words", "positions"))
    for row, (length, record, words, positions) in enumerate(zip(*columns, strict=True)):
        outputs[row, :length] = 0
        outputs[row, positions] = [right[record]["ner_tags"][word] for word in words]
    return certain(outputs)


# --- configuration and label sets


def test_label_numbers_of_the_real_tasks(ner_task: Build):
    """Numbered as on the hub."""
    assert " ".join(ner_task("conll2003").labels) == "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC B-MISC I-MISC"
    assert len(ner_task("wnut17").labels) == 13
    assert ner_task("wnut17").labels[3:5] == ("B-creative-work", "I-creative-work")
    assert ner_task("ner").labels == ()
    assert ner_task("ner").hub_path == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["O", "PER"]}, r"task.labels=\[O, PER\]: `PER` is no tag"),
        ({"labels": ["B-PER"]}, r"task.labels=\[B-PER\]: O is missing"),
        (
            {"primary_metric": "f2"},
            "task.primary_metric=f2 is no metric of ner; known are f1, precision, recall, accuracy",
        ),
        (
            {"labels": [*LABELS], "primary_metric": "f1_ORG"},
            "task.primary_metric=f1_ORG is no metric .* f1_PER, precision_PER, recall_PER, f1_LOC",
        ),
        ({"stride": -1}, "task.stride=-1: give at least 0"),
        ({"max_length": 2}, "task.max_length=2: must be above 2"),
        ({"evaluation_splits": []}, "task.evaluation_splits is empty"),
        ({"evaluation_records": 0}, "task.evaluation_records=0"),
    ],
)
def test_impossible_fields(ner_task: Build, changes: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        ner_task(**changes)


def test_the_f1_of_a_type_waits_for_the_labels(ner_task: Build):
    task = ner_task(primary_metric="f1_ORG")
    with pytest.raises(UserError, match="f1_ORG is no metric"):
        task.fitted([], LABELS)
    assert task.fitted([], ["O", "B-ORG"]).primary_metric == "f1_ORG"


def test_labels_from_the_names_of_tags(ner_task: Build):
    rows = [{"tokens": ["a"], "ner_tags": ["I-b"]}, {"ner_tags": ["O", "S-a", None]}, {"ner_tags": "B-c"}, {}]
    assert ner_task().fitted(rows, None).labels == ("O", "B-a", "I-a", "B-b", "I-b")


def test_names_that_come_along_win_over_those_of_tags(ner_task: Build):
    assert ner_task().fitted([{"ner_tags": ["B-a"]}], ["B-a", "O"]).labels == ("B-a", "O")


def test_configured_labels_win(task: TokenTagging):
    assert task.fitted([{"ner_tags": ["B-other", 3]}], None) is task
    assert task.fitted([], ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]) is task  # `named` goes by the names


def test_labels_that_contradict_each_other(task: TokenTagging):
    with pytest.raises(UserError) as caught:
        task.fitted([], ["O", "B-ORG", "I-ORG"])
    assert "the label names of the data are [O, B-ORG, I-ORG], and B-ORG is none of task" in str(caught.value)
    assert "which has [O, B-PER, I-PER, B-LOC, I-LOC]" in str(caught.value)


def test_names_that_are_no_tags(ner_task: Build):
    with pytest.raises(UserError, match=r"label names of the data, \[O, B-PER, I-LOC\]: `I-LOC` is there without B-LOC"):
        ner_task().fitted([], ["O", "B-PER", "I-LOC"])


def test_numbers_without_names(ner_task: Build):
    with pytest.raises(UserError, match=r"are numbers, and nothing names them: .*labels.json .* task.labels="):
        ner_task().fitted([{"ner_tags": [0, 1]}], None)


def test_names_without_a_type(ner_task: Build):
    with pytest.raises(UserError, match="name no entity, only O, PER: tags are O, and B-X or I-X"):
        ner_task().fitted([{"ner_tags": ["PER", "O"]}], None)


# --- records


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("O B-PER I-PER O B-LOC", "O B-PER I-PER O B-LOC"),  # IOB2 stays
        ("O I-PER I-PER O I-LOC", "O B-PER I-PER O B-LOC"),  # IOB1
        ("I-PER B-PER I-PER", "B-PER B-PER I-PER"),  # IOB1: B-X parts neighbours of one type
        ("I-PER I-LOC I-LOC", "B-PER B-LOC I-LOC"),  # neighbours of two types
        ("B-PER I-LOC I-PER", "B-PER B-LOC B-PER"),
        ("B-PER E-PER S-LOC S-LOC O", "B-PER I-PER B-LOC B-LOC O"),  # IOBES
        ("B-PER I-PER L-PER U-LOC", "B-PER I-PER I-PER B-LOC"),  # BILOU
    ],
)
def test_tags_become_numbers_of_iob2(task: TokenTagging, given: str, expected: str):
    adapted = task.adapt({"tokens": ["x"] * len(given.split()), "ner_tags": given.split(), "id": "0"})
    assert [LABELS[number] for number in adapted["ner_tags"]] == expected.split()
    assert set(adapted) == {"tokens", "ner_tags"}


def test_numbers_become_iob2_too(task: TokenTagging):
    assert task.adapt({"ner_tags": [2, 2, 0, 4, 3]})["ner_tags"] == [1, 2, 0, 3, 3]
    assert task.adapt({"ner_tags": [9, -1]})["ner_tags"] == [9, -1]  # check tells


def test_no_continuation_in_the_label_set(ner_task: Build):
    assert ner_task(labels=["O", "B-PER"]).adapt({"ner_tags": ["B-PER", "B-PER"]})["ner_tags"] == [1, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"ner_tags": ["O", "B-ORG"]},
            "`ner_tags` holds the unknown tag 'B-ORG'; known are O, B-PER, I-PER, B-LOC, I-LOC",
        ),
        ({"ner_tags": [1.0]}, "the unknown tag 1.0;"),
        ({"ner_tags": [True]}, "the unknown tag True;"),
        ({"ner_tags": [None]}, "the unknown tag None;"),
        ({"ner_tags": [["O"]]}, r"the unknown tag \['O'\];"),
        ({"tokens": ["a", 5], "ner_tags": [0, 0]}, "`tokens` holds 5, not text"),
    ],
)
def test_records_that_cannot_be_adapted(task: TokenTagging, row: Mapping[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        task.adapt(row)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann Lee visited New York.", ["Ann", "Lee", "visited", "New", "York", "."]),
        ("(U.S. GDP: +1,000.5%)", ["(", "U.S.", "GDP", ":", "+", "1,000.5", "%", ")"]),
        ("Ann's O'Neill, don't", ["Ann", "'s", "O'Neill", ",", "don", "'t"]),
        ("AT&T 1996-08-22 \u2018Größe\u2019", ["AT&T", "1996-08-22", "\u2018", "Größe", "\u2019"]),
        ("@ann #x!?", ["@ann", "#x", "!", "?"]),
    ],
)
def test_plain_text_is_split_into_words(task: TokenTagging, text: str, words: list[str]):
    assert task.adapt({"tokens": text}) == {"tokens": words, "text": text}
    assert "".join(WORDS.findall(text)) == text.replace(" ", "")  # nothing is lost


def test_text_with_tags_is_not_split(task: TokenTagging):
    assert task.adapt({"tokens": "Ann slept", "ner_tags": ["B-PER", "O"]})["tokens"] == "Ann slept"  # the check of types tells


def test_check_finds_every_kind_of_bad_record(task: TokenTagging):
    bad = Dataset.from_dict(
        {
            "tokens": [["a", "b"], ["a", "b"], [], None, ["a", "", "b"], ["a"], ["a", "b"], ["a"]],
            "ner_tags": [[1, 2], [1], [], [0], [0, 0, 0], None, [0, 5], [-100]],
        }
    )
    assert task.check(bad) == [
        (1, "2 words in `tokens`, but 1 tags in `ner_tags`"),
        (2, "no words in `tokens`"),
        (3, "no words in `tokens`"),
        (4, "word 2 of `tokens` is empty"),
        (5, "`ner_tags` is empty"),
        (6, "`ner_tags` holds 5, outside 0 to 4 (O, B-PER, I-PER, B-LOC, I-LOC)"),
        (7, "`ner_tags` holds -100, outside 0 to 4 (O, B-PER, I-PER, B-LOC, I-LOC)"),
    ]


# --- inputs


def test_encode(task: TokenTagging, tiny_tokenizer):
    encoded = task.encode(ANN, tiny_tokenizer(task.texts(ANN)), training=True)
    # [CLS] ann lee visited new york [SEP]
    assert encoded["labels"][:] == [[-100, 1, 2, 0, 3, 4, -100], [-100, 1, 0, -100]]
    assert encoded["words"][:] == [[0, 1, 2, 3, 4], [0, 1]]
    assert encoded["positions"][:] == [[1, 2, 3, 4, 5], [1, 2]]
    assert encoded["length"][:] == [7, 4]
    assert encoded["record"][:] == [0, 1]
    assert encoded["attention_mask"][1] == [1, 1, 1, 1]
    assert encoded.cache_files == []


def test_a_label_stands_on_the_first_of_several_sub_tokens(task: TokenTagging, tiny_tokenizer):
    words = Dataset.from_dict({"tokens": [["Lee-Ann", "slept"]], "ner_tags": [[1, 0]]})
    encoded = task.encode(words, tiny_tokenizer(["lee - ann slept"]), training=True)
    assert encoded["labels"][0] == [-100, 1, -100, -100, 0, -100]
    assert encoded["positions"][0] == [1, 4]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_are_split_as_in_running_text(task: TokenTagging, kind: str):
    tokenizer = TOKENIZERS[kind]()
    sentence = records(("Ann Newer 1996 \u200e New", [1, 2, 0, 0, 3]))
    encoded = task.encode(sentence, tokenizer, training=False)
    assert encoded["input_ids"][0] == tokenizer(" Ann Newer 1996 \u200e New")["input_ids"]
    starts = [tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])[word] for word in encoded["positions"][0]]
    assert [start[0] for start in starts] == [starts[0][0]] * 5  # the mark of a blank
    assert starts[0][1:] == "Ann"
    assert starts[1][1:] == "New"


def test_a_word_without_tokens_keeps_its_place(task: TokenTagging, tiny_tokenizer):
    sentence = Dataset.from_dict({"tokens": [["Ann", " ", "slept"], ["\u2028"]], "ner_tags": [[1, 1, 0], [1]]})
    tokenizer = tiny_tokenizer(["ann slept"])
    encoded = task.encode(sentence, tokenizer, training=False)
    assert encoded["words"][:] == [[0, 2], []]
    assert encoded["positions"][:] == [[1, 2], []]
    assert encoded["labels"][:] == [[-100, 1, 0, -100], [-100, -100]]
    made = task.predictions(certain([[0, 1, 0, 0], [0, 0, -100, -100]]), encoded, sentence, tokenizer)
    assert [prediction["tags"] for prediction in made] == [["B-PER", "O", "O"], ["O"]]


def test_nothing_is_learned_from_a_record_without_tokens(task: TokenTagging, tiny_tokenizer):
    """Alone in a batch, its loss would be a mean over nothing."""
    sentences = Dataset.from_dict({"tokens": [["\u2028"], ["Ann"]], "ner_tags": [[1], [1]]})
    assert task.encode(sentences, tiny_tokenizer(["ann"]), training=True)["record"][:] == [1]


def test_what_is_too_long_is_read_in_windows(ner_task: Build, tiny_tokenizer):
    task, tokenizer = (
        ner_task(labels=list(LABELS), max_length=5, stride=1),
        tiny_tokenizer(["ann lee visited new york"]),
    )
    learned = task.encode(ANN, tokenizer, training=True)
    # ann lee visited | visited new york | bob slept: each window has its labels
    assert learned["labels"][:] == [[-100, 1, 2, 0, -100], [-100, 0, 3, 4, -100], [-100, 1, 0, -100]]
    assert learned["record"][:] == [0, 0, 1]
    read = task.encode(ANN, tokenizer, training=False)
    assert read["words"][:] == [[0, 1, 2], [3, 4], [0, 1]], "visited is read once: both sides are alike, so at first"
    assert read["positions"][:] == [[1, 2, 3], [2, 3], [1, 2]]
    tokenizer.model_max_length = 4
    assert task.encode(ANN, tokenizer, training=True)["length"][:] == [4, 4, 4, 4, 4]
    assert {n for words in task.encode(ANN, tokenizer, training=False)["words"][:4] for n in words} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("stride", "length"), quick([(2, 7)], itertools.product([0, 1, 2, 5], [4, 7, 11])))
def test_no_word_is_lost_or_read_twice(ner_task: Build, kind: str, stride: int, length: int):
    """Words of many tokens begin in one window and end in another: only their beginning has a label."""
    task, tokenizer = ner_task(labels=list(LABELS), max_length=length, stride=stride), TOKENIZERS[kind]()
    random = Random(0)
    lines = [["".join(random.choices("AnewN", k=random.randint(1, 9))) for _ in range(random.randint(1, 30))] for _ in range(20)]
    tags = [[number % 5 for number in range(len(words))] for words in lines]
    long = Dataset.from_dict({"tokens": lines, "ner_tags": tags})
    read = task.encode(long, tokenizer, training=False)
    seen = [(record, word) for record, words in zip(read["record"], read["words"], strict=True) for word in words]
    assert sorted(seen) == [(record, word) for record, words in enumerate(lines) for word in range(len(words))]
    for ids, words, positions, record in zip(*(read[n] for n in ("input_ids", "words", "positions", "record")), strict=True):
        for word, position in zip(words, positions, strict=True):
            assert ids[position] == tokenizer([f" {lines[record][word]}"], is_split_into_words=True)["input_ids"][0]
    made = task.predictions(perfect(read, long), read, long, tokenizer)
    assert [[LABELS.index(tag) for tag in prediction["tags"]] for prediction in made] == tags
    learned = task.encode(long, tokenizer, training=True)
    for row in learned:
        labels = [tag for tag in row["labels"] if tag != -100]  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert labels == [tags[row["record"]][word] for word in row["words"]]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_slow_tokenizer_is_refused(task: TokenTagging):
    tokenizer = SimpleNamespace(is_fast=False)
    with pytest.raises(UserError, match="task ner must know which word each token is of, and SimpleNamespace does not say"):
        task.encode(ANN, tokenizer, training=False)  # pyright: ignore[reportArgumentType]


def test_encode_without_tags(task: TokenTagging, tiny_tokenizer):
    encoded = task.encode(ANN.remove_columns("ner_tags"), tiny_tokenizer(["ann"]), training=False)
    assert "labels" not in encoded.column_names


def test_encode_leaves_the_tokenizer_as_it_was(task: TokenTagging, tiny_tokenizer):
    tokenizer = tiny_tokenizer(["ann"])
    before = tokenizer.backend_tokenizer.to_str()
    task.encode(ANN, tokenizer, training=True)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_encode_by_parts_is_the_same(task: TokenTagging, tiny_tokenizer, monkeypatch: pytest.MonkeyPatch):
    tokenizer, many = tiny_tokenizer(["ann"]), Dataset.from_list(ANN.to_list() * 5)
    whole = task.encode(many, tokenizer, training=True).to_dict()
    monkeypatch.setattr("prune_cli.tasks.ner.TokenTagging.encoded_at_once", 3)
    assert task.encode(many, tokenizer, training=True).to_dict() == whole


def test_texts(task: TokenTagging):
    assert task.texts(ANN) == ["Ann Lee visited New York", "Bob slept"]


# --- predictions and scores


def test_predictions(task: TokenTagging, tiny_tokenizer):
    tokenizer = tiny_tokenizer(task.texts(ANN))
    encoded = task.encode(ANN, tokenizer, training=False)
    outputs = np.array([[3, 1, 2, 0, 3, 4, 3], [2, 2, 3, 1, -100, -100, -100]])
    sure = np.array([[0.1, 0.5, 1.0, 0.9, 0.25, 0.5, 0.1], [0.1, 0.2, 0.7, 0.1, -100, -100, -100]])
    assert task.predictions((outputs, sure), encoded, ANN.select_columns("tokens"), tokenizer) == [
        {
            "entities": [  # scores are means over words
                {"type": "PER", "text": "Ann Lee", "start": 0, "end": 7, "score": 0.75},
                {"type": "LOC", "text": "New York", "start": 16, "end": 24, "score": 0.375},
            ],
            "tokens": ["Ann", "Lee", "visited", "New", "York"],
            "tags": ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"],
        },
        {  # I-PER continues nothing
            "entities": [{"type": "LOC", "text": "slept", "start": 4, "end": 9, "score": 0.7}],
            "tokens": ["Bob", "slept"],
            "tags": ["I-PER", "B-LOC"],
        },
    ]


def test_entities_of_a_text_are_told_by_its_own_characters(task: TokenTagging, tiny_tokenizer):
    text = "Ann-Lee  visited (New  York)."
    asked = Dataset.from_list([dict(task.adapt({"tokens": text}))])
    tokenizer = tiny_tokenizer(["ann - lee visited ( new york ) ."])
    encoded = task.encode(asked, tokenizer, training=False)
    (made,) = task.predictions(
        perfect(encoded, Dataset.from_dict({"ner_tags": [[1, 0, 0, 3, 4, 0, 0]]})), encoded, asked, tokenizer
    )
    assert made["tokens"] == ["Ann-Lee", "visited", "(", "New", "York", ")", "."]
    assert made["entities"] == [
        {"type": "PER", "text": "Ann-Lee", "start": 0, "end": 7, "score": 1.0},
        {"type": "LOC", "text": "New  York", "start": 18, "end": 27, "score": 1.0},
    ]
    assert text[18:27] == "New  York"


def test_right_is_all_entities_and_no_other(task: TokenTagging):
    record = {"tokens": ["Ann", "slept"], "ner_tags": [1, 0]}
    assert task.right({"tags": ["B-PER", "O"]}, record)
    assert task.right({"tags": ["B-PER", "I-LOC"]}, record), "which is no entity"
    assert not task.right({"tags": ["B-PER", "B-LOC"]}, record)
    assert not task.right({"tags": ["O", "O"]}, record)


def test_outputs_that_are_not_finite_are_no_prediction(task: TokenTagging, tiny_tokenizer):
    tokenizer = tiny_tokenizer(task.texts(ANN))
    encoded = task.encode(ANN, tokenizer, training=False)
    outputs = perfect(encoded, ANN)
    outputs[0][1, 2] = -100
    with pytest.raises(UserError, match="Training diverged: outputs for 1 of 2 records are not finite"):
        task.predictions(outputs, encoded, ANN, tokenizer)


def test_predictions_are_json(task: TokenTagging, tiny_tokenizer):
    tokenizer = tiny_tokenizer(task.texts(ANN))
    encoded = task.encode(ANN, tokenizer, training=False)
    made = task.predictions(perfect(encoded, ANN), encoded, ANN, tokenizer)
    assert json.loads(json.dumps(made)) == made


def test_score_by_split(ner_task: Build):
    task = ner_task(labels=list(LABELS), evaluation_splits=["validation", "test"])
    made = [{"tags": ["B-PER", "I-PER", "O", "O", "B-LOC"]}, {"tags": ["O", "O"]}]
    by_hand = {"f1": 2 / 5, "precision": 1 / 2, "recall": 1 / 3, "accuracy": 4 / 7}
    by_hand |= {"f1_PER": 2 / 3, "precision_PER": 1.0, "recall_PER": 1 / 2}
    by_hand |= {"f1_LOC": 0.0, "precision_LOC": 0.0, "recall_LOC": 0.0}
    assert task.score(made, ANN, "validation") == pytest.approx(by_hand)
    assert task.score(made, ANN, "test") == pytest.approx({f"{name}_test": value for name, value in by_hand.items()})


# --- folders


def write_jsonl(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    for split in ("train", "validation"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


EXPECTED = [{"tokens": ["Ann", "Lee", "visited", "Rome"], "ner_tags": [3, 4, 0, 1]}]  # of O, B-LOC, I-LOC, B-PER, I-PER


def test_a_folder_with_names(ner_task: Build, tmp_path: Path):
    write_jsonl(tmp_path, [{"tokens": ["Ann", "Lee", "visited", "Rome"], "ner_tags": ["I-PER", "I-PER", "O", "I-LOC"]}])
    task, splits = Local(str(tmp_path)).load(ner_task())
    assert task.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert splits["train"].to_list() == splits["validation"].to_list() == EXPECTED


def test_a_folder_with_numbers_and_names_beside_them(ner_task: Build, tmp_path: Path):
    write_jsonl(tmp_path, EXPECTED)
    with pytest.raises(UserError, match=r"labels\.json"):
        Local(str(tmp_path)).load(ner_task())
    names = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    (tmp_path / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    task, splits = Local(str(tmp_path)).load(ner_task())
    assert task.labels == tuple(names)
    assert splits["train"].to_list() == EXPECTED
    known, splits = Local(str(tmp_path)).load(ner_task(labels=list(LABELS)))  # in another order
    assert [known.labels[tag] for tag in splits["train"]["ner_tags"][0]] == ["B-PER", "I-PER", "O", "B-LOC"]
    (tmp_path / "labels.json").write_text(json.dumps(names[:4]), encoding="utf-8")
    with pytest.raises(UserError, match="`ner_tags` holds 4, and the data name 4 tags, 0 to 3"):
        Local(str(tmp_path)).load(ner_task(labels=list(LABELS)))


@pytest.mark.parametrize("suffix", ["conll", "txt", "bio"])
def test_a_folder_of_conll_files(ner_task: Build, tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.{suffix}").write_text(
            "-DOCSTART- O\n\nAnn NNP I-PER\nLee NNP I-PER\nvisited VBD O\nRome NNP I-LOC\n", encoding="utf-8"
        )
    source = Local(str(tmp_path))
    assert source.missing(ner_task()) == []
    with caplog.at_level("WARNING"):
        task, splits = source.load(ner_task())
    assert task.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert splits["validation"].to_list() == EXPECTED
    (said,) = caplog.messages
    assert said == (
        f"{tmp_path / 'train'}.{suffix}: 2 entities of the training records begin with I-X, as in IOB1: they are read as if"
        " they began with B-X."
    )


def test_bad_records_are_named(ner_task: Build, tmp_path: Path):
    write_jsonl(
        tmp_path,
        [
            {"tokens": ["Ann", "slept"], "ner_tags": ["B-PER"]},
            {"tokens": ["Rome"], "ner_tags": ["B-CITY"]},
            {"tokens": "Ann slept", "ner_tags": ["B-PER", "O"]},
            {"tokens": ["Rome"], "ner_tags": "B-LOC"},
            {"tokens": ["Rome"], "labels": ["B-LOC"]},
        ],
    )
    with pytest.raises(UserError) as caught:
        Local(str(tmp_path)).load(ner_task(labels=list(LABELS)))
    file = tmp_path / "train.jsonl"
    assert caught.value.problems[:5] == (
        f"{file}:1: 2 words in `tokens`, but 1 tags in `ner_tags`.",
        f"{file}:2: `ner_tags` holds the unknown tag 'B-CITY'; known are O, B-PER, I-PER, B-LOC, I-LOC.",
        f"{file}:3: `tokens` is text ('Ann slept'), not a list.",
        f"{file}:4: `ner_tags` is text ('B-LOC'), not a list.",
        f"{file}:5: no column `ner_tags`; there are `tokens`, `labels`.",
    )


def test_tags_by_the_name_that_ontonotes_has(ner_task: Build, tmp_path: Path):
    task = ner_task("ontonotes")
    assert len(task.labels) == 37
    assert (task.labels[0], task.labels[4:6], task.labels[-1]) == ("O", ("B-PERSON", "I-PERSON"), "I-LANGUAGE")
    write_jsonl(tmp_path, [{"tokens": ["Phil", "Rosen", "says"], "tags": [4, 5, 0]}])
    _, splits = Local(str(tmp_path)).load(task)
    assert splits["train"].to_list() == [{"tokens": ["Phil", "Rosen", "says"], "ner_tags": [4, 5, 0]}]


def test_the_same_id_twice_is_told(ner_task: Build, tmp_path: Path):
    write_jsonl(tmp_path, [{"id": number, "tokens": ["Ann"], "ner_tags": ["B-PER"]} for number in ("7", "8", "7")])
    with pytest.raises(UserError) as caught:
        Local(str(tmp_path)).load(ner_task())
    file = tmp_path / "train.jsonl"
    assert caught.value.problems[0] == f"{file}:3: `id` is that of {file}:1: two records are one, or need two."


def test_a_type_that_training_lacks(ner_task: Build, tmp_path: Path):
    write_jsonl(tmp_path, [{"tokens": ["Ann"], "ner_tags": ["B-PER"]}])
    (tmp_path / "validation.jsonl").write_text('{"tokens": ["Rome"], "ner_tags": ["B-LOC"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"validation\.jsonl:1: .*unknown tag 'B-LOC'; known are O, B-PER, I-PER\."):
        Local(str(tmp_path)).load(ner_task())


def test_perfect_outputs_on_real_data(ner_task: Build, real_data: Path, tiny_tokenizer):
    task, splits = Local(str(real_data / "conll2003")).load(ner_task("conll2003"))
    assert {split: len(part) for split, part in splits.items()} == {"train": 14041, "validation": 3250}
    validation = splits["validation"]
    tokenizer = tiny_tokenizer(task.texts(validation))
    encoded = task.encode(validation, tokenizer, training=False)
    made = task.predictions(perfect(encoded, validation), encoded, validation, tokenizer)
    assert set(task.score(made, validation, "validation").values()) == {1.0}
    types = [entity["type"] for prediction in made for entity in prediction["entities"]]
    assert {kind: types.count(kind) for kind in set(types)} == {"PER": 1842, "ORG": 1341, "LOC": 1837, "MISC": 922}


def test_real_tags_made_iob1_come_back(ner_task: Build, real_data: Path):
    """IOB1 as in the corpus' first release: B-X only where an entity follows another of its type."""
    task = ner_task("conll2003")
    names, parted = task.labels, 0
    _, splits = Local(str(real_data / "conll2003")).load(task)
    for tags in splits["train"]["ner_tags"]:
        older = ["O"] * len(tags)
        for position, tag in enumerate(tags):
            before = names[tags[position - 1]][2:] if position else ""
            follows = names[tag].startswith("B-") and before == names[tag][2:]
            parted += follows
            older[position] = names[tag] if follows or tag == 0 else f"I-{names[tag][2:]}"
        assert task.adapt({"ner_tags": older})["ner_tags"] == tags
    assert parted > 0


# --- words of a plain text, where marks combine and join


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("नरेन्द्र मोदी दिल्ली में", ["नरेन्द्र", "मोदी", "दिल्ली", "में"]),
        ("Rene\u0301 lives", ["Rene\u0301", "lives"]),
        ("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05dc\u05dd", None),  # vowel points
        ("\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e \u0e40\u0e21\u0e37\u0e2d\u0e07", None),  # Thai
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),  # a joiner of no width inside a word
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea", None),  # joined emoji
    ],
)
def test_marks_stay_with_their_word(task: TokenTagging, text: str, words: list[str] | None):
    assert task.adapt({"tokens": text})["tokens"] == (words or text.split(" "))


def test_tags_without_a_type_are_of_one(ner_task: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "all.conll").write_text("Ada B\nlives O\nin O\nNew B\nYork I\n\nBob B\nsleeps O\n", encoding="utf-8")
    task, splits = Local(str(tmp_path / "all.conll"), holdout=0.5).load(ner_task())
    assert task.labels == ("O", "B-ENTITY", "I-ENTITY")
    assert "tags B, I of the training records name no type: all entities are of one, ENTITY" in caplog.text
    tags = [tag for part in splits.values() for row in part["ner_tags"][:] for tag in row]
    assert sorted(tags) == [0, 0, 0, 1, 1, 1, 2]
