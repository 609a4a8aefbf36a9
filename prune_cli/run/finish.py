"""What a finished training leaves behind: the model, its predictions, pictures, and what it came to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from prune_cli import models
from prune_cli.artifacts import environment
from prune_cli.artifacts.result import COMPUTATION, Arithmetic, Result
from prune_cli.compaction.compact import answers, arithmetic, compact
from prune_cli.config.command import commands
from prune_cli.config.schema import ELSEWHERE
from prune_cli.distillation.teacher import tensors
from prune_cli.files import filled, write_text
from prune_cli.redaction import redact
from prune_cli.report import figures, model_card, names, samples
from prune_cli.run import measured
from prune_cli.runtime.compact import is_compact
from prune_cli.tasks.sameness import only_prediction
from prune_cli.training.checkpoints import on_host

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.artifacts.run_folder import RunFolder
    from prune_cli.config.identity import Contents
    from prune_cli.config.run_config import RunConfig
    from prune_cli.heads.base import Head
    from prune_cli.tasks.base import Prediction, Row
    from prune_cli.training.training import Training

log = logging.getLogger(__name__)

METRIC_PICTURE, LAYERS_PICTURE = "metric.png", "layers.png"
PICTURES = tuple(f"{Path(name).stem}{end}" for name in (METRIC_PICTURE, LAYERS_PICTURE) for end in (".png", ".svg"))
"""Names of all files in the folder of pictures."""


class Left(NamedTuple):
    """What the processes of a run have made together by its end, as the first one has it."""

    predictions: Mapping[str, list[Prediction]]
    """Of the last evaluation, by split."""
    teacher_cached: float | None
    """The share of the teacher's answers that were known."""
    weights: dict[str, Tensor] | None
    """The weights by their names in the model, where each process holds a part of them."""

    @staticmethod
    def of(training: Training) -> Left:
        """Ask all of them."""
        learning = training.learning
        weights = None
        if learning.passes.sharded:
            there = tensors(learning.model)  # weights that have two names, once
            saved = {name: tensor for name, tensor in learning.model.state_dict().items() if name in there}
            weights = on_host(saved, kept=learning.processes.writes)
        return Left(training.final_predictions(), training.teacher_cached(), weights)


