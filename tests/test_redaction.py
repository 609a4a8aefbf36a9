"""Nothing secret leaves through a configuration or a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_cli.redaction import redact


@pytest.mark.parametrize("name", ["token", "hub_token", "api_key", "apikey", "PASSWORD", "client-secret", "model.token"])
def test_a_value_under_a_secret_name_is_hidden(name: str) -> None:
    assert redact({"a": [{name: "x"}]}) == {"a": [{name: "[hidden]"}]}


@pytest.mark.parametrize("name", ["tokenizer", "keep_ratio", "metric_for_best", "secretary"])
def test_other_names_stay(name: str) -> None:
    assert redact({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("hf_" + "aB3" * 10, "[hidden]"),
        ("see ghp_" + "a" * 36, "see [hidden]"),
        ("https://me:pw@host/models", "https://[hidden]@host/models"),
        (str(Path("https://me:pw@host/models")), "https:/[hidden]@host/models"),
        ("+model.token=abc", "+model.token=[hidden]"),
        ("https://me:p@w@host/models?token=abc&x=1", "https://[hidden]@host/models?token=[hidden]&x=1"),
        ("model.name=some/tokenizer", "model.name=some/tokenizer"),
        ("user@host", "user@host"),
    ],
)
def test_a_secret_inside_text_is_hidden(text: str, redacted: str) -> None:
    assert redact([text]) == [redacted]


def test_the_value_of_a_secret_environment_variable_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("SHORT_TOKEN", "on")
    assert redact({"path": "/x/0123456789abcdef/y", "mode": "on"}) == {"path": "/x/[hidden]/y", "mode": "on"}


def test_what_is_no_text_stays() -> None:
    assert redact({"seed": 1, "weight": 0.5, "none": None, "flag": True, "token": None}) == {
        "seed": 1,
        "weight": 0.5,
        "none": None,
        "flag": True,
        "token": None,
    }
