"""Inference-time rules that draw responses and keep one: exact on a law, estimated from samples.

`Rule` is what every rule offers and `RankRule` what a rule of ranks adds; one file a rule: `BestOfN`, `SoftBestOfN`,
`BestOfPoisson`, `ChiSquaredPessimism`, `LearntThreshold`, and two that accept one by one (`OneByOne`, whose `draw`
gives `Stopped`): `ThresholdStopping`, `RejectionSampling`. `named_rule` finds a rule by its name in text,
`named_rules` several. `Rule.on` gives what a rule does on a law exactly (`OnLaw`, on a finite law `OnLevels`),
`Rule.along` a row of `Rules`, whose `on` gives a `RuleCurve`. `prepare` makes the samples of prompts ready for
`Rule.evaluate`, which gives `PromptValues`; `SampleLevels` are their distinct rewards. Of best-of-N alone:
`coincident_reward`, for which it is an optimum, and `best_of_n_mean`, its unbiased mean reward from the samples of one
prompt (`subset_means` of several). `allocate_draws` shares draws out among prompts (`DrawAllocation`), and
`weighted_choice` is the law of one of n draws kept by a weight.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.rules.best_of_n import BestOfN, best_of_n_mean, coincident_reward
from alignlib.rules.best_of_poisson import BestOfPoisson
from alignlib.rules.chi_squared_pessimism import ChiSquaredPessimism
from alignlib.rules.draw_allocation import DrawAllocation, allocate_draws
from alignlib.rules.learnt_threshold import LearntThreshold
from alignlib.rules.named import named_rule, named_rules
from alignlib.rules.on_law import OnLaw, OnLevels, RuleCurve
from alignlib.rules.one_by_one import OneByOne, Stopped
from alignlib.rules.order_weights import subset_means
from alignlib.rules.rank_rule import RankRule
from alignlib.rules.rejection_sampling import RejectionSampling
from alignlib.rules.rule import Rule, Rules
from alignlib.rules.samples import Prepared, PromptValues, SampleLevels, prepare
from alignlib.rules.soft_best_of_n import SoftBestOfN
from alignlib.rules.threshold_stopping import ThresholdStopping
from alignlib.rules.weighted_choice import weighted_choice

__all__ = [
    "BestOfN",
    "BestOfPoisson",
    "ChiSquaredPessimism",
    "DrawAllocation",
    "LearntThreshold",
    "OnLaw",
    "OnLevels",
    "OneByOne",
    "Prepared",
    "PromptValues",
    "RankRule",
    "RejectionSampling",
    "Rule",
    "RuleCurve",
    "Rules",
    "SampleLevels",
    "SoftBestOfN",
    "Stopped",
    "ThresholdStopping",
    "allocate_draws",
    "best_of_n_mean",
    "coincident_reward",
    "named_rule",
    "named_rules",
    "prepare",
    "subset_means",
    "weighted_choice",
]

guard(globals())
