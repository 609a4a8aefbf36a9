"""Records without answers: read, made of others, labelled by a teacher, learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoConfig, AutoModelForMaskedLM

from prune_cli.config.identity import contents, identity
from prune_cli.data.asking import asked_rows, placed_rows
from prune_cli.data.augmentation import Replacer
from prune_cli.data.extra import Extra
from prune_cli.errors import UserError
from prune_cli.models import load_tokenizer
from prune_cli.run.run import Outcome
from prune_cli.run.saved import evaluate, predict
from prune_cli.tasks import cache
from tests.whole_runs import config_of, do

WORDS = "the man reads a long book about old ships while his small dog sleeps near the warm fire".split()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A dense model, fine-tuned a little."""
    folder = tmp_path_factory.mktemp("teacher")
    return do(folder, "sparsity=0", "regularization=none", "trainer.max_steps=20")


def taught_by(teacher: Outcome) -> list[str]:
    return [
        "regularization=teacher",
        f"regularization.first_teacher={teacher.folder / 'model'}",
        "trainer.max_steps=20",
    ]


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


PAIRS = [{"sentence1": f"Ann reads book {number}.", "sentence2": f"Book {number} is read."} for number in range(40)]


def test_a_file_of_texts_is_labelled_once_and_learned_from(
    teacher: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    keep = cache._keep
    monkeypatch.setattr(cache, "_keep", lambda dataset, place: (made.append(dataset), keep(dataset, place)))
    file = written(tmp_path / "texts.jsonl", PAIRS)
    plain = do(tmp_path, *taught_by(teacher))
    more = do(tmp_path, *taught_by(teacher), f"data.extra={file}")
    assert more.result.records == plain.result.records and more.folder != plain.folder
    assert "160 training records" in (plain.folder / "run.log").read_text()
    log = (more.folder / "run.log").read_text()
    assert "40 more records, labelled by the first teacher" in log and "200 training records" in log
    do(tmp_path, *taught_by(teacher), f"data.extra={file}", "seed=5")
    (labelled,) = made
    assert set(labelled.column_names) == {"sentence1", "sentence2", "label"} and len(labelled) == 40
    config = config_of(tmp_path, *taught_by(teacher))
    said = [each for part in predict(config, teacher.folder / "model", PAIRS) for each in part]
    names = ["not_equivalent", "equivalent"]
    assert [names[label] for label in labelled["label"]] == [each["label"] for each in said]
    file.unlink()
    assert evaluate(config, more.folder / "model", Console(quiet=True)).metrics == pytest.approx(more.result.metrics)


def test_what_is_in_the_file_makes_another_run_and_not_where_it_lies(teacher: Outcome, tmp_path: Path) -> None:
    one, same = (written(tmp_path / name, PAIRS) for name in ("one.jsonl", "same.jsonl"))
    other = written(tmp_path / "other.jsonl", PAIRS[1:])
    files = (one, same, other, "null")
    found = [config_of(tmp_path, *taught_by(teacher), f"data.extra={file}") for file in files]
    ids = [identity(config, contents(config)) for config in found]
    assert ids[0] == ids[1] and len(set(ids)) == 3


def test_texts_alone_do_for_a_task_of_one_text(tmp_path: Path) -> None:
    task = config_of(tmp_path, "task=sst2").task
    file = written(tmp_path / "texts.jsonl", ["A fine film.", {"sentence": "A bad one.", "label": 1}])
    assert asked_rows(task, placed_rows(task, file)) == [{"sentence": "A fine film."}, {"sentence": "A bad one."}]


def test_unusable_records_are_told_by_their_lines(tmp_path: Path) -> None:
    task = config_of(tmp_path).task
    file = tmp_path / "texts.jsonl"
    file.write_text('{"sentence1": "a", "sentence2": "b"}\n{\n"a"\n' + "5\n" * 7, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        placed_rows(task, file)
    told = raised.value.problems
    assert told[0].startswith(f"{file}:2: broken JSON")
    assert told[1].startswith(f"{file}:3: task mrpc needs sentence1, sentence2: give a JSON object")
    assert told[2:] == (f"{file}:4: not an object with sentence1, sentence2 (6 more records likewise).",)
    file.write_text('{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "a"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=f"{file}:2: no column `sentence2`"):
        asked_rows(task, placed_rows(task, file))
    file.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="no records"):
        placed_rows(task, file)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"copies": 0}, "copies is 0: give a whole number from 1 on"),
        ({"replaced": 0.0}, "replaced is 0: give the share"),
        ({"replaced": 1.0}, "replaced is 1: give the share"),
    ],
)
def test_impossible_values(fields: dict[str, Any], message: str) -> None:
    (problem,) = Extra(**fields).problems()
    assert problem.startswith(message)


# words replaced by a masked language model


@pytest.fixture(scope="module")
def masked(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny masked language model that knows WORDS."""
    tokenizer = tiny_tokenizer([" ".join(WORDS)])
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", vocab_size=len(tokenizer), **sizes)
    folder = tmp_path_factory.mktemp("masked")
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def replacer(folder: Path, replaced: float, seed: int = 0) -> Replacer:
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    return Replacer(model, load_tokenizer(folder), replaced=replaced, seed=seed)


def test_some_words_are_others_and_all_else_stays(masked: Path) -> None:
    texts = [f"The man,  {' '.join(WORDS[2:9])}!", "Unknowable (dog): 12.", "", " ".join(WORDS)] * 20
    made = replacer(masked, 0.3)(texts)
    assert made == replacer(masked, 0.3)(texts) != replacer(masked, 0.3, seed=1)(texts)
    changed = of = 0
    for before, after in zip(texts, made, strict=True):
        assert [c for c in before if not c.isalpha()] == [c for c in after if not c.isalpha()], "blanks and signs stay"
        for one, other in zip(before.split(), after.split(), strict=True):
            word = other.strip(",!():.")
            changed += one != other
            of += one.strip(",!():.").lower() in WORDS
            assert one == other or word in WORDS
            assert "Unknowable" not in one or one == other
    assert changed / of == pytest.approx(0.3, abs=0.05)
    again = replacer(masked, 0.3)
    assert again(texts) != again(texts), "copies of the same records differ"


def test_augmented_records_are_learned_from(teacher: Outcome, masked: Path, tmp_path: Path) -> None:
    asked = ["data.extra=augment", "data.copies=2", f"data.masked_model={masked}"]
    run = do(tmp_path, *taught_by(teacher), *asked)
    log = (run.folder / "run.log").read_text()
    assert "replacing words of 160 records, 2 of 2" in log and "320 more records" in log


def test_a_model_that_predicts_no_masked_words_is_refused(teacher: Outcome, tmp_path: Path) -> None:
    asked = ["data.extra=augment", f"data.masked_model={teacher.folder / 'model'}"]
    with pytest.raises(UserError, match=r"has no weights that predict masked words: give data\.masked_model="):
        do(tmp_path, *taught_by(teacher), *asked)
