"""From a node of the configuration to a typed object: a dataclass, whose fields are checked one by one."""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
import types
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prune_cli.config.describe import about
from prune_cli.config.schema import MISSING, TARGET
from prune_cli.config.suggest import did_you_mean
from prune_cli.errors import UserError
from prune_cli.marks import LARGEST
from prune_cli.plain import shortened


def build(node: Any, key: str, base: str = "") -> Any:
    """Build the dataclass that a node names by its `_target_`, from the node's other values.

    Args:
        node: Plain values, resolved.
        key: Where the node stands in the configuration, for messages.
        base: Dotted path of the class that the option has to be one of, or of the protocol that it has to follow.

    Returns:
        The instance.

    Raises:
        UserError: If there is no such class, a field is unknown or missing, or a value is impossible; it tells all.
    """
    if not isinstance(node, Mapping):
        raise UserError(f"{key}={written(node)} is no option of {key}: see `prune list`")
    if TARGET not in node:
        raise UserError(f"{key} has no {TARGET}: name the class to build, as the YAML files of conf/{key} do")
    cls = locate(node[TARGET], f"{key}.{TARGET}")
    if base:
        _check_base(cls, base, f"{key}.{TARGET}={node[TARGET]}")
    return construct(cls, {name: value for name, value in node.items() if name != TARGET}, key)


def _check_base(cls: type, base: str, where: str) -> None:
    """Refuse a class of another group, which would fail somewhere in a run."""
    module, _, name = base.rpartition(".")
    wanted = getattr(importlib.import_module(module), name)
    if getattr(wanted, "_is_protocol", False):
        lacking = [name for name in vars(wanted) if not name.startswith("_") and not hasattr(cls, name)]
        if lacking:
            raise UserError(f"{where} is no {name}: it lacks {', '.join(lacking)}")
    elif not issubclass(cls, wanted):
        raise UserError(f"{where} is no {name}: build it on {base}")


