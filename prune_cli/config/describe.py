"""What the documentation says about a field, for messages."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from functools import cache
from typing import Any


@cache
def about(cls: type, field: str) -> str:
    """Find the documentation of a dataclass field, as one line.

    Both ways of writing it are known: a string beneath the field, and the `Attributes:` section of a Google docstring.

    Returns:
        The text without its final full stop, or nothing where there is none.
    """
    for owner in cls.__mro__[:-1]:
        text = _attributes_section(owner).get(field) or _strings_beneath(owner).get(field)
        if text:
            return text.rstrip(".")
    return ""


def _attributes_section(cls: type) -> dict[str, str]:
    """Fields described in the class docstring."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.+(?:\n      +.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _strings_beneath(cls: type) -> dict[str, str]:
    """Fields with a string literal on the next line."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError):  # no source at hand, as in an interactive session
        return {}
    assert isinstance(body, ast.ClassDef)
    descriptions: dict[str, str] = {}
    for field, below in itertools.pairwise(body.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                descriptions[name] = " ".join(text.split())
    return descriptions


def default_of(field: dataclasses.Field[Any]) -> Any:
    """What a field is where nobody says otherwise; `dataclasses.MISSING` where somebody has to."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
