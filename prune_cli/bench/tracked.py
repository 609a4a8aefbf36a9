"""A bench in the trackers that runs go to."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.bench.bench import latency
from prune_cli.tracking.base import RunSummary, Table, TrackedRun
from prune_cli.tracking.isolation import Isolated

if TYPE_CHECKING:
    from prune_cli.config.run_config import RunConfig


def track(result: Mapping[str, Any], config: RunConfig, folder: Path, picture: Path) -> None:
    """Tell a bench, as a run of its own with a table, to every tracker of a configuration.

    Args:
        config: Names the trackers, and how the run is called there.
    """
    tracking = config.tracking
    runs = list(dict.fromkeys(way["run"] for way in result["ways"]))
    run = TrackedRun(
        folder=folder,
        run_id=uuid.uuid4().hex[:8],
        name=f"bench of {runs[0]}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else ""),
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or f"bench-{result['task']}",
        tags=["bench", result["task"], *tracking.tags],
        job_type="bench",
        primary_metric=result["primary_metric"],
        config={name: result[name] for name in ("task", "quick", "machine", "versions", "lacking")} | {"runs": runs},
        timeout=tracking.timeout,
        anew=True,
    )
    for name, tracker in config.trackers.items():
        isolated = Isolated(tracker, name, run)
        if isolated.start() is not None:
            isolated.finish(bench_summary(result, picture))


def bench_summary(result: Mapping[str, Any], picture: Path) -> RunSummary:
    """The table, and the fastest of the ways that no other beats."""
    ways = result["ways"]
    first = ways[0]["times"]
    fastest = min((way for way in ways if way["front"]), key=latency)
    named = ("run", "form", "runtime", "sparsity", "arithmetic", "metric", "bytes", "memory_bytes", "front")
    columns = [*named, *(f"seconds {time['batch']} x {time['length']}" for time in first)]
    rows = [[*(way[name] for name in named), *(time["median"] for time in way["times"])] for way in ways]
    values = {
        "ways": len(ways),
        "fastest": f"{fastest['run']}, {fastest['form']}, {fastest['runtime']}",
        "fastest_seconds": latency(fastest),
        "metric": fastest["metric"],
    }
    return RunSummary(step=0, values=values, tables={"bench": Table(columns, rows)}, pictures=[picture])
