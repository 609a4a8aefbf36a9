"""What every task in conf/task keeps, found by listing the folder: a new one is tested by existing."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from omegaconf import OmegaConf
from rich.console import Console
from torch.nn.utils import clip_grad_norm_

from prune_cli.config.build import build
from prune_cli.config.compose import choices_of, composer, without_hydra
from prune_cli.config.run_config import RunConfig
from prune_cli.config.saved import saved_run
from prune_cli.data.records import Split, checked
from prune_cli.data.synthetic import Synthetic
from prune_cli.heads.decisions import task_loss
from prune_cli.run import assembly, prepare
from prune_cli.run.run import run
from prune_cli.run.saved import evaluate, predict
from prune_cli.training import loop
from prune_cli.training.optimizer import adamw
from tests.tiers import exhaustive, quick

FILES = sorted((Path(__file__).parents[2] / "conf" / "task").glob("*.yaml"))
NAMED = {"cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli", "squad", "squad_v2", "conll2003", "wnut17",
         "ontonotes", "ner", "web_nlg", "e2e_nlg", "dart"}  # fmt: skip
SMALL = (
    "data=synthetic data.train=24 data.validation=10 tracking=none trainer.precision=fp32 sparsity=0.5"
    " trainer.max_steps=10 trainer.batch_size=4 trainer.eval_batch_size=4 trainer.eval_steps=4 schedule.delta_t=2"
).split()


def made(file: Path) -> Any:
    """Build a task as a run does."""
    fields = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(fields, dict)
    return build({str(key): value for key, value in fields.items()}, "task")


TINY = {"encoder": ("tiny_bert",), "decoder": ("tiny_gpt2", "tiny_llama"), "encoder-decoder": ("tiny_t5", "tiny_bart")}


def models_for(file: Path) -> tuple[str, ...]:
    """A tiny model of each kind that the task's head can have; of generation, which is slow, all of them for one task."""
    tiny = [TINY[kind] for kind in made(file).head.auto_classes]
    return tuple(name for names in tiny for name in (names if file.stem == "web_nlg" else names[:1]))


def config_of(folder: Path, *overrides: str) -> RunConfig:
    with composer() as composed:
        cfg = composed([*SMALL, f"output_dir={folder}", *overrides])
    return RunConfig.from_hydra(without_hydra(cfg), choices_of(cfg.hydra, cfg))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_all_are_there():
    assert {file.stem for file in FILES} >= NAMED


def test_yaml_says_what_it_is(file: Path):
    task, first_line = made(file), file.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith("# ")
    assert len(first_line) <= 120
    assert task.name == file.stem


def test_fields_fit_the_protocol(file: Path):
    task = made(file)
    assert task.head.auto_classes
    assert all(hasattr(transformers, name) for name in task.head.auto_classes.values())
    labels = task.labels or ()  # None: read from the records
    assert isinstance(labels, tuple)
    assert len(set(labels)) == len(labels)
    assert set(task.inputs) < set(task.columns)
    assert task.evaluation_splits[0].startswith("validation")
    assert task.evaluation_records is None or task.evaluation_records > 0


def test_records_go_all_the_way_to_inputs(file: Path):
    source = Synthetic(train=40, validation=30)
    task = made(file)
    assert source.missing(task) == []
    task, splits = source.load(task)
    assert set(splits) == {"train", *task.evaluation_splits}
    assert task.head.options(task.labels).get("num_labels", 2) > 0, "the labels are known now"
    for records in splits.values():
        assert task.check(records) == []
        assert set(records.column_names) == set(task.columns)
        examples = task.examples(records)
        assert 0 < len(examples) <= len(records)
    assert all(isinstance(text, str) for text in task.texts(splits["train"]))


def test_what_a_teacher_says_can_be_learned(file: Path):
    task, splits = Synthetic(train=30, validation=10).load(made(file))
    answered: list[Any] = []
    for record in splits["train"].to_list():
        said = dict(task.expected(record))
        if "answers" in record:  # a prediction says where it stands, too
            said["start"] = next(iter(record["answers"]["answer_start"]), None)
        answered.append(task.answered({name: record[name] for name in task.inputs}, said))
        assert task.expected(answered[-1]) == task.expected(record)
    _, again = checked(task, {"extra": Split(answered, str, "records")})
    assert again["extra"].features == splits["train"].features


