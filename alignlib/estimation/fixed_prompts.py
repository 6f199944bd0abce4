"""Intervals on these very prompts, of rules of ranks and of the limit: weights of samples drawn, one more at an end.

The samples of a prompt cannot be resampled to tell what lies above the largest. Weights drawn as gaps of ordered
uniform numbers, with one sample more at the largest for the upper end and at the smallest for the lower one, give
Clopper and Pearson's interval for 0/1 rewards under every rule of ranks, and are wider than groups left out elsewhere.
The same draws give the limit's: where it hardly moves with the rate of a 0/1 reward, groups left out show no error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells, student_interval
from alignlib.estimation.dual import minimise_dual
from alignlib.rules import BestOfN, RankRule, Rule
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["FEW_SAMPLES", "DrawnLimits", "fixed_prompts_half_width", "fixed_prompts_interval", "rank_rule_ends"]

_DRAWS, _LEAST_DRAWS = 400, 100  # of a single prompt, and of each of several, whose errors even out
FEW_SAMPLES = 200  # of all prompts: from there on groups left out show the error of limits too, by simulation
_MANY = 20_000  # samples; from there on groups left out say the same
_AT_ONCE = 2_000_000
_SEED = 0  # of the draws: an interval belongs to its table


def fixed_prompts_interval(
    weights: FloatArray, pseudo: FloatArray, cells: Cells, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return the t-interval of the mean of pseudo-values, one a group of samples.

    Parameters
    ----------
    weights : array (replicates, groups)
        Rows of `Cells.resample`.
    pseudo : array (groups, k)
        Pseudo-values.
    cells : Cells
        The groups.
    level : float
        Coverage aimed at, in (0, 1).

    Returns
    -------
    low, high : array (k,)
        In the unit of the values.
    """
    mean, error = weights[0] @ pseudo, cells.standard_error(weights[:1], pseudo)[0]
    return student_interval(mean, error, level, len(pseudo) - cells.n_fixed + 1)


def fixed_prompts_half_width(table: RewardTable, column: str, level: float) -> float:
    """Return half the t-interval of the mean reward over these very prompts, by the spread of each one's samples.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    level : float
        Coverage aimed at, in (0, 1).

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0, 2.0]])
    >>> round(fixed_prompts_half_width(RewardTable.from_arrays(reward=rows), "reward", 0.95), 3)
    2.484
    """
    prompts, each = table.n_prompts, list[float]()
    for _, rows in table.blocks(column, held_only=True):
        each += (rows.var(axis=1, ddof=1) / rows.shape[1]).tolist()
    each += [its for _, its in table.each_counted(_variance_of_mean, column)]
    error = math.sqrt(math.fsum(each)) / prompts
    samples = int(table.n_samples.sum())
    return float(scipy.special.stdtrit(samples - prompts, 0.5 + level / 2.0)) * error


def _variance_of_mean(samples: CountedSamples) -> float:
    """Return that of a prompt whose samples are in bins."""
    n = samples.size
    return float(samples.count @ np.square(samples.value - samples.mean)) / (n - 1.0) / n


