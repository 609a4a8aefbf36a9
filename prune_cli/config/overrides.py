"""Overrides as Hydra reads them: one key and one value each, or several values to sweep over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from prune_cli.config.option_files import GROUPS, names
from prune_cli.errors import UserError
from prune_cli.plain import shortened

_PLAIN = re.compile(r"[A-Za-z_./][\w./@%+-]*")
"""Words that need no quotes in Hydra's grammar; one that begins with a digit may be a number."""
_OTHERS = ("null", "true", "false", "inf", "nan")
"""Words that mean no word there."""


@dataclass(frozen=True)
class Setting:
    """One override.

    Attributes:
        key: What it sets, without a leading `+` or `~`.
        variants: Overrides of a single value each, one for each value that is swept over.
        change: Whether it changes something that is there, rather than adding (`+`) or deleting (`~`) it.
        parsed: What Hydra's parser made of it.
    """

    text: str
    key: str
    variants: tuple[str, ...]
    change: bool
    parsed: Override

    @property
    def swept(self) -> bool:
        """Whether it names several values."""
        return self.parsed.is_sweep_override()


def expand_home(override: str) -> str:
    """Write out a `~` at the beginning of a value, which no shell expands there and Hydra cannot read."""
    return re.sub(r"=~(?=/|$)", lambda _: f"={Path.home()}", override, count=1)


def parse(override: str, folders: Sequence[Path]) -> Setting:
    """Read one override. Hydra must be initialized.

    Args:
        folders: Folders that hold groups, for a better message.

    Raises:
        UserError: If Hydra's grammar does not know it.
    """
    if override.startswith("="):
        raise UserError(_unreadable(override, folders))  # to Hydra the empty key is the whole configuration
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    try:
        parsed = parser.parse_overrides([override])[0]
    except HydraException as error:
        raise UserError(_unreadable(override, folders)) from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise UserError(f"{shortened(override)} is too large a number") from error
    key = parsed.key_or_group
    change = not (parsed.is_add() or parsed.is_force_add() or parsed.is_delete())
    return Setting(text=override, key=key, variants=tuple(_variants(parsed)), change=change, parsed=parsed)


def one_value_each(settings: Sequence[Setting]) -> Iterator[list[str]]:
    """Overrides to check: all first values, then each other value of each sweep beside the first of all others.

    That is linear in the number of values, where the runs themselves are their product.
    """
    first = [setting.variants[0] for setting in settings]
    yield first
    for position, setting in enumerate(settings):
        for variant in setting.variants[1:]:
            yield [*first[:position], variant, *first[position + 1 :]]


def _variants(parsed: Override) -> Iterator[str]:
    """Overrides of a single value; of a range, which is checked at its ends, two at most."""
    assert parsed.input_line is not None
    if not parsed.is_sweep_override():
        yield parsed.input_line
        return
    interval = parsed.value()
    if isinstance(interval, IntervalSweep):
        values = [str(interval.start), str(interval.end)]
    else:
        values = list(parsed.sweep_string_iterator())
    if not values:
        raise UserError(f"{parsed.input_line} names no value to sweep over")
    if parsed.is_range_sweep():
        values = list(dict.fromkeys([values[0], values[-1]]))
    for single in values:
        yield f"{parsed.get_key_element()}={single}"


def _unreadable(override: str, folders: Sequence[Path]) -> str:
    """Why an override cannot be read."""
    if "=" not in override:
        groups = [group for group in GROUPS if override in names(group, folders)]
        remedy = f": did you mean {groups[0]}={override}?" if groups else ""
        return f"{override} is no override: write key=value{remedy}"
    key, _, value = override.partition("=")
    if not key.strip() or key != key.strip():
        return f"{override!r} sets nothing: write key=value without spaces around ="
    return f"{override} cannot be read: put a value with special characters in two kinds of quotes, '{key}=\"{value}\"'"


def spelt(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{spelt(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(spelt, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _OTHERS
        return value if plain else "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", value)) + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
