"""Intervals of rules of ranks on a single prompt: weights of its samples drawn, with one sample more at either end.

The samples of one prompt cannot be resampled to tell what lies above the largest. Weights drawn as gaps of ordered
uniform numbers, with one sample more at the largest for the upper end and at the smallest for the lower one, give
Clopper and Pearson's interval for 0/1 rewards under every rule of ranks, and are wider than groups left out elsewhere.
"""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells, student_interval
from alignlib.rules import RankRule, Rule

__all__ = ["one_prompt_interval", "rank_rule_ends"]

_DRAWS = 400
_MANY = 20_000  # samples; from there on groups left out say the same
_AT_ONCE = 2_000_000
_SEED = 0  # of the draws: an interval belongs to its table


def one_prompt_interval(
    weights: FloatArray, pseudo: FloatArray, cells: Cells, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return the t-interval of the mean of pseudo-values, one a group of samples, shape (groups, k)."""
    mean, error = weights[0] @ pseudo, cells.standard_error(weights[:1], pseudo)[0]
    return student_interval(mean, error, level, len(pseudo))


def rank_rule_ends(rewards: FloatArray, rules: list[Rule], level: float) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper ends of the gain of each rule, NaN for a rule that sees values or too many samples.

    Parameters
    ----------
    rewards : array (n,)
        Samples of the prompt.
    rules : list of Rule
        Rules.
    level : float
        Nominal coverage.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> low, high = rank_rule_ends(np.array([0.0] * 13 + [1.0] * 3), [BestOfN(2)], 0.95)
    >>> bool(low[0] < 0.1625 < high[0])
    True
    """
    ends = np.full((2, len(rules)), np.nan)
    ranked = [k for k, rule in enumerate(rules) if isinstance(rule, RankRule)]
    if rewards.size > _MANY or not ranked:
        return ends[0], ends[1]
    rng, rising = np.random.default_rng(_SEED), np.sort(rewards)
    found = np.empty((2, _DRAWS, len(ranked)))
    step = max(1, _AT_ONCE // (rising.size + 1))
    for start in range(0, _DRAWS, step):
        gaps = rng.standard_exponential(size=(min(step, _DRAWS - start), rising.size + 1))
        gaps /= gaps.sum(axis=1, keepdims=True)
        for side, values in enumerate((np.append(rising[:1], rising), np.append(rising, rising[-1:]))):
            upto = np.minimum(np.cumsum(gaps, axis=1), 1.0)
            upto[:, -1] = 1.0
            base = gaps @ values
            for j, k in enumerate(ranked):
                rule = rules[k]
                assert isinstance(rule, RankRule)
                kept = np.diff(rule.cdf(np.column_stack([np.zeros(len(upto)), upto])), axis=1)
                found[side, start : start + step, j] = kept @ values - base
    ends[0, ranked] = np.quantile(found[0], 0.5 - level / 2.0, axis=0)
    ends[1, ranked] = np.quantile(found[1], 0.5 + level / 2.0, axis=0)
    return ends[0], ends[1]
