"""What a value may be where its type does not say: one function a part of the configuration, each yielding problems.

Nothing here loads a model or reads a record.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml

from prune_cli.config.options import names
from prune_cli.config.schema import ModelConfig, TrackingConfig, TrainerConfig
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.paths import CONF

if TYPE_CHECKING:
    from prune_cli.models import Architecture, Location
    from prune_cli.tasks.base import Task

_HIGHEST_SEED = 2**32 - 1  # NumPy takes no higher one
_LEAST_FREE = 1 << 20  # bytes: not enough for a model, but enough to say so in a log

_COUNTS = (
    "batch_size",
    "eval_batch_size",
    "gradient_accumulation",
    "eval_steps",
    "save_steps",
    "log_steps",
    "keep_checkpoints",
)
_POSITIVE = ("epochs", "learning_rate", "max_grad_norm")
_PRECISIONS = ("auto", "fp32", "bf16")
_DEVICES = ("auto", "cpu")
_ARCHITECTURES = ("encoder", "decoder", "encoder-decoder")


def run_problems(sparsity: float, seed: int) -> Iterator[str]:
    """What is wrong with the values at the top."""
    if not 0 <= sparsity <= 1:  # also true of not-a-number
        percent = f": did you mean {sparsity / 100:g}?" if 2 <= sparsity <= 100 else ""
        yield f"sparsity is {sparsity:g}: give the fraction of weights to remove, from 0 to 1{percent}"
    if not 0 <= seed <= _HIGHEST_SEED:
        yield f"seed is {seed}: give a whole number from 0 to {_HIGHEST_SEED}"


def trainer_problems(trainer: TrainerConfig) -> Iterator[str]:
    """What is wrong with steps, batches and learning rate."""
    for name in _COUNTS:
        value: int = getattr(trainer, name)
        if value < 1:
            yield f"trainer.{name} is {value}: give a whole number from 1 on"
    if trainer.max_steps is not None and trainer.max_steps < 1:
        yield f"trainer.max_steps is {trainer.max_steps}: give a whole number from 1 on, or null to count by epochs"
    for name in _POSITIVE:
        number: float = getattr(trainer, name)
        if not (number > 0 and math.isfinite(number)):
            yield f"trainer.{name} is {number:g}: give a number above 0"
    if not (trainer.weight_decay >= 0 and math.isfinite(trainer.weight_decay)):
        yield f"trainer.weight_decay is {trainer.weight_decay:g}: give 0 or a number above"
    yield from _warmup_problems(trainer)
    if trainer.precision not in _PRECISIONS:
        yield _not_among("trainer.precision", trainer.precision, _PRECISIONS)
    if trainer.device not in _DEVICES:
        yield _not_among("trainer.device", trainer.device, _DEVICES)


def _warmup_problems(trainer: TrainerConfig) -> Iterator[str]:
    warmup = trainer.warmup
    if not (0 <= warmup < 1 or (warmup >= 1 and warmup.is_integer())):
        yield f"trainer.warmup is {warmup:g}: give a fraction of the run from 0 to below 1, or a whole number of steps"
    elif trainer.max_steps is not None and warmup > max(trainer.max_steps, 1):
        yield f"trainer.warmup is {warmup:g} steps of a run of {trainer.max_steps}: give fewer, or a fraction below 1"


def tracking_problems(tracking: TrackingConfig) -> Iterator[str]:
    """What is wrong with the tracking."""
    if not (tracking.timeout > 0 and math.isfinite(tracking.timeout)):
        yield f"tracking.timeout is {tracking.timeout:g}: give a number of seconds above 0"


def model_problems(model: ModelConfig) -> Iterator[str]:
    """What is wrong with the choice of a model; a folder must be there, with weights that can be loaded safely."""
    if model.random is not None:
        yield from _random_problems(model)
    elif model.name is not None and model.gguf_file is None and _looks_like_folder(model.name):
        yield from folder_problems("model.name", model.name)
    else:
        try:
            _located(model)
        except UserError as error:
            yield from error.problems
    if model.architecture is not None and model.architecture not in _ARCHITECTURES:
        yield _not_among("model.architecture", model.architecture, _ARCHITECTURES)
    if model.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", model.sha256):
        yield f"model.sha256 is {model.sha256}: give 64 hexadecimal digits in lower case"
    for name, pattern in (("include", model.include), ("exclude", model.exclude)):
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"model.{name} is {pattern!r}, no regular expression: {error}"


def _random_problems(model: ModelConfig) -> Iterator[str]:
    assert model.random is not None
    if model.name is not None or model.package is not None or model.gguf_file is not None:
        yield (
            "model.random makes a random model, so model.name, model.package and model.gguf_file must be null: leave"
            " either out"
        )
    if "model_type" not in model.random:
        yield "model.random.model_type is missing: name an architecture of transformers, such as bert"


def _located(model: ModelConfig) -> Location:
    """Where the model lies; its weights are not looked into."""
    from prune_cli.models import located

    return located(
        model.name,
        revision=model.revision,
        package=model.package,
        folder=model.package_folder,
        gguf_file=model.gguf_file,
    )


def source_architecture(model: ModelConfig) -> Architecture | None:
    """What kind of model it is: by its own configuration where that is here, else by what was set; None where neither tells.

    Args:
        model: One without `model_problems`.

    Raises:
        UserError: If it is no language model.
    """
    from prune_cli.models import told_architecture

    told = _located(model).architecture() if model.random is None else told_architecture(model.random)
    return told or cast("Architecture | None", model.architecture)


def fit_problems(task: Task, model: ModelConfig) -> Iterator[str]:
    """Why a task and a model do not go together, and which models would do.

    Nothing is said of a model that has problems of its own, or of which nobody knows what it is.
    """
    from prune_cli.models import WITH_ARTICLE

    if next(model_problems(model), None) is not None:
        return
    try:
        architecture = source_architecture(model)
    except UserError as error:
        yield from error.problems
        return
    fitting = task.head.auto_classes
    if architecture is None or architecture in fitting:
        return
    options = {name: _option(name) for name in names("model", [CONF])}
    chosen = next((f"model={name}" for name, option in options.items() if option == model), _described(model))
    others = ", ".join(name for name, option in options.items() if option.architecture in fitting)
    needed = " or ".join(WITH_ARTICLE[kind] for kind in fitting)
    yield f"task={task.name} needs {needed}, and {chosen} is {WITH_ARTICLE[architecture]}: choose model={others}"


def _option(name: str) -> ModelConfig:
    """What a YAML of conf/model says of the model; one may speak of other groups too."""
    said = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
    return ModelConfig(**said.get("model", said))


def _described(model: ModelConfig) -> str:
    """The key that says which model it is."""
    if model.random is not None:
        return f"model.random.model_type={model.random['model_type']}"
    key = next(key for key in ("name", "package", "gguf_file") if getattr(model, key) is not None)
    return f"model.{key}={getattr(model, key)}"


def model_on_hub_problems(model: ModelConfig) -> list[str]:
    """Why a model that is neither here nor in an installed package cannot be had from the hub."""
    from prune_cli.models import hub_problems

    shipped = model.package is not None and importlib.util.find_spec(model.package) is not None
    if model.random is not None or shipped or model.name is None or _looks_like_folder(model.name):
        return []
    return hub_problems(model.name, model.revision)


def _looks_like_folder(name: str) -> bool:
    """Whether a model's name can only be meant as a folder; hub ids have one slash at most."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).is_dir()


