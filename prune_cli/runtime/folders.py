"""The folder of an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.plain import from_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def config_of(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json.

    Raises:
        UserError: If there is none.
    """
    path = folder / "config.json"
    try:
        values = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no configuration of a model")
    return values


def class_of(folder: Path) -> type[PreTrainedModel]:
    """The class of transformers that a folder's config.json names.

    Raises:
        UserError: If it names none.
    """
    import transformers

    named = config_of(folder).get("architectures")
    name = named[0] if isinstance(named, list) and named else None
    cls = getattr(transformers, str(name), None)
    if not (isinstance(cls, type) and issubclass(cls, transformers.PreTrainedModel)):
        raise UserError(f"{folder / 'config.json'}: architectures={named} names no model of transformers")
    return cls


def first_line(error: BaseException) -> str:
    """What an error of a library says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
