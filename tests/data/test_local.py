from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_cli.data.local import Local
from prune_cli.errors import UserError

RECORDS = [
    {"sentence1": "A cat, asleep.", "sentence2": 'He said "no".', "label": 1},
    {"sentence1": "Größe zählt.", "sentence2": "", "label": 0},
]


def write_jsonl(file: Path, records: list[dict] = RECORDS) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with good records in train.jsonl and validation.jsonl."""
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl")
    return tmp_path


def load_problems(folder: Path, task) -> tuple[str, ...]:
    assert Local(str(folder)).missing(task) == []
    with pytest.raises(UserError) as caught:
        Local(str(folder)).load(task)
    return caught.value.problems


def test_a_good_folder(folder: Path, glue_task):
    source = Local(str(folder))
    assert source.missing(glue_task("mrpc")) == []
    task, splits = source.load(glue_task("mrpc"))
    assert task == glue_task("mrpc")
    assert {split: records.to_list() for split, records in splits.items()} == {"train": RECORDS, "validation": RECORDS}
    assert splits["train"].cache_files == []


def test_all_formats_hold_the_same(folder: Path, glue_task):
    (folder / "train.jsonl").unlink()
    (folder / "validation.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(RECORDS), folder / "train.parquet")
    (folder / "validation.csv").write_text(
        "\ufeff" + 'label,sentence1,sentence2,idx\n1,"A cat, asleep.","He said ""no"".",x\n 0,Größe zählt.,,y\n',
        encoding="utf-8",
    )
    _, splits = Local(str(folder)).load(glue_task("mrpc"))
    assert splits["train"].to_list() == splits["validation"].to_list() == RECORDS


def test_home_is_expanded(folder: Path, glue_task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert Local(f"~/{folder.name}").missing(glue_task("mrpc")) == []


def test_folder_that_is_not_there(tmp_path: Path, glue_task):
    (problem,) = Local(str(tmp_path / "no")).missing(glue_task("mrpc"))
    assert f"data.path={tmp_path / 'no'} does not exist" in problem


def test_file_in_place_of_a_folder(folder: Path, glue_task):
    assert Local(str(folder / "train.jsonl")).missing(glue_task("mrpc")) == []
    (problem,) = Local(str(folder / "train.jsonl")).missing(glue_task("mnli"))
    assert "is one file, and the task mnli is evaluated on" in problem
    (problem,) = Local(str(folder / "train.jsonl"), holdout=1).missing(glue_task("mrpc"))
    assert problem.startswith("data.holdout is 1, which leaves nothing to train on")
    (folder / "train.txt").touch()
    (problem,) = Local(str(folder / "train.txt")).missing(glue_task("mrpc"))
    assert problem.endswith("is no file of records: give one that ends in .jsonl, .parquet, .csv, .tsv.")


@pytest.mark.parametrize("holdout", [0, -0.1, 1.5, float("nan")])
def test_a_part_that_cannot_be(holdout: float):
    (problem,) = Local("x", holdout=holdout).problems()
    assert problem.startswith("holdout is ")


def test_a_part_of_one_file_is_held_out(tmp_path: Path, glue_task):
    file = tmp_path / "all.csv"
    rows = [f"a{number},b,{number % 2}\n" for number in range(40)]
    file.write_text("".join(["sentence1,sentence2,label\n", *rows]))
    source = Local(str(file), holdout=0.25)
    task, splits = source.load(glue_task("mrpc"))
    train, held_out = (splits[name]["sentence1"][:] for name in ("train", "validation"))
    assert (len(train), len(held_out)) == (30, 10)
    assert sorted([*train, *held_out]) == sorted(f"a{number}" for number in range(40))
    assert train == sorted(train, key=lambda text: int(text[1:]))  # in the order of the file
    assert source.load(task)[1]["train"]["sentence1"][:] == train
    assert source.identity(task) != Local(str(file), holdout=0.5).identity(task)
    _, whole = Local(str(file), holdout=1).load(glue_task("mnli", text_columns=["sentence1"]), training=False)
    assert {name: len(records) for name, records in whole.items()} == {"all.csv": 40}
    file.write_text("".join(["sentence1,sentence2,label\n", *rows[:30], ",b,1\n" * 9, "c,b,7\n"]))
    assert any(f"{file}:41: `label` is 7" in problem for problem in load_problems(file, glue_task("mrpc")))


def test_scores_that_look_like_classes_are_no_matter_where_nothing_is_trained(tmp_path: Path, glue_task):
    (tmp_path / "some.csv").write_text("text,label\na,1\nb,2\nc,1\n")
    task = glue_task("regression")
    with pytest.raises(UserError, match="is always one of 1, 2"):
        Local(str(tmp_path / "some.csv")).load(task)
    _, splits = Local(str(tmp_path / "some.csv"), holdout=1).load(task, training=False)
    assert splits["some.csv"]["label"][:] == [1.0, 2.0, 1.0]


def test_to_evaluate_no_other_file_is_needed(folder: Path, glue_task):
    (folder / "train.jsonl").unlink()
    assert Local(str(folder)).missing(glue_task("mrpc")) != []
    assert Local(str(folder)).missing(glue_task("mrpc"), training=False) == []
    _, splits = Local(str(folder)).load(glue_task("mrpc"), training=False)
    assert [*splits] == ["validation"]


def test_folder_without_validation(folder: Path, glue_task):
    (folder / "validation.jsonl").rename(folder / "dev.jsonl")
    assert Local(str(folder)).missing(glue_task("mrpc")) == [
        f"data.path={folder} has no validation.jsonl (or .parquet, .csv, .tsv), which the task mrpc is evaluated on. "
        "Add it; there are: dev.jsonl, train.jsonl."
    ]


def test_mnli_wants_both_of_its_splits(folder: Path, glue_task):
    problems = Local(str(folder)).missing(glue_task("mnli"))
    assert ["has no validation_matched.jsonl" in problems[0], "has no validation_mismatched.jsonl" in problems[1]] == [
        True,
        True,
    ]


def test_two_formats_of_a_split(folder: Path, glue_task):
    (folder / "train.csv").touch()
    (problem,) = Local(str(folder)).missing(glue_task("mrpc"))
    assert "has train.jsonl and train.csv: which of them is meant?" in problem


def test_empty_folder(tmp_path: Path, glue_task):
    problems = Local(str(tmp_path)).missing(glue_task("mrpc"))
    assert len(problems) == 2
    assert all(problem.endswith("there are: nothing.") for problem in problems)


def test_broken_jsonl_is_told_by_file_and_line(folder: Path, glue_task):
    file = folder / "train.jsonl"
    lines = [json.dumps(RECORDS[0]), "", '{"sentence1": "a", ', json.dumps({**RECORDS[0], "label": 2}), "[]"]
    file.write_bytes("\n".join(lines).encode() + b'\n{"sentence1": "\xff"}\n')
    assert load_problems(folder, glue_task("mrpc")) == (
        f"{file}:3: broken JSON, Expecting property name enclosed in double quotes at column 19.",
        f"{file}:4: `label` is 2, outside 0 to 1 (not_equivalent, equivalent).",
        f"{file}:5: not an object with named columns but a list.",
        f"{file}:6: not UTF-8, byte 16 of the line.",
    )


def test_hidden_labels_in_validation_are_refused(folder: Path, glue_task):
    write_jsonl(folder / "validation.jsonl", [{**record, "label": -1} for record in RECORDS])
    problems = load_problems(folder, glue_task("mrpc"))
    assert problems[0] == (
        f"{folder / 'validation.jsonl'}:1: `label` is -1, a hidden label: such records cannot be trained on or scored"
        f" ({len(RECORDS) - 1} more record{'s' * (len(RECORDS) > 2)} likewise)."
    )


def test_hidden_labels_in_a_test_split_are_never_read(folder: Path, glue_task):
    write_jsonl(folder / "test.jsonl", [{**record, "label": -1} for record in RECORDS])
    assert set(Local(str(folder)).load(glue_task("mrpc"))[1]) == {"train", "validation"}


def test_missing_column_in_parquet(folder: Path, glue_task):
    (folder / "train.jsonl").unlink()
    pq.write_table(pa.table({"sentence": ["a"], "label": [1]}), folder / "train.parquet")
    assert load_problems(folder, glue_task("mrpc")) == (
        f"{folder / 'train.parquet'}: record 1: no column `sentence1`, `sentence2`; there are `sentence`, `label`"
        " (task.text_columns and task.label_column name others).",
    )


def test_parquet_that_is_none(folder: Path, glue_task):
    (folder / "train.jsonl").rename(folder / "train.parquet")
    (problem,) = load_problems(folder, glue_task("mrpc"))
    assert problem.startswith(f"{folder / 'train.parquet'}: not a readable parquet file")


def test_bad_cells_in_csv(folder: Path, glue_task):
    (folder / "train.jsonl").unlink()
    file = folder / "train.csv"
    file.write_text("sentence1,sentence2,label\na,b,1\na,b,yes\na,b,\na,b,1,c\na\n", encoding="utf-8")
    assert load_problems(folder, glue_task("mrpc")) == (
        f"{file}:3: `label` is 'yes', and the labels are not_equivalent, equivalent.",
        f"{file}:4: `label` is empty.",
        f"{file}:5: 1 cells more than the header has columns.",
        f"{file}:6: `sentence2` is empty.",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Text,LABEL\na,x\n", None),
        ("\n \r\nsep=;\ntext;label\na;x\n", None),
        ("a b,x\nc,y\nd,x\n", "no column `text`, `label`; there are `a b`, `x` (its first line names the columns,"),
        ("text|label\na|x\n", "parted by commas;"),
        ("Text,TEXT,label\na,b,x\n", "no column `text`; there are `Text`, `TEXT`, `label`"),
    ],
)
def test_columns_of_a_csv_are_read_or_told_once(text: str, problem: str | None, tmp_path: Path, glue_task):
    (file := tmp_path / "data.csv").write_text(text + text.splitlines(keepends=True)[-1] * 9)
    task = glue_task("sst2", text_columns=["text"], label_column="label", labels=["x", "y"])
    source = Local(str(file), holdout=0.2)
    if problem is None:
        assert source.load(task)[1]["train"].column_names == ["text", "label"]
    else:
        told = load_problems(file, task)
        assert problem in told[0]
        assert len(told) == 1


def test_the_only_record_of_a_class_is_learned_from(tmp_path: Path, glue_task):
    task = glue_task("classification", text_columns=["text"])
    for place in range(40):
        rows = [f"text {number},{'rare' if number == place else 'ab'[number % 2]}\n" for number in range(40)]
        (file := tmp_path / "data.csv").write_text("text,label\n" + "".join(rows))
        found, splits = Local(str(file)).load(task)
        assert found.labels == ("a", "b", "rare")
        assert 2 in splits["train"]["label"][:]


def test_names_of_classes_in_a_parquet_schema(tmp_path: Path, glue_task):
    names = datasets.ClassLabel(names=["bad", "good"])
    features = datasets.Features({"sentence": datasets.Value("string"), "label": names})
    rows = [{"sentence": f"text {number}", "label": number % 2} for number in range(20)]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "data.parquet")
    task, splits = Local(str(tmp_path / "data.parquet")).load(glue_task("classification", text_columns=["sentence"]))
    assert task.labels == ("bad", "good")
    turned = glue_task("sst2", labels=["good", "bad"])
    _, other = Local(str(tmp_path / "data.parquet")).load(turned)
    assert other["train"]["label"][:] == [1 - label for label in splits["train"]["label"][:]]


def test_csv_that_is_not_utf8(folder: Path, glue_task):
    (folder / "train.jsonl").unlink()
    (folder / "train.csv").write_bytes(b"sentence1,sentence2,label\n\xff,b,1\n")
    (problem,) = load_problems(folder, glue_task("mrpc"))
    assert problem.startswith(f"{folder / 'train.csv'}:2: not UTF-8")


def test_file_that_cannot_be_read(folder: Path, glue_task, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"train\.jsonl cannot be read: Permission denied"):
        Local(str(folder)).load(glue_task("mrpc"))


def test_identity_follows_the_bytes_and_not_the_place(folder: Path, glue_task, tmp_path_factory: pytest.TempPathFactory):
    task, other = glue_task("mrpc"), tmp_path_factory.mktemp("other")
    for split in ("train", "validation"):
        write_jsonl(other / f"{split}.jsonl")
    before = Local(str(folder)).identity(task)
    assert Local(str(other)).identity(task) == before
    assert len(before) == len("sha256:") + 64
    write_jsonl(folder / "test.jsonl")  # is not read
    assert Local(str(folder)).identity(task) == before
    write_jsonl(folder / "validation.jsonl", RECORDS[:1])
    assert Local(str(folder)).identity(task) != before


def test_identity_tells_train_from_validation(folder: Path, glue_task):
    write_jsonl(folder / "train.jsonl", RECORDS[:1])
    before = Local(str(folder)).identity(glue_task("mrpc"))
    (folder / "train.jsonl").rename(folder / "other")
    (folder / "validation.jsonl").rename(folder / "train.jsonl")
    (folder / "other").rename(folder / "validation.jsonl")
    assert Local(str(folder)).identity(glue_task("mrpc")) != before


def test_identity_follows_the_label_names(folder: Path, glue_task):
    before = Local(str(folder)).identity(glue_task("mrpc"))
    (folder / "labels.json").write_text("[]", encoding="utf-8")
    named = Local(str(folder)).identity(glue_task("mrpc"))
    (folder / "labels.json").write_text('["a"]', encoding="utf-8")
    assert len({before, named, Local(str(folder)).identity(glue_task("mrpc"))}) == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'["O", ', "broken JSON, Expecting value at column 7"),
        (b'["\xff"]', "not UTF-8, byte 3 of the line"),
        (b'{"0": "O"}', 'not a list of label names, ["O", "B-PER", "I-PER"] say.'),
        (b'["O", 1]', "not a list of label names"),
    ],
)
def test_broken_label_names(folder: Path, glue_task, content: bytes, problem: str):
    (folder / "labels.json").write_bytes(content)
    (found,) = load_problems(folder, glue_task("mrpc"))
    assert found.startswith(f"{folder / 'labels.json'}: {problem}")


def test_label_names_that_cannot_be_read(folder: Path, glue_task, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (folder / "labels.json").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert load_problems(folder, glue_task("mrpc")) == (f"{folder / 'labels.json'} cannot be read: Permission denied.",)


def test_columns_are_for_tagged_words_alone(folder: Path, glue_task):
    (folder / "train.txt").touch()
    assert Local(str(folder)).missing(glue_task("mrpc")) == []
    (problem,) = Local(str(folder)).missing(glue_task("conll2003"))
    assert "has train.jsonl and train.txt: which of them is meant?" in problem
    (folder / "train.jsonl").rename(folder / "train.csv")
    (folder / "train.txt").unlink()
    (problem,) = Local(str(folder)).missing(glue_task("conll2003"))
    assert "has no train.jsonl (or .parquet, .conll, .txt, .bio), which the task conll2003 is trained on." in problem


@pytest.mark.parametrize(
    ("name", "train", "validation"),
    [("rte", 2490, 277), ("sst2", 20000, 872), ("cola", 8551, 1043), ("mrpc", 3668, 408), ("stsb", 5749, 1500)],
)
def test_real_data(glue_task, real_data: Path, name: str, train: int, validation: int):
    source = Local(str(real_data / name))
    assert source.missing(glue_task(name)) == []
    _, splits = source.load(glue_task(name))
    assert {split: len(records) for split, records in splits.items()} == {"train": train, "validation": validation}


@pytest.mark.parametrize("name", ["rte", "stsb"])
def test_real_hidden_labels_are_found(glue_task, real_data: Path, name: str):
    with pytest.raises(UserError, match=r"test\.jsonl:1: `label` is -1(\.0)?, .*hidden label"):
        Local(str(real_data / name)).load(glue_task(name, evaluation_splits=["test"]))


@pytest.mark.parametrize("line", ['{"label": 1, "label": 0}', '{"nested": {"a": 1, "a": 2}, "label": 1}'])
def test_a_name_twice_in_one_object_is_told(folder: Path, glue_task, line: str):
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"train\.jsonl:\d+: `(label|a)` more than once in one object"):
        Local(str(folder)).load(glue_task("mrpc"))


def test_a_column_twice_is_told(folder: Path, glue_task):
    import pyarrow
    import pyarrow.parquet

    (folder / "train.jsonl").unlink()
    columns = [pyarrow.array(["a"]), pyarrow.array(["b"]), pyarrow.array([1]), pyarrow.array([0])]
    table = pyarrow.Table.from_arrays(columns, names=["sentence1", "sentence2", "label", "label"])
    pyarrow.parquet.write_table(table, folder / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet: more than one column `label`"):
        Local(str(folder)).load(glue_task("mrpc"))
    (folder / "train.parquet").unlink()
    (folder / "train.csv").write_text("sentence1,sentence2,label,sentence1\na,b,1,c\n")
    with pytest.raises(UserError, match=r"train\.csv: more than one column `sentence1`"):
        Local(str(folder)).load(glue_task("mrpc"))


PAIRS = [{"sentence": "bad film", "label": 0}, {"sentence": "good film", "label": 1}]


@pytest.mark.parametrize("name", ["labels.json", "beside one file"])
def test_names_beside_the_records_say_what_their_numbers_mean(tmp_path: Path, glue_task, name: str):
    """Of a model that knows negative and positive in this order, on records that name them in the other."""
    write_jsonl(tmp_path / "validation.jsonl", PAIRS)
    (tmp_path / "labels.json").write_text('["positive", "negative"]')
    path = tmp_path if name == "labels.json" else tmp_path / "validation.jsonl"
    task, splits = Local(str(path), holdout=1).load(glue_task("sst2"), training=False)
    assert task.labels == ("negative", "positive")
    assert next(iter(splits.values()))["label"][:] == [1, 0]


def test_in_training_numbers_are_read_by_their_names_too(tmp_path: Path, glue_task):
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl", PAIRS)
    (tmp_path / "labels.json").write_text('["positive", "negative"]')
    for task, numbers in (
        (glue_task("sst2"), [1, 0]),
        (glue_task("classification", text_columns=["sentence"]), [0, 1]),
    ):
        fitted, splits = Local(str(tmp_path)).load(task)
        assert splits["train"]["label"][:] == splits["validation"]["label"][:] == numbers
        assert [fitted.labels[number] for number in numbers] == ["positive", "negative"]


@pytest.mark.parametrize(
    ("names", "task", "message"),
    [
        (["positive", "negative", "neutral"], "sst2", "neutral is none of task sst2, which has [negative, positive]"),
        (["negative"], "sst2", "`label` is 1, and the data name 1 classes, 0 to 0"),
        (
            ["negative", "positive"],
            "regression",
            "the data name classes, [negative, positive], and task regression learns",
        ),
    ],
)
def test_names_that_contradict_the_task_or_the_records(tmp_path: Path, glue_task, names: list[str], task: str, message: str):
    write_jsonl(tmp_path / "validation.jsonl", [{**row, "text": row["sentence"]} for row in PAIRS])
    (tmp_path / "labels.json").write_text(json.dumps(names))
    with pytest.raises(UserError) as caught:
        Local(str(tmp_path)).load(glue_task(task), training=False)
    assert message in str(caught.value)


def test_names_that_are_numbers_say_nothing(tmp_path: Path, glue_task):
    write_jsonl(tmp_path / "validation.jsonl", PAIRS)
    (tmp_path / "labels.json").write_text('["0", "1"]')
    _, splits = Local(str(tmp_path)).load(glue_task("sst2"), training=False)
    assert splits["validation"]["label"][:] == [0, 1]


TABLE = [("bad film", "neg"), ("good, film", "pos"), (' "so so" ', "neg"), ("fine\u2028film", "pos")]
TABLES = {
    "commas.csv": 'text,label\nbad film,neg\n"good, film",pos\n" ""so so"" ",neg\nfine\u2028film,pos\n',
    "semicolon.csv": 'text;label\nbad film;neg\ngood, film;pos\n" ""so so"" ";neg\nfine\u2028film;pos\n',
    "sep.csv": 'sep=;\r\ntext;label\r\nbad film;neg\r\ngood, film;pos\r\n" ""so so"" ";neg\r\nfine\u2028film;pos\r\n',
    "spaces.csv": 'text, label\nbad film, neg\n"good, film", pos\n" ""so so"" ", neg\nfine\u2028film, pos\n',
    "tabs.csv": 'text\tlabel\nbad film\tneg\ngood, film\tpos\n" ""so so"" "\tneg\nfine\u2028film\tpos\n',
    "unquoted.tsv": '\ufefftext\tlabel\nbad film\tneg\ngood, film\tpos\n "so so" \tneg\nfine\u2028film\tpos\n',
    "quoted.tsv": 'text\tlabel\nbad film\tneg\n"good, film"\tpos\n" ""so so"" "\tneg\nfine\u2028film\tpos\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_programs_write_them(tmp_path: Path, glue_task, name: str):
    file = tmp_path / name
    file.write_text(TABLES[name], encoding="utf-8", newline="")
    task, splits = Local(str(file), holdout=0.5).load(glue_task("classification"))
    rows = [(row["text"], task.labels[row["label"]]) for part in splits.values() for row in part.to_list()]
    assert sorted(rows) == sorted(TABLE)


@pytest.mark.parametrize("text", ['"bad film,neg\ngood film,pos\n', '"bad" film,neg\n'])
def test_quotes_that_do_not_close_swallow_no_records(tmp_path: Path, glue_task, text: str):
    file = tmp_path / "all.csv"
    file.write_text(f"text,label\n{text}", encoding="utf-8")
    with pytest.raises(UserError, match="broken CSV after line"):
        Local(str(file)).load(glue_task("classification"))


def test_a_quote_in_a_table_of_tabs_belongs_to_the_text(tmp_path: Path, glue_task):
    file = tmp_path / "all.tsv"
    file.write_text('text\tlabel\n"bad film\tneg\ngood "film"\tpos\nfine"\tpos\n', encoding="utf-8")
    _, splits = Local(str(file), holdout=0.5).load(glue_task("classification"))
    assert sorted(text for part in splits.values() for text in part["text"][:]) == ['"bad film', 'fine"', 'good "film"']


@pytest.mark.parametrize("rare", range(0, 40, 5))
def test_a_class_of_one_record_is_known_wherever_it_is_held_out(tmp_path: Path, glue_task, rare: int):
    rows = [f"film {number},{'rare' if number == rare else ('neg', 'pos')[number % 2]}\n" for number in range(40)]
    (tmp_path / "all.csv").write_text("".join(["text,label\n", *rows]))
    task, _ = Local(str(tmp_path / "all.csv")).load(glue_task("classification"))
    assert task.labels == ("neg", "pos", "rare")


def test_the_id_of_a_record_goes_along(tmp_path: Path, glue_task):
    write_jsonl(tmp_path / "validation.jsonl", [{**PAIRS[0], "id": "a7"}, {**PAIRS[1], "id": 8, "note": "x"}])
    _, splits = Local(str(tmp_path)).load(glue_task("sst2"), training=False)
    assert splits["validation"].to_list() == [{**PAIRS[0], "id": "a7"}, {**PAIRS[1], "id": "8"}]