def finish(
    config: RunConfig,
    run_contents: Contents,
    run_id: str,
    folder: RunFolder,
    training: Training,
    tokenizer: PreTrainedTokenizerBase,
    left: Left,
) -> tuple[Result, list[dict[str, Any]]]:
    """Save the model, its predictions and the pictures, all of it on the disk when this returns.

    Args:
        run_contents: What its records, model and teacher are, wherever they lie.
        left: What all processes have left.

    Returns:
        What it came to, and some of the predictions.
    """
    task, learning = training.task, training.learning
    model, pruner, teacher = learning.model, learning.pruner, learning.teacher
    final = left.predictions
    first = task.evaluation_splits[0]
    examples = training.evaluation.examples[first]
    only = only_prediction(task, final[first], cast("Iterable[Row]", examples)) if final[first] else None
    if only is not None:
        log.warning("THE MODEL SAYS THE SAME OF ALL RECORDS (%s): it tells nothing apart.", samples.one_line(only))
    architecture = cast("models.Architecture | None", config.model.architecture)
    with filled(folder.model) as saved:
        model.save_pretrained(saved, state_dict=left.weights)
        tokenizer.save_pretrained(saved)
        if left.weights is not None:  # here is a part of the model
            model = models.load_finetuned(saved, task.head)
        zeros = measured.count_zeros(saved, pruner.matrices)
        if len(zeros) < len(pruner.matrices):  # some architectures are saved under other names than they have in memory
            zeros = measured.zeros_of(models.load_finetuned(saved, task.head), pruner.matrices)
        small = None
        if pruner.pattern.structured and pruner.removed:  # whole units need not be saved to be nothing
            small = _made_small(saved, model, task.head)
        history = training.checkpoints.history.records
        last = measured.evaluations(history, task.primary_metric)[-1]
        counted = arithmetic(model)
        seconds = measured.seconds(history)
        result = Result(
            name=folder.path.name,
            id=run_id,
            choices=dict(config.choices),
            # a class of the user's may hold paths
            config=json.loads(json.dumps(redact(config.resolved), default=str)),
            **asdict(run_contents),
            seed=config.seed,
            auto_class=task.head.auto_classes[models.architecture_of(model.config, architecture)],
            primary_metric=task.primary_metric,
            metric=last[f"eval_{task.primary_metric}"],
            metrics=measured.metrics_of(last),
            signatures=task.signatures(examples),
            best_at_target=measured.best_at_target(history, task.primary_metric, pruner.target_now),
            only_prediction=only,
            taught_steps=None if teacher is None else teacher.taught,
            teacher_cached=left.teacher_cached,
            teacher_metric=None if teacher is None else teacher.first_metric,
            teacher_records=sum(len(each.records) for each in training.evaluation.sets(whole=False).values()),
            sparsity=measured.sparsity(pruner, zeros, sum(p.numel() for p in model.parameters())),
            layers=measured.layers(pruner, zeros),
            arithmetic=None if counted is None else Arithmetic(dense=counted.dense, left=counted.left, share=counted.share),
            steps=last["step"],
            kept_step=training.kept_step,
            epochs=last["epoch"],
            precision=learning.precision,
            seconds=seconds,
            steps_per_second=last["step"] / seconds.train,
            peak_memory_bytes=environment.peak_memory_bytes(),
            small=small,
            files={f"model/{path.name}": path.stat().st_size for path in sorted(saved.glob("*.safetensors"))},
            computation=COMPUTATION,
            versions=environment.versions(),
            git_commit=environment.git_commit(),
            machine=environment.machine() | {"processes": learning.processes.count},
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_text(saved / "README.md", card(result, config.resolved))
    title = names.run_title(result)
    with filled(folder.figures) as pictures:
        figures.metric_and_sparsity(
            history,
            task.primary_metric,
            pictures / METRIC_PICTURE,
            title,
            teacher_metric=result.teacher_metric,
        )
        figures.layer_sparsity(result.layers, pictures / LAYERS_PICTURE, title)
    rows = [
        row
        for split, predictions in final.items()
        if predictions
        for row in samples.rows(task, split, training.evaluation.examples[split].to_list(), predictions)
    ]
    write_text(folder.predictions, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    shown = samples.picked(rows, samples.SHOWN)
    write_text(folder.samples, samples.as_markdown(shown, folder.path.name))
    kept = (samples.ID, *task.inputs, samples.EXPECTED, samples.PREDICTED)
    told_samples = [
        {**{name: samples.told(row[name]) for name in kept if name in row}, samples.RIGHT: row[samples.RIGHT]} for row in shown
    ]
    training.checkpoints.history.save(folder.history)
    return replace(result, samples=told_samples, promised=folder.promises()), shown


def _made_small(saved: Path, model: PreTrainedModel, head: Head[Any]) -> str | None:
    """Cut out of a saved model what is empty, if what is written computes the same when it is read back.

    Returns:
        "compact" or "plain", the form of what is left; None where the model stays as it was.
    """
    left = models.load_finetuned(saved, head)
    expected = answers(left)
    compact(left)
    left.save_pretrained(saved)
    if torch.allclose(answers(models.load_finetuned(saved, head)), expected, rtol=1e-4, atol=1e-4):
        return "compact" if is_compact(saved) else "plain"
    log.warning("Without what is gone, the model computes something else when it is read back: it keeps its zeros.")
    model.save_pretrained(saved)
    return None


def card(result: Result, config: Mapping[str, Any]) -> str:
    """The model card of a run, with the command that repeats it; of options that only its user has, with their names."""
    config = {key: value for key, value in config.items() if key not in ELSEWHERE}
    (command,) = commands([model_card.shareable(config)], lenient=True)
    if command.startswith("#"):
        chosen = " ".join(
            f"{group}={option}" for group, option in result.choices.items() if group not in ("tracking", "experiment")
        )
        target = result.sparsity.target
        command = f"prune run {chosen} sparsity={target:g} seed={result.seed}  {command}"
    return model_card.model_card(result, config, command)
