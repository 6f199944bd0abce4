"""From sampled rewards: the frontier, rules and gold, with intervals and the range that the samples support.

`fit_frontier` estimates a reward of a table once; the `Fit` tells the limit at any budget, the share of it that rules
have, and what another reward gains. `first_terms` gives the limit's first terms in √KL from few samples of a prompt,
`samples_wanted` what a wished KL would take, `beta_at` its β, `draws_per_prompt` how many draws pay on each prompt
(`shown_numbers` in a line), `most_of_constant_prompts` what prompts that do not vary may add, `counted_rules` what
best-of-N does where samples are in bins. Other rooms resample prompts with the same `Cells` and `studentised_interval`;
`few_prompts` tells where all is said of a table's very prompts; `bounded_mean_interval` needs no resampling, nor does
`gold_turn` (a `GoldTurn`), which tests as checkpoints come in whether gold has fallen.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.estimation.at_kl import Wanted, beta_at, most_of_constant_prompts, samples_wanted
from alignlib.estimation.best_of_n_in_bins import counted_rules
from alignlib.estimation.bootstrap import (
    Cells,
    check_resampling,
    few_prompts,
    groups_of_fixed,
    studentised_interval,
)
from alignlib.estimation.bounded_mean import bounded_mean_interval
from alignlib.estimation.draws_per_prompt import DrawsPerPrompt, draws_per_prompt, shown_numbers
from alignlib.estimation.estimated_frontier import EstimatedFrontier, UnsupportedBudgetError
from alignlib.estimation.first_terms import FirstTerms, FirstTermsAt, first_terms
from alignlib.estimation.fit import Fit
from alignlib.estimation.fit_checks import check_beyond, check_bounds
from alignlib.estimation.fitting import fit_frontier
from alignlib.estimation.gold import GoldEstimate, check_pair
from alignlib.estimation.gold_by_cell import rule_curves
from alignlib.estimation.gold_turn import GoldTurn, gold_turn
from alignlib.estimation.hedge import Hedge
from alignlib.estimation.rules import RuleEstimate, check_needs
from alignlib.estimation.sensitivity import Sensitivity
from alignlib.estimation.tails import TailShape, tail_shape
from alignlib.estimation.win_rate_curve import tied_pairs

__all__ = [
    "Cells",
    "DrawsPerPrompt",
    "EstimatedFrontier",
    "FirstTerms",
    "FirstTermsAt",
    "Fit",
    "GoldEstimate",
    "GoldTurn",
    "Hedge",
    "RuleEstimate",
    "Sensitivity",
    "TailShape",
    "UnsupportedBudgetError",
    "Wanted",
    "beta_at",
    "bounded_mean_interval",
    "check_beyond",
    "check_bounds",
    "check_needs",
    "check_pair",
    "check_resampling",
    "counted_rules",
    "draws_per_prompt",
    "few_prompts",
    "first_terms",
    "fit_frontier",
    "gold_turn",
    "groups_of_fixed",
    "most_of_constant_prompts",
    "rule_curves",
    "samples_wanted",
    "shown_numbers",
    "studentised_interval",
    "tail_shape",
    "tied_pairs",
]

guard(globals())
