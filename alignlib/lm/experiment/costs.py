"""What alignment costs: responses or tokens drawn once in training, against those drawn for every query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import require_range
from alignlib.laws import FiniteLaw
from alignlib.lm.experiment.comparison import Comparison
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.level_law import LawCurve, LevelLaw
from alignlib.rules import BestOfN

__all__ = ["BreakEven", "break_even", "equal_draws"]


@dataclass(frozen=True)
class BreakEven:
    """A trained policy against best-of-N of the same reward.

    Attributes
    ----------
    draws : float
        The N, real, with which best-of-N gains as much; infinite where none does.
    spent : float
        What training drew, in responses or in tokens.
    queries : float
        How many must be served before that is less than what best-of-N draws more: infinite where the policy draws as
        much for a query as best-of-N does, zero where no N gains as much.
    """

    draws: float
    spent: float
    queries: float


def break_even(
    curves: Curves, found: Comparison, spent: float, *, of_base: float = 1.0, of_policy: float = 1.0
) -> BreakEven:
    """Return the number of queries from which training is cheaper than best-of-N: ``spent / (N of_base - of_policy)``.

    Parameters
    ----------
    curves : Curves
        Limit and best-of-N.
    found : Comparison
        The policy.
    spent : float
        Drawn in training: responses, or tokens.
    of_base, of_policy : float
        What a response of the base and one of the policy cost in the same unit: 1 each in responses, their mean
        lengths in tokens.

    Examples
    --------
    >>> from alignlib.lm.experiment.comparison import compare
    >>> from alignlib.lm.experiment.results import PerPrompt
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> curves = Curves(law)
    >>> found = compare(curves, PerPrompt(np.array([[0.15]]), np.array([[0.75]])), resamples=20)
    >>> found = break_even(curves, found, spent=1000.0)  # best-of-2 gains as much
    >>> round(found.draws, 3), round(found.queries)
    (2.0, 1000)
    """
    draws = float(curves.weighed().draws(np.array([found.gain.mean]))[0])
    saved = draws * of_base - of_policy
    queries = spent / saved if saved > 0.0 else np.inf
    return BreakEven(draws, spent, 0.0 if np.isinf(draws) else queries)


def equal_draws(law: LevelLaw, draws: npt.ArrayLike) -> dict[str, LawCurve]:
    """Return KL and gain of three ways to use so many draws a query on average, none of which needs training.

    Best-of-N; keeping the first draw of a prompt's best ``1/N`` (N draws on average); rejection sampling of ``π_λ``,
    which draws ``1 / E_p e^{λ(r - max r)}`` times. Draws are averages over prompts; without ties the second spends
    ``log N`` and has win rate ``1 - 1/(2N)``.

    Source: B24 studies rules that stop at a threshold; the comparison at equal draws: we derive.

    Parameters
    ----------
    law : LevelLaw
        The base's mass by reward level.
    draws : array (k,)
        Mean draws a query, >= 1.

    Returns
    -------
    dict of str to LawCurve
        Each way by its name, at each number of draws.

    Raises
    ------
    InputError
        If a number of draws is below 1.

    Examples
    --------
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> {way: found.gain.round(2).tolist() for way, found in equal_draws(law, [1.0, 1.5]).items()}
    {'best-of-N': [0.0, 0.15], 'first of the best 1/N': [0.0, 0.25], 'rejection sampling of the optimum': [0.0, 0.25]}
    """
    wanted = require_range("draws", np.atleast_1d(draws), 1.0)
    stopping = [[_top(family, 1.0 / n) for n in wanted] for family in law.laws]
    both = [[(kl, reward - f.base_reward) for kl, reward in row] for f, row in zip(law.laws, stopping, strict=True)]
    kl, gain = np.mean(both, axis=0).T
    lams = np.concatenate([[0.0], np.geomspace(1e-3, 50.0, 400)])
    expected = np.mean([1.0 / (f.prob @ np.exp(np.outer(f.reward - f.max_reward, lams))) for f in law.laws], axis=0)
    lam = np.interp(np.log(wanted), np.log(expected), lams)
    return {
        "best-of-N": law.along(BestOfN.along(wanted)),
        "first of the best 1/N": LawCurve(kl, gain, gain),
        "rejection sampling of the optimum": law.optimum(lam),
    }


def _top(family: FiniteLaw, share: float) -> tuple[float, float]:
    """KL and mean reward of the base given that the response is among its best ``share``, ties broken by lot."""
    order = np.argsort(family.reward)[::-1]
    mass = family.prob[order]
    kept = np.clip(share - (mass.cumsum() - mass), 0.0, mass) / share
    there = kept > 0.0
    return float((kept[there] * np.log(kept[there] / mass[there])).sum()), float(kept @ family.reward[order])
