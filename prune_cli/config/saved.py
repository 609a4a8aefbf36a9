"""The configuration under which a saved model is evaluated again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prune_cli.config.compose import without_hydra
from prune_cli.config.diagnose import diagnose
from prune_cli.config.option_files import folders, names
from prune_cli.config.overrides import expand_home
from prune_cli.config.run_config import RunConfig
from prune_cli.config.schema import TARGET
from prune_cli.errors import UserError
from prune_cli.plain import from_yaml
from prune_cli.redaction import HIDDEN

_OURS = __name__.partition(".")[0]
_KEPT = ("task", "data", "trainer")
"""Groups that an evaluation takes from the run where the overrides do not choose another option."""


def saved_run(
    folder: Path,
    overrides: Sequence[str],
    config_dir: str | None = None,
    *,
    records: bool = True,
    training: bool = True,
) -> tuple[RunConfig, Path]:
    """Find a saved model and the configuration to evaluate it or to predict with it.

    Args:
        folder: A run folder, or a folder with a model in the Hugging Face layout.
        overrides: What is to be different from the run; a model outside a run folder needs a task at least.
        training: Whether those to train on are needed too.
        records: Whether the task's records are needed, so that their source is asked for them.

    Returns:
        The configuration, and the folder with the model.

    Raises:
        UserError: If there is no model, or an override cannot work.
    """
    from prune_cli.models import folder_problems

    model = folder / "model" if (folder / "model").is_dir() else folder
    if problems := list(folder_problems(str(model))):
        raise UserError(*(f"{model}: {problem}" for problem in problems))
    overrides = [expand_home(override) for override in overrides]
    given = {override.partition("=")[0].lstrip("+") for override in overrides}
    written = _config_of(model)
    saved = _read(written)
    kept = [group for group in _KEPT if group in saved and group not in given]
    for group in kept:
        options = names(group, folders(config_dir))
        chosen = saved.choices.get(group)
        if chosen in options:
            overrides.append(f"{group}={chosen}")
        elif group == "task":  # of the user's own, folder not given: any will do, for the saved one replaces it
            overrides.append(f"task={options[0]}")
    tracking = section if isinstance(section := saved.get("tracking"), Mapping) else {}
    if isinstance(trackers := tracking.get("trackers"), Mapping) and "tracking" not in given:
        options = names("tracking", folders(config_dir))
        overrides.append(f"tracking=[{','.join(name for name in trackers if name in options)}]")
    cfg = diagnose(overrides, config_dir, values=False)
    values = OmegaConf.to_container(without_hydra(cfg))
    assert isinstance(values, dict)
    for key in given:
        if key.partition(".")[0] in kept and "." in key:
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key))
    for group in kept:
        _check_hidden(written, group, saved[group])
        _check_class(written, group, saved[group], values[group])
    values |= {group: saved[group] for group in kept}
    # What only training needs must not refuse an evaluation: the first model and teacher may be gone.
    values |= {
        "model": {TARGET: values["model"][TARGET], "name": str(model)},
        "regularization": {"_target_": "prune_cli.distillation.NoTeacher"},
        "sparsity": 0.0,
    }
    values["data"].pop("extra", None)
    for name in ("project", "entity"):
        if f"tracking.{name}" not in given and HIDDEN not in str(saved_name := tracking.get(name)) and saved_name is not None:
            values["tracking"][name] = saved_name
    if not (records and training):  # an evaluation logs nothing, and what is wrong with a tracker is nothing to it
        values["tracking"]["trackers"] = {}
    return RunConfig.from_hydra(OmegaConf.create(values), {}, writes=False, ask_source=records, training=training), model


def _config_of(model: Path) -> Path:
    """What a run wrote beside its model, or above the exports of it."""
    run = model.parent.parent if model.parent.name == "exports" else model.parent
    return run / "config.yaml"


def _check_hidden(path: Path, group: str, saved: Any) -> None:
    """Refuse a value that was hidden when the run wrote its configuration."""
    for name, value in saved.items() if isinstance(saved, Mapping) else ():
        if isinstance(value, str) and HIDDEN in value:
            raise UserError(f"{path} does not tell {group}.{name}, in which was a secret: give {group}.{name}=... again")


def _check_class(path: Path, group: str, saved: Any, composed: Mapping[str, Any]) -> None:
    """Refuse a class that a file alone names: importing it would run whatever code lies there."""
    named = str(saved.get(TARGET, "")) if isinstance(saved, Mapping) else ""
    if named and not named.startswith(f"{_OURS}.") and named != composed.get(TARGET):
        raise UserError(
            f"{path} names the class {group}.{TARGET}={named}, and no code runs because a file names it: if you know it, give"
            f" --config-dir with the folder that has its {group}, or {group}.{TARGET}={named}"
        )


def _read(path: Path) -> DictConfig:
    """A run's configuration; nothing in it where there is none."""
    if not path.is_file():
        return DictConfig({})
    try:
        values = from_yaml(path.read_text(encoding="utf-8"))
        config = OmegaConf.create(values) if isinstance(values, dict) else None
    except (OSError, ValueError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if config is None or "choices" not in config:
        raise UserError(f"{path} is not the configuration of a run")
    return config
