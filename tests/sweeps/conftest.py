"""The fixtures of tests that call commands."""

from tests.commands import hub_has_every_model, prune, root_logger

__all__ = ["hub_has_every_model", "prune", "root_logger"]
