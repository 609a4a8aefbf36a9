"""Keeping secrets out of what a run writes or sends."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "[hidden]"

_NAME = r"(?:token|secret|password|passwd|credential|(?:api|access|private|secret)_?key)s?"
_SECRET_NAME = re.compile(rf"(?i)(?:^|[_.-]){_NAME}$")
_ASSIGNMENT = re.compile(rf"(?i)((?:^|[\s_.+?&,;'\"({{-]){_NAME}=)[^\s&]+")
_KNOWN_SHAPES = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16})\b")
_LOGIN_IN_URL = re.compile(r"(?<=[A-Za-z]:/)(/?)[^/\s]+@")  # a Path makes one slash of two
_SHORTEST_SECRET = 8
"""Characters; a shorter value of an environment variable would hide innocent text."""


def redact(value: Any) -> Any:
    """Copy nested dicts and lists with every secret replaced by "[hidden]".

    A secret is a string under a name such as `token` or `api_key`, a login inside a URL, a text in the shape of a known
    access token, or the value of an environment variable of such a name (`HF_TOKEN`, `WANDB_API_KEY`).

    >>> redact({"hub": {"token": "abc"}, "path": "https://me:pw@host/x", "argv": ["model.api_key=abc"]})
    {'hub': {'token': '[hidden]'}, 'path': 'https://[hidden]@host/x', 'argv': ['model.api_key=[hidden]']}
    """
    return _redact(value, _secrets_of_environment())


def without_folders(value: Any) -> Any:
    """Copy nested dicts and lists with only the last part of every path that leads through this machine's folders.

    >>> without_folders({"path": "/home/me/data", "name": "google/bert"})
    {'path': 'data', 'name': 'google/bert'}
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~", "..", "./"))):
        return Path(value).name
    return value


def _redact(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(item, str) and _SECRET_NAME.search(str(key)) else _redact(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact(item, secrets) for item in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, HIDDEN)
    value = _KNOWN_SHAPES.sub(HIDDEN, value)
    value = _ASSIGNMENT.sub(rf"\1{HIDDEN}", value)
    return _LOGIN_IN_URL.sub(rf"\1{HIDDEN}@", value)


def _secrets_of_environment() -> list[str]:
    return [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET]