def folder_problems(key: str, name: str) -> Iterator[str]:
    """Why no model can be loaded from a folder.

    Args:
        key: Where the folder was set.
        name: The folder.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        yield f"{key}={name}: there is no such folder"
        return
    if not (folder / "config.json").is_file():
        beneath = sorted(str(config.parent) for config in folder.glob("*/config.json"))
        remedy = f"did you mean {beneath[0]}?" if beneath else "it has no config.json"
        yield f"{key}={name} holds no model: {remedy}"
    elif not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        remedy = "convert its pickled weights, which are not safe to load" if pickled else "is it the right folder?"
        yield f"{key}={name} holds no weights (model.safetensors): {remedy}"


def output_problems(output_dir: Path) -> Iterator[str]:
    """Why nothing can be written to a folder, which need not exist yet.

    A file is really made and removed: permissions alone do not tell of a read-only disk.
    """
    existing = next(folder for folder in (output_dir.absolute(), *output_dir.absolute().parents) if folder.exists())
    if not existing.is_dir():
        yield f"output_dir={output_dir}: {existing} is a file, give a folder"
        return
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        yield f"output_dir={output_dir} cannot be written to ({error.strerror}): give another folder"
        return
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE:
        yield f"output_dir={output_dir} lies on a full disk ({free:,} bytes free): make room, or give another folder"


def _not_among(key: str, value: str, allowed: tuple[str, ...]) -> str:
    return f"{key} is {value}: give {', '.join(allowed[:-1])} or {allowed[-1]}{did_you_mean(value, allowed)}"
