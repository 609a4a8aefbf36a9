"""What a run leaves behind: its folder and what has become of it, its result, its history."""

from prune_cli.artifacts.result import Result

__all__ = ["Result"]
