"""One HTML page that carries all it needs: data, charts, style; it asks no network for anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

_PARTS = Path(__file__).parent / "page"


def page(data: Mapping[str, Any], title: str, footer: str) -> str:
    """Write the page.

    What comes from runs is compressed and encoded, so that nothing in it can end a script; page.js puts it into the page as
    text; and the policy of the page runs no script but the two whose hashes it names.

    Returns:
        HTML.
    """
    from plotly.offline import get_plotlyjs

    scripts = {"library": get_plotlyjs(), "script": _part("page.js")}
    hashes = " ".join(f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'" for text in scripts.values())
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'"
    )
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Template(_part("page.html")).substitute(
        policy=policy,
        title=escape(title),
        footer=escape(footer),
        style=_part("page.css"),
        payload=_base64(gzip.compress(text.encode(), mtime=0)),
        **scripts,
    )


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
