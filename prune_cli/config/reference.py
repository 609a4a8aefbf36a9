"""The reference of the configuration, from the classes that it builds: `python -m prune_cli.config.reference`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import yaml

from prune_cli.config.build import kind, locate, written
from prune_cli.config.describe import about, default_of
from prune_cli.config.option_files import options
from prune_cli.config.schema import MISSING, PARTS, TARGET, USUAL, General
from prune_cli.paths import CONF

_HEAD = """# Every key of the configuration

For people who look up an option: its type, default, meaning and range.

`make reference` makes this page from the classes and the options' YAML, and the tests compare. Where several options share a
class, the default is the class's, and the YAML of an option goes before it. `prune run task=... --cfg job` prints the values
that a run would have.

"""


def reference() -> str:
    """All keys in Markdown: a table for the top, and one for each class of each group."""
    return _HEAD + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from ("## At the top", "", *_table(General, "", {}), "")
    for group, decides in PARTS.items():
        yield from (f"## `{group}`", "", decides, "")
        for cls, chosen_by in _classes(group).items():
            usual = cls is USUAL.get(group)
            chosen = "" if usual else f" ({', '.join(f'`{group}={name}`' for name in chosen_by)})"
            values = chosen_by.get("default", {}) if usual else next(iter(chosen_by.values()))
            yield from (f"`{cls.__module__}.{cls.__name__}`{chosen}", "")
            if dataclasses.fields(cls):
                yield from (*_table(cls, f"{group}.", values if usual or len(chosen_by) == 1 else {}), "")
            else:
                yield from ("It has no keys.", "")


def _classes(group: str) -> Mapping[type, dict[str, dict[str, Any]]]:
    """The classes of a group, and the options that each is of with the values that they give."""
    options_of: dict[type, dict[str, dict[str, Any]]] = {USUAL[group]: {}} if group in USUAL else {}
    for option in options(group, [CONF]):
        written = yaml.safe_load(option.path.read_text(encoding="utf-8")) or {}
        values = written.get(group, written)
        cls = USUAL.get(group) if TARGET not in values else locate(values[TARGET], group)
        if cls is not None:
            options_of.setdefault(cls, {})[option.name] = values
    return options_of


def _table(cls: type, prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    hints = get_type_hints(cls)
    yield from ("| key | is | default | |", "|---|---|---|---|")
    for field in dataclasses.fields(cls):
        about_it = _cell(about(cls, field.name))
        yield f"| `{prefix}{field.name}` | {kind(hints[field.name])} | {_default(field, values)} | {about_it} |"


def _default(field: dataclasses.Field[Any], values: Mapping[str, Any]) -> str:
    """What a field is where nobody sets it: as the option's YAML has it, or else the class."""
    if (value := values.get(field.name, MISSING)) != MISSING:
        return f"`{_cell(written(value))}`"
    if (default := default_of(field)) is dataclasses.MISSING:
        return "given"
    return f"`{_cell(written(default)) or chr(39) * 2}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "\\n")


if __name__ == "__main__":
    sys.stdout.write(reference())
