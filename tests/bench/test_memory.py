"""Memory is seen in a process of its own."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pytest

from prune_cli.bench.base import Candidate, Run, Runtime
from prune_cli.bench.memory import peak_memory
from prune_cli.errors import UserError
from prune_cli.exporting.source import Source

MEGABYTES = 300


@final
@dataclass(frozen=True, kw_only=True)
class Large(Runtime):
    """Takes memory for a moment."""

    dies: bool = False

    def prepare(self, candidate: Candidate) -> tuple[Run, int]:
        """See `Runtime`."""
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        assert np.ones(MEGABYTES * 10**6, np.int8).sum() > 0
        return lambda inputs: {}, 0


def test_the_peak_counts_and_a_killed_process_is_told_of(tmp_path: Path) -> None:
    candidate = Candidate(Source(tmp_path, None), tmp_path, compacted=False, example={})
    assert MEGABYTES * 10**6 < peak_memory(Large(), candidate, {}) < 1.3 * MEGABYTES * 10**6
    with pytest.raises(UserError, match="want of it"):
        peak_memory(Large(dies=True), candidate, {})
