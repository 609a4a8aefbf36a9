"""What the tests of the configuration share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prune_cli.config.compose import Composer, composer


@pytest.fixture(autouse=True)
def hub_has_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the network."""
    monkeypatch.setattr("prune_cli.models.options.hub_problems", lambda name, revision: [])


@pytest.fixture
def compose() -> Iterator[Composer]:
    """Compose overrides into a configuration, Hydra's node included."""
    with composer() as composed:
        yield composed
