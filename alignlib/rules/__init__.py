"""Inference-time rules that draw responses and keep one: exact on a law, estimated from samples.

`Rule` is what every rule offers and `RankRule` what a rule of ranks adds; one file a rule: `BestOfN`, `SoftBestOfN`,
`BestOfPoisson`. `Rule.on` gives what a rule does on a law exactly, `Rule.along` a curve of rules.
"""

from __future__ import annotations

from alignlib.rules.best_of_n import BestOfN, coincident_reward, estimate_mean
from alignlib.rules.best_of_poisson import BestOfPoisson
from alignlib.rules.rule import RankRule, Rule, Rules
from alignlib.rules.soft_best_of_n import SoftBestOfN

__all__ = [
    "BestOfN",
    "BestOfPoisson",
    "RankRule",
    "Rule",
    "Rules",
    "SoftBestOfN",
    "coincident_reward",
    "estimate_mean",
]
