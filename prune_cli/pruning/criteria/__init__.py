"""Criteria: how important each weight is. A file here and a YAML in conf/criterion make one."""

from prune_cli.pruning.criteria.averaging import SmoothedCriterion
from prune_cli.pruning.criteria.base import Criterion, Scorer, WeightCriterion, WeightRows, gradient
from prune_cli.pruning.criteria.fisher import Fisher
from prune_cli.pruning.criteria.magnitude import Magnitude
from prune_cli.pruning.criteria.movement import Movement, SoftMovement
from prune_cli.pruning.criteria.obert import Obert
from prune_cli.pruning.criteria.pins import Pins
from prune_cli.pruning.criteria.platon import Platon
from prune_cli.pruning.criteria.random import Random
from prune_cli.pruning.criteria.sensitivity import Sensitivity
from prune_cli.pruning.criteria.wanda import Wanda

__all__ = [
    "Criterion",
    "Fisher",
    "Magnitude",
    "Movement",
    "Obert",
    "Pins",
    "Platon",
    "Random",
    "Scorer",
    "Sensitivity",
    "SmoothedCriterion",
    "SoftMovement",
    "Wanda",
    "WeightCriterion",
    "WeightRows",
    "gradient",
]
