"""What alignment costs: responses drawn once in training, against responses drawn for every query."""

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

    ``draws`` is the N, real, with which best-of-N gains as much; ``queries`` how many must be served before the
    responses drawn in training are fewer than those that best-of-N draws more.
    """

    draws: float
    responses: int
    queries: float


def break_even(curves: Curves, found: Comparison, responses: int) -> BreakEven:
    """Return the number of queries from which training is cheaper than best-of-N, in responses drawn.

    Parameters
    ----------
    curves : Curves
        Limit and best-of-N.
    found : Comparison
        The policy.
    responses : int
        Drawn in training.
    """
    draws = float(curves.weighed().draws(np.array([found.gain.mean]))[0])
    queries = responses / (draws - 1.0) if draws > 1.0 else np.inf
    return BreakEven(draws, responses, 0.0 if np.isinf(draws) else queries)


def equal_draws(law: LevelLaw, draws: npt.ArrayLike) -> dict[str, LawCurve]:
    """Return KL and gain of three ways to use so many draws a query on average, none of which needs training.

    Best-of-N; keeping the first draw of a prompt's best ``1/N`` (N draws on average); rejection sampling of ``π_λ``,
    which draws ``1 / E_p e^{λ(r - max r)}`` times. Draws are averages over prompts; without ties the second spends
    ``log N`` and has win rate ``1 - 1/(2N)``.

    Parameters
    ----------
    law : LevelLaw
        The base's mass by reward level.
    draws : array (k,)
        Mean draws a query, >= 1.

    Source: B24 studies rules that stop at a threshold; the comparison at equal draws: we derive.
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
