"""Reward hacking: the doors of the room, gathered.

Exact, on a finite law: `ProxyPair` (gap, divergence, regret), the curves of a tilt or of any rule,
`hacking_threshold`, error laws and ensembles. From samples scored by a proxy and by gold: `estimate_ensemble`,
`compare_members`, `split_error`, `tie_breaking` (gold along λ and along rules are methods of the `Fit` of the proxy).
Where gold is known on few rows, or only its correlation: `gold_range`, `gold_range_at_kl`, `promise_gold` (a
`GoldPromise`) and `measure_gold` (a `GoldSubset`). From checkpoints: `fit_scaling`, `turning_runs`.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.hacking.ensemble_estimation import EnsembleEstimate, estimate_ensemble
from alignlib.hacking.ensembles import EnsemblePrice, combine, ensemble_price, members_worth_having, small_error_regret
from alignlib.hacking.error_laws import GaussianPair, finite_law, independent_pair, noisy_proxy, saturating_pair
from alignlib.hacking.error_split import ErrorSplit, split_error
from alignlib.hacking.gold_from_correlation import GoldPromise, promise_gold
from alignlib.hacking.gold_range import check_correlation, gold_range, gold_range_at_kl
from alignlib.hacking.gold_subset import GoldSubset, measure_gold
from alignlib.hacking.hacking_threshold import HackingThreshold, hacking_threshold
from alignlib.hacking.member_comparison import MemberComparison, compare_members
from alignlib.hacking.overoptimisation import OverOptimisation, rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyGap, ProxyPair
from alignlib.hacking.proxy_table import check_members, on_one_scale
from alignlib.hacking.run_turns import RunTurns, TurningPoint, turning_runs
from alignlib.hacking.scaling_fit import ScalingFit, fit_scaling
from alignlib.hacking.tie_breaking import TieBreaking, tie_breaking

__all__ = [
    "EnsembleEstimate",
    "EnsemblePrice",
    "ErrorSplit",
    "GaussianPair",
    "GoldPromise",
    "GoldSubset",
    "HackingThreshold",
    "MemberComparison",
    "OverOptimisation",
    "ProxyGap",
    "ProxyPair",
    "RunTurns",
    "ScalingFit",
    "TieBreaking",
    "TurningPoint",
    "check_correlation",
    "check_members",
    "combine",
    "compare_members",
    "ensemble_price",
    "estimate_ensemble",
    "finite_law",
    "fit_scaling",
    "gold_range",
    "gold_range_at_kl",
    "hacking_threshold",
    "independent_pair",
    "measure_gold",
    "members_worth_having",
    "noisy_proxy",
    "on_one_scale",
    "promise_gold",
    "rule_curve",
    "saturating_pair",
    "small_error_regret",
    "split_error",
    "tie_breaking",
    "tilting_curve",
    "turning_runs",
]

guard(globals())