def construct(cls: type, values: Mapping[str, Any], key: str = "") -> Any:
    """Build an option, a dataclass with a method `problems`, from plain values.

    Args:
        values: Its fields; those with a default may be left out.
        key: Where the values stand in the configuration, for messages; empty for its top.

    Raises:
        UserError: See `build`.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    prefix = f"{key}." if key else ""
    problems = [
        f"{prefix}{name} is not known{did_you_mean(name, fields)} ({cls.__name__} takes {', '.join(fields) or 'nothing'})"
        for name in values
        if name not in fields
    ]
    built_values: dict[str, Any] = {}
    unusable: set[str] = set()
    lacking = False
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if values.get(name, MISSING) == MISSING:
            if name in values or not has_default:
                problems.append(f"{prefix}{name} is missing: give {prefix}{name}=...{explained(cls, name)}")
                lacking = True
            continue
        try:
            built_values[name] = convert(values[name], hints[name], f"{prefix}{name}")
        except UserError as error:
            problems += [f"{problem}{explained(cls, name)}" for problem in error.problems]
            unusable.add(name)
            lacking = lacking or not has_default
    if lacking:
        raise UserError(*problems)
    built = cls(**built_values)  # with the default of what is unusable, so that what else is wrong is told as well
    problems += [placed(told, fields, key) for told in built.problems() if _first_word(told) not in unusable]
    if problems:
        raise UserError(*problems)
    return built


def placed(problem: str, fields: Collection[str], key: str) -> str:
    """What an option says of itself, with the key behind which the option stands.

    Args:
        problem: A sentence that begins with a field, with the whole key of one, or with neither.
        key: Where it stands in the configuration; empty for its top.

    >>> placed("delta_t is 0: give more", ["delta_t"], "criterion")
    'criterion.delta_t is 0: give more'
    >>> placed("it needs an extra", ["delta_t"], "criterion")
    'criterion: it needs an extra'
    """
    if not key or problem.startswith(f"{key}."):
        return problem
    return f"{key}.{problem}" if _first_word(problem) in fields else f"{key}: {problem}"


def _first_word(text: str) -> str:
    return re.split(r"\W", text, maxsplit=1)[0]


def locate(path: str, key: str) -> type:
    """Import a dataclass by its dotted path.

    Args:
        path: Module and class, "package.module.Class".
        key: Where the path stands in the configuration, for messages.

    Raises:
        UserError: If it cannot be imported or is no dataclass.
    """
    module, _, name = str(path).rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UserError(f"{key}={path} cannot be imported ({error}): is its folder in PYTHONPATH?") from error
    except (AttributeError, ValueError) as error:
        raise UserError(f"{key}={path}: there is no such class ({error})") from error
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and callable(getattr(cls, "problems", None))):
        raise UserError(
            f"{key}={path} is no dataclass with a method `problems`: its fields are the keys of its YAML, and the method"
            " yields what is wrong with their values"
        )
    if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
        raise UserError(f"{key}={path} is not whole: it lacks {', '.join(lacking)}")
    return cls


def convert(value: Any, hint: Any, key: str) -> Any:
    """Check a value against a type annotation.

    Args:
        key: Where the value stands in the configuration, for messages.

    Returns:
        The value in that type.

    Raises:
        UserError: If it does not fit.
    """
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for member in members:
        if get_origin(member) is tuple and isinstance(value, list | tuple):
            return _items(value, get_args(member), key)
    if type(value) is int and float in members and int not in members:
        value = float(value) if abs(value) < 10**300 else math.inf  # OmegaConf takes none for `float | str`
    misfit = UserError(f"{key}={shortened(written(value))} does not fit: {kind(hint)} is needed")
    if float in members and isinstance(value, str) and (percent := re.fullmatch(r"(\d+\.?\d*|\.\d+) *%", value)):
        meant = f": did you mean {share:g}?" if (share := float(percent[1]) / 100) <= 1 else ""
        raise UserError(f"{misfit.problems[0]}, and not percent{meant}")
    if hint is bool and type(value) in (int, float):  # OmegaConf takes 7 for true
        raise misfit
    try:
        converted = OmegaConf.to_container(OmegaConf.merge(_typed(hint), {"value": value}))["value"]  # pyright: ignore
    except OmegaConfBaseException as error:
        raise misfit from error
    if type(converted) is int and abs(converted) > LARGEST:
        raise UserError(f"{key}={shortened(written(converted))} is too large: give a whole number up to {LARGEST}")
    return converted


def _items(values: Sequence[Any], hints: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    """The items of a list, each in its type: one for all, as in `tuple[str, ...]`, or one for each."""
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    if len(values) != len(hints):
        raise UserError(f"{key}={shortened(written(values))} does not fit: a list of {len(hints)} is needed")
    return tuple(convert(value, hint, f"{key}[{number}]") for number, (value, hint) in enumerate(zip(values, hints, strict=True)))


@cache
def _typed(hint: Any) -> DictConfig:
    """A configuration of one value of this type; merging copies it."""
    return OmegaConf.structured(dataclasses.make_dataclass("Typed", [("value", hint)]))


def kind(hint: Any) -> str:
    """A type annotation in words.

    >>> kind(float), kind(int | None)
    ('a number', 'a whole number or null')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(kind(member) for member in get_args(hint))
    if get_origin(hint) in (tuple, list):
        return "a list"
    if get_origin(hint) is dict:
        return "a mapping"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}
    return words.get(hint, str(hint))


def written(value: Any) -> str:
    """A value as it is written on the command line.

    >>> written(None), written(True), written(0.5), written([1, None])
    ('null', 'true', '0.5', '[1,null]')
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{','.join(map(written, value))}]"
        case dict():
            return f"{{{','.join(f'{name}:{written(held)}' for name, held in value.items())}}}"
        case int() if abs(value) >= 10**100:
            return f"a number of {math.ceil(value.bit_length() * math.log10(2))} digits"
        case _:
            return str(value)


def explained(cls: type, name: str) -> str:
    """The documentation of a field in brackets, to put behind a sentence; nothing where there is none."""
    text = about(cls, name)
    return f" ({text})" if text else ""