def rank_rule_ends(
    rewards: Sequence[FloatArray], rules: list[Rule], level: float, estimate: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper ends of the mean gain of each rule, NaN for a rule that sees values or too many samples.

    Of several prompts the arms of each are put together as errors that are independent, the root of the sum of their
    squares, about the ``estimate`` of the mean.

    Parameters
    ----------
    rewards : sequence of arrays (n,)
        Samples of each prompt.
    rules : list of Rule
        Rules.
    level : float
        Nominal coverage.
    estimate : array (rules,), optional
        The mean gain of each rule; needed where there are several prompts.

    Returns
    -------
    low, high : array (rules,)
        In the unit of the reward.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> low, high = rank_rule_ends([np.array([0.0] * 13 + [1.0] * 3)], [BestOfN(2)], 0.95)
    >>> bool(low[0] < 0.1625 < high[0])
    True

    Source: several prompts as Zou and Donner (2008) put limits of independent parameters together.
    """
    rng = np.random.default_rng(_SEED)
    draws = max(_LEAST_DRAWS, _DRAWS // len(rewards))
    found = [_ends_of_one(one, rules, level, rng, draws) for one in rewards]
    if len(found) == 1 or estimate is None:
        return found[0][0], found[0][2]
    low, middle, high = (np.array(part) for part in zip(*found, strict=True))
    below, above = (np.sqrt(np.square(arm).sum(axis=0)) / len(found) for arm in (middle - low, high - middle))
    return estimate - below, estimate + above


def _ends_of_one(
    rewards: FloatArray, rules: list[Rule], level: float, rng: np.random.Generator, draws: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return lower end, middle of the same draws without a sample more, and upper end, each of shape (rules,)."""
    ends = np.full((3, len(rules)), np.nan)
    ranked = [k for k, rule in enumerate(rules) if isinstance(rule, RankRule)]
    if rewards.size > _MANY or not ranked:
        return ends[0], ends[1], ends[2]
    rising = np.sort(rewards)
    found = np.empty((2, draws, len(ranked)))
    step = max(1, _AT_ONCE // (rising.size + 1))
    ends_of_values = np.array([np.append(rising[:1], rising), np.append(rising, rising[-1:])])
    rises = np.diff(ends_of_values, axis=1)
    for start in range(0, draws, step):
        gaps = rng.standard_exponential(size=(min(step, draws - start), rising.size + 1))
        gaps /= gaps.sum(axis=1, keepdims=True)
        upto = np.minimum(np.cumsum(gaps, axis=1), 1.0)
        upto[:, -1] = 1.0
        cdf, before = upto, 1.0
        for j, k in enumerate(ranked):
            rule = rules[k]
            assert isinstance(rule, RankRule)
            twice = isinstance(rule, BestOfN) and rule.draws == 2.0 * before
            cdf = np.square(cdf) if twice else rule.cdf(upto)  # a power takes far longer
            before = rule.draws if isinstance(rule, BestOfN) else 0.0
            # Σ (F_i - F_{i-1}) v_i, F_n = 1, by parts
            found[:, start : start + step, j] = ends_of_values[:, -1:] - rises @ cdf[:, :-1].T - ends_of_values @ gaps.T
    ends[0, ranked] = np.quantile(found[0], 0.5 - level / 2.0, axis=0)
    ends[2, ranked] = np.quantile(found[1], 0.5 + level / 2.0, axis=0)
    whole = np.linspace(0.0, 1.0, rising.size + 1)
    for k in ranked:
        rule = rules[k]
        assert isinstance(rule, RankRule)
        ends[1, k] = np.diff(rule.cdf(whole[None]), axis=1)[0] @ rising - rising.mean()
    ends[1] = np.clip(ends[1], ends[0], ends[2])
    return ends[0], ends[1], ends[2]


class DrawnLimits:
    """Limits of these very prompts under drawn weights, of all samples with one more at the least and at the largest.

    Parameters
    ----------
    rewards : sequence of arrays (n,)
        Samples of each prompt.
    lam : array (L,)
        A geometric grid of λ.

    Examples
    --------
    >>> from alignlib.laws import Bernoulli
    >>> rewards, kl = np.array([1.0] * 7 + [0.0] * 9), np.array([0.1])
    >>> low, high = DrawnLimits([rewards], np.geomspace(0.01, 10.0, 60)).ends(kl, 0.95)
    >>> bool(low[0] < Bernoulli(0.2).gain_at_kl(0.1) < Bernoulli(0.4).gain_at_kl(0.1) < high[0])
    True

    Source: Rubin (1981) for the weights; one sample more at either end as in `rank_rule_ends`.
    """

    def __init__(self, rewards: Sequence[FloatArray], lam: FloatArray) -> None:
        draws, rng = max(_LEAST_DRAWS, _DRAWS // len(rewards)), np.random.default_rng(_SEED)
        self._lam, self._prompts = lam, list[tuple[FloatArray, FloatArray]]()
        self._curve, self._most = np.zeros((2, draws, lam.size)), np.zeros((2, draws))
        for one in rewards:
            rising = np.sort(one)
            weight = rng.standard_exponential((draws, rising.size + 1))
            weight /= weight.sum(axis=1, keepdims=True)
            values = np.array([np.append(rising[:1], rising), np.append(rising, rising[-1:])])
            self._prompts.append((values, weight))
            below = rising[-1] - values
            gap = below @ weight.T  # of the mean to the largest reward
            tilted = np.maximum(weight @ np.exp(-below[:, :, None] * lam), np.finfo(np.float64).tiny)
            self._curve += (np.log(tilted) + gap[:, :, None] * lam) / len(rewards)
            self._most += gap / len(rewards)

    def _limits(self, kl: FloatArray) -> FloatArray:
        return minimise_dual(self._lam, self._curve, self._most, kl)[0]

    def ends(self, kl: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of the limit at budgets, (k,) each; a plug-in's, its bias not taken off.

        Parameters
        ----------
        kl : array (k,)
            Budgets in nats.
        level : float
            Nominal coverage.

        Returns
        -------
        low, high : array (k,)
            In the unit of the reward.
        """
        limits, tail = self._limits(kl), 0.5 - level / 2.0  # a limit may fall with the chance of the largest reward
        return np.quantile(limits, tail, axis=1).min(axis=0), np.quantile(limits, 1.0 - tail, axis=1).max(axis=0)

    def share_ends(self, rules: Sequence[Rule], spent: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of each rule's share of the limit, NaN for a rule that sees values.

        Parameters
        ----------
        rules : sequence of Rule
            Rules.
        spent : array (rules,)
            Their KL in nats.
        level : float
            Nominal coverage.

        Returns
        -------
        low, high : array (rules,)
            Shares, of 1.
        """
        ranked = [k for k, rule in enumerate(rules) if isinstance(rule, RankRule) and spent[k] > 0.0]
        ends = np.full((2, len(rules)), np.nan)
        if not ranked:
            return ends[0], ends[1]
        gain = np.zeros((*self._most.shape, len(ranked)))
        for values, weight in self._prompts:
            upto = np.minimum(np.cumsum(weight, axis=1), 1.0)
            upto[:, -1] = 1.0
            for j, k in enumerate(ranked):
                rule = rules[k]
                assert isinstance(rule, RankRule)
                kept = np.diff(rule.cdf(upto), axis=1, prepend=0.0) - weight
                gain[:, :, j] += values @ kept.T / len(self._prompts)
        limit = self._limits(spent[ranked])
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(limit > 0.0, gain / limit, 1.0)
        tail = 0.5 - level / 2.0
        ends[:, ranked] = np.quantile(share, tail, axis=1).min(axis=0), np.quantile(share, 1 - tail, axis=1).max(axis=0)
        return ends[0], ends[1]
