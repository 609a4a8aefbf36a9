"""What the tests of the configuration share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prune_cli.config.compose import Composer, composer


@pytest.fixture
def compose() -> Iterator[Composer]:
    """Compose overrides into a configuration, Hydra's node included."""
    with composer() as composed:
        yield composed
