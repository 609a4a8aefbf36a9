"""What was changed in a model to make it compact, as its config.json tells it, and how to change an empty one alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from torch import nn

from prune_cli.compaction.modules import Constant, Group, GroupedAttention, Unread
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

VERSION = 1
KEY = "compact"
"""Where the layout stands in config.json."""

Entry = dict[str, Any]
"""One changed module: its `name`, its `kind`, and what the kind takes, by the names that modules.py has for it.

| kind | takes | what it is |
| --- | --- | --- |
| `linear` | inputs, outputs, bias | a linear layer |
| `constant` | outputs | the bias of one whose every weight is zero |
| `unread` | | a layer whose result nobody reads |
| `grouped` | inputs, outputs or null, groups, scaling | attention whose heads differ; `groups` has `[heads, keys, values]` each |
| `sizes` | sizes | attributes of a module that stays |
"""


class CompactLayout(TypedDict):
    """All changed modules, in order."""

    version: int
    modules: list[Entry]


def make_module(entry: Entry, config: PretrainedConfig) -> nn.Module:
    """The module of an entry, with weights to be filled in.

    Args:
        entry: Any but `sizes`.
    """
    if entry["kind"] == "linear":
        return nn.Linear(entry["inputs"], entry["outputs"], bias=entry["bias"])
    if entry["kind"] == "constant":
        return Constant(entry["outputs"])
    if entry["kind"] == "grouped":
        groups = [Group(*group) for group in entry["groups"]]
        return GroupedAttention(config, groups, inputs=entry["inputs"], scaling=entry["scaling"], outputs=entry["outputs"])
    return Unread()


def put(model: PreTrainedModel, entry: Entry, module: nn.Module | None = None) -> None:
    """Change a model as an entry says.

    Args:
        module: The new module, where it is made already.
    """
    if entry["kind"] == "sizes":
        changed = model.get_submodule(entry["name"])
        for name, size in entry["sizes"].items():
            setattr(changed, name, size)
    else:
        model.set_submodule(entry["name"], module or make_module(entry, model.config), strict=True)


def checked(value: Any, where: str) -> CompactLayout:
    """The layout in a config.json that may have been written by anybody.

    Raises:
        UserError: If it is no layout of this version, or one of huge sizes.
    """
    if not isinstance(value, Mapping) or value.get("version") != VERSION or not isinstance(value.get("modules"), list):
        raise UserError(f"{where} has no `{KEY}` of version {VERSION}: it is no compact model that this release can read")
    for number, entry in enumerate(value["modules"]):
        if not isinstance(entry, Mapping) or not _sound(entry):
            raise UserError(f"{where}: entry {number} of `{KEY}` is none: {str(entry)[:200]}")
    return cast("CompactLayout", value)


_LARGEST = 1 << 20  # of any size in a layout; the widest matrix of today's language models has a quarter of it
_WANTED: Mapping[str, tuple[str, ...]] = {
    "linear": ("inputs", "outputs", "bias"),
    "constant": ("outputs",),
    "unread": (),
    "grouped": ("inputs", "outputs", "groups", "scaling"),
    "sizes": ("sizes",),
}
_ATTRIBUTES = {
    "all_head_size", "attention_head_size", "head_dim", "inner_dim", "key_value_proj_dim", "n_heads", "num_attention_heads",
    "num_heads", "split_size",
}  # fmt: skip


def _sound(entry: Mapping[str, Any]) -> bool:
    wanted = _WANTED.get(str(entry.get("kind")))
    return (
        wanted is not None
        and isinstance(entry.get("name"), str)
        and set(entry) == {"name", "kind", *wanted}
        and all(_SOUND[name](entry[name]) for name in wanted)
    )


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST


_SOUND: Mapping[str, Any] = {
    "inputs": _size,
    "outputs": lambda value: value is None or _size(value),
    "bias": lambda value: isinstance(value, bool),
    "groups": lambda value: (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(group, list) and len(group) == 3 and all(map(_size, group)) for group in value)
    ),
    "scaling": lambda value: isinstance(value, float),
    "sizes": lambda value: isinstance(value, Mapping) and set(value) <= _ATTRIBUTES and all(map(_size, value.values())),
}
