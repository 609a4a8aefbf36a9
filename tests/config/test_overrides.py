"""Overrides: one value, or several to check one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prune_cli.config.compose import composer
from prune_cli.config.overrides import expand_home, one_value_each, parse
from prune_cli.errors import UserError
from prune_cli.paths import CONF


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with composer():
        yield


@pytest.mark.parametrize(
    ("override", "variants"),
    [
        ("seed=1", ["seed=1"]),
        ("seed=[1,2]", ["seed=[1,2]"]),
        ("model.name='a,b'", ["model.name='a,b'"]),
        ("seed=1,2,3", ["seed=1", "seed=2", "seed=3"]),
        ("+seed=1,2", ["+seed=1", "+seed=2"]),
        ("task=choice(rte,mrpc)", ["task=rte", "task=mrpc"]),
        ("model.name='a b','c,d'", ["model.name='a b'", "model.name='c,d'"]),
        ("seed=range(1,1000)", ["seed=1", "seed=999"]),
        ("seed=range(1,2)", ["seed=1"]),
        ("sparsity=interval(0.5,0.9)", ["sparsity=0.5", "sparsity=0.9"]),
        ("tracking=glob(*)", [f"tracking={path.stem}" for path in sorted((CONF / "tracking").iterdir())]),
    ],
)
def test_a_sweep_is_checked_value_by_value(override: str, variants: list[str]) -> None:
    setting = parse(override, [CONF])
    assert list(setting.variants) == variants
    assert setting.swept == (variants != [override])


def test_sweeps_are_checked_one_at_a_time_not_as_a_product() -> None:
    settings = [parse(override, [CONF]) for override in ("task=rte,mrpc", "sparsity=0.5", "seed=1,2,3")]
    assert list(one_value_each(settings)) == [
        ["task=rte", "sparsity=0.5", "seed=1"],
        ["task=mrpc", "sparsity=0.5", "seed=1"],
        ["task=rte", "sparsity=0.5", "seed=2"],
        ["task=rte", "sparsity=0.5", "seed=3"],
    ]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("mrpc", "mrpc is no override: write key=value: did you mean task=mrpc?"),
        ("magnitude", "magnitude is no override: write key=value: did you mean criterion=magnitude?"),
        ("seed", "seed is no override: write key=value"),
        ("=", "'=' sets nothing: write key=value without spaces around ="),
        ("seed =1", "'seed =1' sets nothing: write key=value without spaces around ="),
        (
            "model.name=a(b",
            "model.name=a(b cannot be read: put a value with special characters in two kinds of quotes,",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_a_remedy(override: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(override, [CONF])
    assert str(refused.value).startswith(told)


def test_the_remedy_for_special_characters_can_be_read() -> None:
    assert parse('model.name="a(b"', [CONF]).parsed.value() == "a(b"


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path("/home/someone")))
    assert expand_home("output_dir=~/runs") == "output_dir=/home/someone/runs"
    assert expand_home("output_dir=~") == "output_dir=/home/someone"
    assert expand_home("~trainer") == "~trainer"
    assert expand_home("model.name=a~/b") == "model.name=a~/b"
