"""A compact model from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError

from prune_cli.compaction.compact import compact_class
from prune_cli.compaction.layout import KEY, checked
from prune_cli.errors import UserError
from prune_cli.runtime.folders import class_of, config_of, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_compact(folder: str | Path) -> PreTrainedModel:
    """Load a compact model as `prune export --format compact` wrote it. It is a model of transformers, for inference.

    Args:
        folder: Holds config.json and model.safetensors.

    Raises:
        UserError: If it is none.
    """
    folder = Path(folder).expanduser()
    checked(config_of(folder).get(KEY), str(folder / "config.json"))
    cls = compact_class(class_of(folder))
    try:
        loaded = cls.from_pretrained(str(folder), use_safetensors=True, output_loading_info=True)
    except (AttributeError, OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded: {first_line(error)}") from error
    model, found = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    if found["missing_keys"] or found["unexpected_keys"]:
        raise UserError(f"{folder} cannot be loaded: its weights are not those of the layout in its config.json")
    return model.eval()