TRAINED = [(file, model) for file in FILES for model in models_for(file)]
FIRST_OF_CLASS = {(type(made(file)), made(file).head.__class__): file for file in reversed(FILES)}
ONE_OF_EACH = [(file, model) for file in FIRST_OF_CLASS.values() for model in models_for(file)]
"""One task of each class and head, for what does not depend on what else its YAML says."""
LIKE_OTHERS = ("tiny_llama", "tiny_bart")
"""Models of a kind of which another is in both tiers."""


def quickly(every: Sequence[tuple[Path, str]], kept: Collection[Path], left_out: Collection[str] = LIKE_OTHERS) -> list[Any]:
    """The pairs as parameters; `make test` takes those of some tasks, but for some models."""
    return [
        pytest.param(
            file,
            model,
            id=f"{file.stem}-{model}",
            marks=() if file in kept and model not in left_out else exhaustive,
        )
        for file, model in every
    ]


FIRST_OF_HEAD = {made(file).head.__class__: file for file in reversed(FIRST_OF_CLASS.values())}


@pytest.mark.parametrize(("file", "model"), quickly(TRAINED, FIRST_OF_CLASS.values()))
def test_trains_evaluates_saves_reloads_and_predicts_the_same(file: Path, model: str, tmp_path: Path):
    config = config_of(tmp_path, f"task={file.stem}", f"model={model}")
    outcome = run(config, Console(quiet=True))
    result = outcome.result
    assert result.primary_metric in result.metrics
    sparsity = result.sparsity
    assert sparsity.zeros_by_mask == sparsity.zeros_in_file == round(0.5 * sparsity.prunable)

    folder = outcome.folder / "model"
    # a correlation of nearly constant predictions shows the last bits of their floating-point numbers
    assert evaluate(config, folder, Console(quiet=True)).metrics == pytest.approx(result.metrics, abs=5e-4)

    lines = [json.loads(line) for line in (outcome.folder / "predictions.jsonl").read_text("utf-8").splitlines()]
    first = [line for line in lines if line["split"] == config.task.evaluation_splits[0]]
    asked = [{name: line[name] for name in config.task.inputs} for line in first]
    saved, model_folder = saved_run(outcome.folder, [], records=False)
    (again,) = predict(saved, model_folder, asked)
    assert_alike(json.loads(json.dumps(again)), [line["prediction"] for line in first])
    one_by_one = [next(predict(saved, model_folder, [row]))[0] for row in asked[:2]]
    for alone, together in zip(one_by_one, again, strict=False):
        assert_alike(alone, together)
    assert (outcome.folder / "samples.md").read_text("utf-8").count("**prediction**") == min(10, len(lines))
    assert len(result.samples) == min(10, len(lines))
    right = sum(line["right"] for line in lines)
    assert sum(sample["right"] for sample in result.samples) == min(right, max(5, 10 - (len(lines) - right)))
    assert all(set(sample) == {*config.task.inputs, "expected", "predicted", "right"} for sample in result.samples)
    auto = getattr(transformers, result.auto_class)
    assert f"import {result.auto_class}, AutoTokenizer" in (folder / "README.md").read_text("utf-8")
    assert type(auto.from_pretrained(folder)).__name__ == json.loads((folder / "config.json").read_text())["architectures"][0]


