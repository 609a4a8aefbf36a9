"""Regularization: what the student learns from beside the labels. A file here and a YAML in conf/regularization make one."""

from prune_cli.distillation.base import Need, Regularization
from prune_cli.distillation.distillation import Distillation
from prune_cli.distillation.none import NoTeacher

__all__ = ["Distillation", "Need", "NoTeacher", "Regularization"]
