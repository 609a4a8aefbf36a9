"""Schedules: how sparse the model is to be after each step. A file here and a YAML in conf/schedule make one."""

from prune_cli.pruning.schedules.base import Schedule
from prune_cli.pruning.schedules.cuts import OneShot, Stepped
from prune_cli.pruning.schedules.ramp import Cubic, Linear

__all__ = ["Cubic", "Linear", "OneShot", "Schedule", "Stepped"]
