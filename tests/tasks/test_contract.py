"""What every task in conf/task keeps, found by listing the folder: a new one is tested by existing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from prune_cli.config.build import build
from prune_cli.data.synthetic import Synthetic

FILES = sorted((Path(__file__).parents[2] / "conf" / "task").glob("*.yaml"))
GLUE = {"cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"}


def made(file: Path) -> Any:
    """Build a task as a run does."""
    fields = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(fields, dict)
    return build({str(key): value for key, value in fields.items()}, "task")


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_all_of_glue_is_there():
    assert {file.stem for file in FILES} >= GLUE


def test_yaml_says_what_it_is(file: Path):
    task, first_line = made(file), file.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith("# ")
    assert len(first_line) <= 120
    assert task.name == file.stem


def test_fields_fit_the_protocol(file: Path):
    task = made(file)
    assert task.head == ("classification" if task.labels else "regression")
    assert isinstance(task.labels, tuple)
    assert len(set(task.labels)) == len(task.labels) != 1
    assert task.max_length == 128
    assert task.evaluation_splits[0].startswith("validation")
    assert "test" not in task.evaluation_splits  # its labels are hidden
    assert task.hub.path.count("/") == 1
    assert len(task.hub.revision) == 40, "pin a commit, so that a run can be repeated"
    assert list(task.columns.values())[:-1] == [str] * (len(task.columns) - 1)


def test_records_go_all_the_way(file: Path, tiny_tokenizer):
    task = made(file)
    source = Synthetic(train=40, validation=30)
    assert source.problems(task) == []
    splits = source.load(task)
    assert set(splits) == {"train", *task.evaluation_splits}
    tokenizer = tiny_tokenizer(task.texts(splits["train"]))
    for split in task.evaluation_splits:
        records = splits[split]
        assert task.check(records) == []
        encoded = task.encode(records, tokenizer)
        assert encoded.column_names == ["input_ids", "token_type_ids", "attention_mask", "labels", "length"]
        assert encoded["length"][:] == [len(tokens) for tokens in encoded["input_ids"]]
        assert encoded["labels"][:] == records["label"][:]
        assert max(encoded["length"]) <= task.max_length
        labels = np.asarray(records["label"][:])
        perfect = np.eye(len(task.labels))[labels] if task.labels else labels[:, None]
        scores = task.score(perfect.astype(np.float32), encoded, records, split)
        assert scores == pytest.approx(dict.fromkeys(scores, 1.0))
        assert (task.primary_metric in scores) == (split == task.evaluation_splits[0])


def test_a_constant_model_scores_without_a_warning(file: Path, tiny_tokenizer):
    task = made(file)
    splits = Synthetic(train=20, validation=30).load(task)
    split = task.evaluation_splits[0]
    encoded = task.encode(splits[split], tiny_tokenizer(task.texts(splits["train"])))
    scores = task.score(np.zeros((30, max(1, len(task.labels))), np.float32), encoded, splits[split], split)
    assert all(0 <= value < 1 for value in scores.values())
