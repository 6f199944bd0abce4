"""From sampled rewards: the frontier, rules and gold, with intervals and the range that the samples support.

`fit_frontier` estimates a reward of a table once; the `Fit` tells the limit at any budget, the share of it that rules
have, and what another reward gains. Other rooms resample prompts with the same `Cells` and `studentised_interval`.
"""

from __future__ import annotations

from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.estimation.estimated_frontier import EstimatedFrontier, UnsupportedBudgetError
from alignlib.estimation.fit import Fit, fit_frontier
from alignlib.estimation.gold import GoldEstimate, check_pair
from alignlib.estimation.hedge import Hedge
from alignlib.estimation.rules import RuleEstimate
from alignlib.estimation.tails import TailShape, tail_shape

__all__ = [
    "Cells",
    "EstimatedFrontier",
    "Fit",
    "GoldEstimate",
    "Hedge",
    "RuleEstimate",
    "TailShape",
    "UnsupportedBudgetError",
    "check_pair",
    "check_resampling",
    "fit_frontier",
    "studentised_interval",
    "tail_shape",
]
