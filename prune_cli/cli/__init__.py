"""The command line: it parses, calls and prints."""

from prune_cli.cli.app import main

__all__ = ["main"]