@pytest.mark.parametrize("model", quick(["tiny_gpt2"], ["tiny_gpt2", "tiny_t5"]))
def test_a_run_need_not_generate(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def generated(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(transformers.GenerationMixin, "generate", generated)
    config = config_of(
        tmp_path, "task=web_nlg", f"model={model}", "task.generate=false", "task.primary_metric=likelihood",
        "++task.evaluation_records=4",
    )  # fmt: skip
    outcome = run(config, Console(quiet=True))
    metrics = outcome.result.metrics
    assert set(metrics) == {"loss", "likelihood"}
    assert metrics["loss"] is not None
    assert 0 < outcome.result.metric == pytest.approx(math.exp(-metrics["loss"]))
    assert outcome.result.samples == []
    assert outcome.result.signatures == {}
    history = [json.loads(line) for line in (outcome.folder / "history.jsonl").read_text("utf-8").splitlines()]
    counts = [(line["evaluation_records"], line["evaluation_records_of"]) for line in history if "eval_loss" in line]
    assert set(counts[:-1]) == {(4, 10)}
    assert counts[-1] == (10, 10)
    assert evaluate(config, outcome.folder / "model", Console(quiet=True)).metrics == pytest.approx(metrics, abs=1e-4)


CHECKPOINTED = [("mrpc", "tiny_bert"), *(("web_nlg", name) for names in list(TINY.values())[1:] for name in names)]


@pytest.mark.parametrize(("task", "model"), quick(CHECKPOINTED[:1], CHECKPOINTED))
def test_activations_that_are_computed_again_change_no_weight(task: str, model: str, tmp_path: Path):
    """Not one bit, through dropout and with a teacher."""
    ends = []
    for again in ("false", "true"):
        config = config_of(
            tmp_path, f"task={task}", f"model={model}", f"trainer.activation_checkpointing={again}",
            "++task.evaluation_records=2", "data.validation=2",
        )  # fmt: skip
        outcome = run(config, Console(quiet=True))
        ends.append((outcome.folder / "model" / "model.safetensors").read_bytes())
    assert ends[0] == ends[1]


def test_what_is_expected_is_right(file: Path):
    """The answers of a record, said as a prediction, count as right; those of another, seldom."""
    task, splits = Synthetic(train=60, validation=30).load(made(file))
    records = task.examples(splits["train"]).to_list()
    assert all(isinstance(task.headline(task.expected(record)), str) for record in records)
    assert all(task.right(task.expected(record), record) for record in records)
    assert not all(task.right(task.expected(records[0]), record) for record in records)


def assert_alike(one: Any, other: Any) -> None:
    """Equal but for the last bits of floating-point numbers, which depend on padding and on where in memory they lie."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key])
    elif isinstance(one, list):
        for mine, others in zip(one, other, strict=True):
            assert_alike(mine, others)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-4)
    else:
        assert one == other


@pytest.mark.parametrize(("file", "model"), quickly(TRAINED, FILES))
def test_padding_changes_no_loss(file: Path, model: str, tmp_path: Path):
    config = config_of(tmp_path, f"task={file.stem}", f"model={model}")
    task, records = config.data.load(config.task)
    tokenizer = prepare.tokenizer_for(config, task, records["train"])
    network = assembly.model_for(config, task, tokenizer).eval()
    head, collate = task.head, task.head.collator(tokenizer)
    encoded = task.encode(records["train"], tokenizer, training=True)
    order = sorted(range(len(encoded)), key=encoded["length"].__getitem__)
    short, long = (encoded[index] for index in (order[0], order[-1]))
    assert short["length"] < long["length"], "or nothing is padded"

    def total(*features: dict[str, Any]) -> tuple[float, int]:
        """Sum of the losses over the decisions of a batch, and their number."""
        batch = collate(features)
        with torch.no_grad():
            decisions = head.decisions(head.outputs(network, batch), batch)
            assert sum(len(each.labels) for each in decisions) == head.count(batch)
            return float(task_loss(decisions)), head.count(batch)

    (one, n), (other, m), (both, count) = total(short), total(long), total(short, long)
    assert n + m == count
    assert both == pytest.approx(one + other, rel=1e-5)


@pytest.mark.parametrize(("file", "model"), quickly(ONE_OF_EACH, FIRST_OF_HEAD.values(), (*LIKE_OTHERS, "tiny_t5")))
def test_two_accumulated_batches_equal_the_larger_one(file: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The gradient of one step, from one batch of eight or from two of four, without dropout."""
    gradients: list[dict[str, torch.Tensor]] = []

    networks: list[Any] = []

    def without_dropout(network: Any, **options: Any) -> torch.optim.AdamW:
        network.eval()
        network.train = lambda mode=True: network
        networks.append(network)
        return adamw(network, **options)

    def watched(*args: Any) -> torch.Tensor:
        gradients.append({name: p.grad.clone() for name, p in networks[-1].named_parameters() if p.grad is not None})
        return clip_grad_norm_(*args)

    monkeypatch.setattr(assembly, "adamw", without_dropout)
    monkeypatch.setattr(loop, "clip_grad_norm_", watched)
    once = [
        "sparsity=0",
        "trainer.max_steps=1",
        "trainer.max_grad_norm=1e6",
        "++task.evaluation_records=1",
        "data.validation=2",
    ]
    for split in (["trainer.batch_size=8"], ["trainer.batch_size=4", "trainer.gradient_accumulation=2"]):
        run(config_of(tmp_path, f"task={file.stem}", f"model={model}", *once, *split), Console(quiet=True))
    one, two = gradients
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
