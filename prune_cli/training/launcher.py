"""The options of the group `launcher`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from prune_cli.marks import NO_RESULT


@final
@dataclass(frozen=True, kw_only=True)
class LauncherConfig:
    """How many processes compute a run. However many, it is the same run: it may go on with others."""

    processes: int = field(default=1, metadata=NO_RESULT)
    """Processes of this machine, > 0; where there are GPUs, one for each. torchrun, accelerate and srun start their own."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        if self.processes < 1:
            yield f"processes is {self.processes}: give a whole number from 1 on"
