"""A compact model from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError

from prune_cli.compaction.compact import compact_class
from prune_cli.compaction.compact_layout import KEY, checked
from prune_cli.errors import UserError
from prune_cli.runtime.folders import class_of, config_of, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_compact(folder: str | Path) -> bool:
    """Whether a folder with a config.json holds a compact model.

    Raises:
        UserError: If there is no config.json that can be read.
    """
    return KEY in config_of(Path(folder).expanduser())


def class_as_saved(folder: Path) -> type[PreTrainedModel]:
    """The class of transformers whose models have the form of a saved one, compact or not.

    Raises:
        UserError: If its config.json names none, or a layout that is none.
    """
    cls = class_of(folder)
    if not is_compact(folder):
        return cls
    checked(config_of(folder)[KEY], str(folder / "config.json"))
    return compact_class(cls)


def load_compact(folder: str | Path) -> PreTrainedModel:
    """Load a compact model as `prune run pattern=heads` and `prune export --format compact` write it.

    It is a model of transformers, for inference; one that nothing but whole blocks was cut out of is a plain one.

    Args:
        folder: Holds config.json and model.safetensors.

    Raises:
        UserError: If it is none.
    """
    folder = Path(folder).expanduser()
    cls = class_as_saved(folder)
    try:
        loaded = cls.from_pretrained(str(folder), use_safetensors=True, output_loading_info=True, trust_remote_code=False)
    except (AttributeError, OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded: {first_line(error)}") from error
    model, load_report = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    if load_report["missing_keys"] or load_report["unexpected_keys"]:
        raise UserError(f"{folder} cannot be loaded: its weights are not those of the layout in its config.json")
    return model.eval()
