"""Whole runs of a tiny model: what they leave behind, and that nothing interrupts them for good."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from rich.console import Console
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.comparison.runs import find_runs
from prune_cli.config.command import commands
from prune_cli.errors import UserError
from prune_cli.heads.classification import Classification
from prune_cli.pruning.pruner import Pruner
from prune_cli.run.run import Outcome
from prune_cli.run.saved import evaluate
from prune_cli.training import checkpoints
from prune_cli.training.evaluate import Evaluator
from tests.tiers import exhaustive, quick
from tests.whole_runs import Killed, assert_same_end, config_of, dies, do, history_of, weights_of


@pytest.fixture(scope="module", params=quick(["fp32"], ["fp32", "bf16"]))
def precision(request: pytest.FixtureRequest) -> str:
    """The override of a precision; bf16 is emulated where the hardware lacks it."""
    return f"trainer.precision={request.param}"


@pytest.fixture(scope="module")
def finished(precision: str, tmp_path_factory: pytest.TempPathFactory, pictures: Any) -> Outcome:
    """A run that nobody disturbed."""
    with pictures():
        return do(tmp_path_factory.mktemp("runs"), precision, "tracking.project='https://me:pw@host/mine'")


def test_no_login_is_in_any_file(finished: Outcome) -> None:
    assert "https://[hidden]@host/mine" in (finished.folder / "config.yaml").read_text()
    assert not [path for path in finished.folder.rglob("*") if path.is_file() and b"me:pw" in path.read_bytes()]


def test_exactly_the_zeros_asked_for_in_the_saved_file(finished: Outcome) -> None:
    pruned = [t for name, t in weights_of(finished).items() if re.search(r"\.layer\.\d+\..*weight$", name) and t.ndim == 2]
    total = sum(t.numel() for t in pruned)
    zeros = sum(int((t == 0).sum()) for t in pruned)
    assert total == 16_384
    assert zeros == 14_746 == round(0.9 * total)
    sparsity = finished.result.sparsity
    arithmetic = finished.result.arithmetic
    assert arithmetic is not None
    assert arithmetic.dense == total
    assert 0 < arithmetic.share == arithmetic.left / total <= 1
    assert (sparsity.zeros_by_mask, sparsity.zeros_in_file, sparsity.prunable) == (zeros, zeros, total)
    assert sparsity.measured == zeros / total
    assert sum(layer.zeros for layer in finished.result.layers) == zeros


def test_the_result_says_what_was_run_and_on_what(finished: Outcome, precision: str) -> None:
    """It alone is what runs are compared by, and what a study keeps."""
    (run,) = find_runs([finished.folder])
    assert (run.state, run.config) == ("done", finished.result.config)
    assert run.config == OmegaConf.to_container(OmegaConf.load(finished.folder / "config.yaml"))
    assert run.result.records.startswith("sha256:") and run.result.teacher is None
    assert datetime.fromisoformat(run.result.finished) <= datetime.now(UTC)
    (command,) = commands([run.config])
    assert command.startswith("prune run task=mrpc model=tiny_bert data=synthetic ") and precision in command


def test_one_model_in_the_folder_and_no_checkpoint(finished: Outcome) -> None:
    assert [path.relative_to(finished.folder).as_posix() for path in finished.folder.rglob("*.safetensors")] == [
        "model/model.safetensors"
    ]
    names = {path.name for path in finished.folder.iterdir()}
    assert {"config.yaml", "history.jsonl", "result.json", "run.log", "model", "figures"} <= names
    assert {path.name for path in (finished.folder / "figures").iterdir()} == {
        f"{name}.{ending}" for name in ("metric", "layers") for ending in ("png", "svg")
    }
    assert all(path.stat().st_size > 5_000 for path in (finished.folder / "figures").iterdir())


def test_what_is_evaluated_is_what_is_saved(finished: Outcome, precision: str) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(finished.folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(finished.folder / "model")
    assert model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
    assert model(**tokenizer("a text", "another", return_tensors="pt")).logits.shape == (1, 2)
    metrics = evaluate(config_of(finished.folder.parent, precision), finished.folder / "model", Console(quiet=True)).metrics
    assert metrics == pytest.approx(finished.result.metrics)


@pytest.mark.parametrize(("trained", "last"), [("fp32", "bf16"), ("bf16", "fp32")])
def test_the_last_evaluation_is_in_the_precision_asked_for(trained: str, last: str, tmp_path: Path) -> None:
    short = ["sparsity=0", "trainer.max_steps=2", f"trainer.precision={trained}"]
    run = do(tmp_path, *short, f"trainer.eval_precision={last}")
    losses = {}
    for precision in ("fp32", "bf16"):
        config = config_of(tmp_path, *short, f"trainer.eval_precision={precision}")
        losses[precision] = evaluate(config, run.folder / "model", Console(quiet=True)).metrics["loss"]
    assert losses["fp32"] != pytest.approx(losses["bf16"], rel=1e-6)
    assert run.result.metrics["loss"] == pytest.approx(losses[last], rel=1e-7)


def test_history(finished: Outcome) -> None:
    history = history_of(finished)
    trained = [record for record in history if "loss" in record]
    evaluated = [record for record in history if "eval_f1" in record]
    # due every 20 steps, at the next selection: the ramp goes from 6 to 39, one selection every 10 steps
    assert [record["step"] for record in evaluated] == [21, 40, 60]
    assert {"step", "epoch", "loss", "learning_rate", "target_sparsity", "sparsity", "teacher_version"} <= trained[0].keys()
    assert all(record["sparsity"] == record["target_sparsity"] for record in history), "only masked weights are looked at"
    assert evaluated[-1]["sparsity"] == 14_746 / 16_384
    assert len(evaluated[-1]["layer_sparsity"]) == 12
    assert finished.result.metric == evaluated[-1]["eval_f1"]
    assert finished.result.best_at_target is not None
    assert finished.result.best_at_target.metric == max(r["eval_f1"] for r in evaluated if r["step"] >= 40)


def test_the_same_run_again_says_it_is_finished_and_overwrite_redoes_it(tmp_path: Path) -> None:
    first = do(tmp_path, "trainer.max_steps=20")
    written = (first.folder / "result.json").stat().st_mtime_ns
    again = do(tmp_path, "trainer.max_steps=20")
    assert again.status == "skipped"
    assert again.result == RunFolder(first.folder).read_result()
    assert (first.folder / "result.json").stat().st_mtime_ns == written
    redone = do(tmp_path, "trainer.max_steps=20", "overwrite=true")
    assert (redone.status, redone.folder) == ("done", first.folder)
    assert (first.folder / "result.json").stat().st_mtime_ns > written
    assert_same_end(first, redone)


@pytest.mark.parametrize("in_hardware", quick([True], [True, False]))
def test_auto_works_on_every_processor(in_hardware: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prune_cli.training.hardware.bf16_in_hardware", lambda device: in_hardware)
    precision = "bf16" if in_hardware else "fp32"
    steps = ["trainer.max_steps=20", "trainer.eval_steps=10"]
    auto = do(tmp_path / "auto", *steps, "trainer.precision=auto")
    assert auto.result.precision == precision
    assert_same_end(auto, do(tmp_path / "said", *steps, f"trainer.precision={precision}"))


MOMENTS: dict[str, tuple[Any, str, int]] = {
    "before the first checkpoint": (Pruner, "select", 9),
    "inside a step": (Pruner, "select", 37),
    "in the middle of an epoch": (Pruner, "score", 55),
    "in an evaluation": (Evaluator, "score", 2),
    "while a checkpoint is written": (checkpoints, "checksum", 20),
    "in the final save": (RunFolder, "finish", 1),
}
MOST_TELLING = ("inside a step", "while a checkpoint is written")


@pytest.mark.parametrize("moment", quick(MOST_TELLING, MOMENTS))
def test_killed_and_resumed_ends_the_same(
    moment: str, precision: str, finished: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, call = MOMENTS[moment]
    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies(getattr(where, name), call))
        with pytest.raises(Killed):
            do(tmp_path, precision)
    assert not list(tmp_path.rglob("result.json"))
    if moment == "in the final save":
        assert list(tmp_path.rglob("checkpoint-*")), "the work is not thrown away before the result is written"
    assert_same_end(finished, do(tmp_path, precision))


def test_killed_after_the_result_was_written_is_finished_and_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "clear_checkpoints", dies(RunFolder.clear_checkpoints, 1))
        with pytest.raises(Killed):
            do(tmp_path)
    assert list(tmp_path.rglob("checkpoint-*"))
    assert do(tmp_path).status == "skipped"
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@exhaustive
@pytest.mark.usefixtures("signals_of_a_terminal")
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    precision: str, finished: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Pruner.select

    def interrupted(self: Pruner, step: int) -> None:
        original(self, step)
        if step == 22:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Pruner, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            do(tmp_path, precision)
    assert [path.name for path in tmp_path.rglob("checkpoint-*")].count("checkpoint-31") == 1  # the next selection
    assert_same_end(finished, do(tmp_path, precision))


@exhaustive
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch's own use of it
def test_a_compiled_run_is_compiled_once_and_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ("trainer.compile=true", "trainer.max_steps=30", "trainer.eval_steps=10", "trainer.save_steps=10")
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    whole = do(tmp_path / "whole", *compiled)
    assert graphs["unique_graphs"] - before == 2  # one to train, one to evaluate, whatever the lengths of the records
    assert whole.result.sparsity.zeros_in_file == whole.result.sparsity.zeros_by_mask == 14_746
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints.Checkpoints, "write", dies(checkpoints.Checkpoints.write, 2))
        do(tmp_path / "killed", *compiled)
    assert_same_end(whole, do(tmp_path / "killed", *compiled))


BEST = ("task=stsb", "trainer.keep=best", "trainer.eval_steps=5", "schedule.final=30")


def test_the_best_weights_are_kept_with_all_their_zeros(tmp_path: Path) -> None:
    outcome = do(tmp_path / "whole", *BEST)
    result = outcome.result
    assert result.kept_step < result.steps == 60
    assert result.best_at_target is not None
    assert (result.best_at_target.step, result.metric) == (
        result.kept_step,
        result.best_at_target.metric,
    )
    assert sum(int((t == 0).sum()) for n, t in weights_of(outcome).items() if ".layer." in n and t.ndim == 2) == 14_746
    assert f"those of step {result.kept_step}" in (outcome.folder / "model" / "README.md").read_text()
    last = do(tmp_path / "last", *BEST, "trainer.keep=last")
    assert last.result.metric < result.metric


PATIENT = (
    "sparsity=0",
    "trainer.patience=2",
    "trainer.max_steps=200",
    "trainer.eval_steps=5",
    "trainer.save_steps=5",
)


def test_a_dense_run_stops_where_it_gets_no_better(tmp_path: Path) -> None:
    outcome = do(tmp_path, *PATIENT)
    metrics = [record["eval_f1"] for record in history_of(outcome) if "eval_f1" in record]
    assert outcome.result.steps < 200
    assert max(metrics[:-3]) >= max(metrics[-3:])  # the last is evaluated once more, as every last step is
    with pytest.raises(UserError, match=r"trainer\.patience=2 is for dense runs"):
        config_of(tmp_path, "trainer.patience=2")


@exhaustive
@pytest.mark.parametrize("wanted", [BEST, PATIENT], ids=["keep", "patience"])
def test_killed_at_its_end_it_ends_the_same(wanted: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", dies(RunFolder.finish, 1))
        with pytest.raises(Killed):
            do(tmp_path / "killed", *wanted)
    assert_same_end(do(tmp_path / "whole", *wanted), do(tmp_path / "killed", *wanted))


def test_logging_evaluating_and_saving_do_not_change_training(tmp_path: Path) -> None:
    often = ["trainer.log_steps=1", "trainer.eval_steps=1", "trainer.save_steps=1"]
    rarely = ["trainer.log_steps=60", "trainer.eval_steps=60", "trainer.save_steps=60"]
    one = do(tmp_path / "often", "regularization=none", "trainer.max_steps=30", *often)
    other = do(tmp_path / "rarely", "regularization=none", "trainer.max_steps=30", *rarely)
    assert len(history_of(one)) > len(history_of(other))
    assert all(torch.equal(t, weights_of(other)[name]) for name, t in weights_of(one).items())


@exhaustive
def test_accumulated_batches_equal_a_larger_one(precision: str, tmp_path: Path) -> None:
    without_dropout = ["+model.random.hidden_dropout_prob=0.0", "+model.random.attention_probs_dropout_prob=0.0"]
    still = [
        "regularization=none",
        precision,
        "sparsity=0.9" if precision.endswith("fp32") else "sparsity=0",  # the last bits decide what lies at the cutoff
        "trainer.max_steps=20",
        "trainer.group_by_length=false",
        *without_dropout,
    ]
    whole = do(tmp_path / "whole", *still, "trainer.batch_size=16")
    parts = do(tmp_path / "parts", *still, "trainer.batch_size=4", "trainer.gradient_accumulation=4")
    atol = 1e-5 if precision.endswith("fp32") else 5e-3  # 20 steps of 1e-3 at most, whose signs bf16 may turn
    for name, tensor in weights_of(whole).items():
        torch.testing.assert_close(tensor, weights_of(parts)[name], rtol=1e-3, atol=atol)


@pytest.mark.parametrize(
    "overrides",
    [
        "task=stsb",
        pytest.param("task=mnli regularization=none criterion=magnitude", marks=exhaustive),
        "task=cola criterion=random schedule.regrow=false regularization.update=latest",
        pytest.param("task=sst2 sparsity=0 trainer.max_steps=5", marks=exhaustive),
        pytest.param("task=rte criterion=sensitivity regularization.weight=0.5 sparsity=1.0", marks=exhaustive),
    ],
)
def test_other_options(overrides: str, tmp_path: Path) -> None:
    outcome = do(tmp_path, "trainer.max_steps=20", *overrides.split())
    sparsity = outcome.result.sparsity
    assert sparsity.zeros_by_mask == sparsity.zeros_in_file == round(sparsity.target * 16_384)


def test_first_teacher_with_other_label_order_teaches_the_same(tmp_path: Path) -> None:
    dense = do(tmp_path, "sparsity=0", "regularization=none", "trainer.max_steps=20")
    folder = dense.folder / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for parameter in (model.classifier.weight, model.classifier.bias):
            parameter.copy_(parameter.flip(0).clone())
    model.config.id2label = {0: "EQUIVALENT", 1: "not_equivalent"}
    model.save_pretrained(tmp_path / "flipped")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "flipped")
    runs = [
        do(tmp_path, "trainer.max_steps=20", f"regularization.first_teacher={teacher}")
        for teacher in (folder, tmp_path / "flipped")
    ]
    assert runs[0].folder != runs[1].folder
    assert_same_end(runs[0], runs[1])
    assert runs[0].result.teacher_metric == dense.result.metric == runs[1].result.teacher_metric


def test_a_new_regression_begins_at_the_mean_of_its_labels(tmp_path: Path) -> None:
    outcome = do(tmp_path, "task=stsb", "sparsity=0", "trainer.max_steps=2", "trainer.learning_rate=1e-9")
    predicted = [json.loads(line)["predicted"] for line in (outcome.folder / "predictions.jsonl").read_text().splitlines()]
    assert all(2 < float(value) < 3.5 for value in predicted), predicted  # labels are from 0 to 5


def test_a_mistake_in_records_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("sentence1,sentence2,label\n" + "a,b,1\n" * 30 + "a,b,7\n")
    with pytest.raises(UserError, match=r"data\.csv:32: `label` is 7"):
        do(tmp_path / "runs", data=["data=local", f"data.path={tmp_path / 'data.csv'}"])
    assert not list((tmp_path / "runs").iterdir())


def test_a_model_that_cannot_compute_in_bf16_is_trained_in_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = Classification.outputs

    def strict(self: Classification, model: torch.nn.Module, batch: Any) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("value cannot be converted to type c10::BFloat16 without overflow\n...")
        return outputs(self, model, batch)

    monkeypatch.setattr("prune_cli.training.hardware.bf16_in_hardware", lambda device: True)
    monkeypatch.setattr(Classification, "outputs", strict)
    outcome = do(tmp_path, "trainer.precision=auto", "trainer.max_steps=4", "sparsity=0")
    assert outcome.result.precision == "fp32"
    assert "cannot compute in bf16 (value cannot be converted" in (outcome.folder / "run.log").read_text()
    with pytest.raises(UserError, match=r"trainer\.precision=bf16: .* Give trainer\.precision=fp32"):
        do(tmp_path, "trainer.precision=bf16", "trainer.max_steps=4", "sparsity=0")


def test_first_teacher_of_another_task_is_refused(tmp_path: Path) -> None:
    dense = do(tmp_path, "task=rte", "sparsity=0", "regularization=none", "trainer.max_steps=2")
    with pytest.raises(UserError, match=r"predicts \['entailment', 'not_entailment'\]"):
        do(tmp_path, f"regularization.first_teacher={dense.folder / 'model'}")


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    first = do(tmp_path, "trainer.max_steps=2", "sparsity=0")
    (first.folder / "result.json").unlink()
    with FileLock(first.folder / ".lock"), pytest.raises(UserError, match="another process is working on"):
        do(tmp_path, "trainer.max_steps=2", "sparsity=0")


def test_epochs_too_short_for_the_schedule_are_refused_before_the_model_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prune_cli.models.random_model", lambda *args, **kwargs: pytest.fail("the model was made"))
    with pytest.raises(UserError, match="the run has 5 steps"):
        do(tmp_path, "trainer.max_steps=null", "trainer.epochs=0.25")


@exhaustive
@pytest.mark.filterwarnings("ignore")  # of PyTorch's compiler about itself
def test_a_compiled_run_ends_exact_and_close_to_the_plain_one(tmp_path: Path) -> None:
    plain, compiled = (
        do(tmp_path / name, "trainer.max_steps=20", "trainer.precision=fp32", f"trainer.compile={name}").result
        for name in ("false", "true")
    )
    assert compiled.sparsity.zeros_in_file == plain.sparsity.zeros_in_file == round(0.9 * plain.sparsity.prunable)
    assert compiled.metrics["loss"] == pytest.approx(plain.metrics["loss"], abs=0.05)
