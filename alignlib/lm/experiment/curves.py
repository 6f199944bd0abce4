"""The limit and best-of-N prompt by prompt on fine grids, so that any weighting of prompts has both at once.

A bootstrap weighs prompts anew a thousand times; limit and best-of-N are then weighted means of what is stored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.lm.level_law import LevelLaw
from alignlib.rules import BestOfN

__all__ = ["Curves", "Weighed"]

_LAMS = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 800)])
_KNOTS = np.linspace(0.0, np.log(4096.0), 49)  # of log N, where best-of-N is computed
_LOG_N = np.linspace(0.0, np.log(4096.0), 481)  # where it is interpolated, smoothly


@dataclass(frozen=True, eq=False)
class Weighed(SameFields):
    """The limit and best-of-N of a weighting of prompts.

    Attributes
    ----------
    limit_kl, limit_gain : array (k,)
        KL in nats and gain of the limit, rising.
    best_kl, best_gain : array (m,)
        The same of best-of-N, for real N.
    """

    limit_kl: FloatArray
    limit_gain: FloatArray
    best_kl: FloatArray
    best_gain: FloatArray

    def limit(self, kl: FloatArray) -> FloatArray:
        """The largest gain at each KL: interpolated over √KL, where the curve is nearly straight at its start.

        Parameters
        ----------
        kl : array
            KL in nats.
        """
        return np.interp(np.sqrt(np.maximum(kl, 0.0)), np.sqrt(self.limit_kl), self.limit_gain)

    def least_kl(self, gain: FloatArray) -> FloatArray:
        """The least KL that buys each gain.

        Parameters
        ----------
        gain : array
            Gains; below zero they need no KL.
        """
        return np.interp(np.maximum(gain, 0.0), self.limit_gain, np.sqrt(self.limit_kl)) ** 2

    def best_of_n(self, kl: FloatArray) -> FloatArray:
        """Gain of best-of-N, for real N, at each KL; past saturation that of the largest N.

        Parameters
        ----------
        kl : array
            KL in nats.
        """
        return np.interp(np.sqrt(np.maximum(kl, 0.0)), np.sqrt(self.best_kl), self.best_gain)

    def draws(self, gain: FloatArray) -> FloatArray:
        """The N, real, with which best-of-N gains so much; infinite where none does.

        Parameters
        ----------
        gain : array
            Gains of best-of-N.
        """
        gain = np.asarray(gain, dtype=np.float64)
        return np.where(gain > self.best_gain[-1], np.inf, np.exp(np.interp(gain, self.best_gain, _LOG_N)))


class Curves:
    """Both curves of a law on each prompt.

    Parameters
    ----------
    law : LevelLaw
        The base's mass by reward level.

    Examples
    --------
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> curves = Curves(law)  # of a coin, best-of-N is at the limit
    >>> both = curves.weighed()
    >>> both.limit(np.array([0.2])).round(3).tolist(), both.best_of_n(np.array([0.2])).round(3).tolist()
    ([0.305], [0.305])
    """

    def __init__(self, law: LevelLaw) -> None:
        self.law = law
        self.limit_kl = np.stack([family.kl(_LAMS) for family in law.laws])
        self.limit_gain = np.stack([family.gain(_LAMS) for family in law.laws])
        rules = BestOfN.along(np.exp(_KNOTS))
        levels = [family.levels for family in law.laws]
        ratios = [[rule.log_ratio(one) for rule in rules] for one in levels]
        kl = np.array([[one.kl_of(t) for t in row] for one, row in zip(levels, ratios, strict=True)])
        gain = np.array([[one.gain_of(t) for t in row] for one, row in zip(levels, ratios, strict=True)])
        # √KL and gain start as straight lines in log N; the KL itself does not.
        root, self.best_gain = (
            scipy.interpolate.PchipInterpolator(_KNOTS, part, axis=1)(_LOG_N)
            for part in (np.sqrt(np.maximum(kl, 0.0)), gain)
        )
        self.best_kl = root**2

    @cached_property
    def base_reward(self) -> FloatArray:
        """Mean reward of the base on each prompt, (P,)."""
        return np.array([family.base_reward for family in self.law.laws])

    @property
    def log_n(self) -> FloatArray:
        """log N along best-of-N's curves, (k,)."""
        return _LOG_N

    def weighed(self, weights: FloatArray | None = None) -> Weighed:
        """Return both curves for weights of prompts that sum to one; equal ones if none are given.

        Parameters
        ----------
        weights : array (prompts,), optional
            Weights that sum to one; equal ones if None.
        """
        n = len(self.limit_kl)
        w = np.full(n, 1.0 / n) if weights is None else weights
        return Weighed(w @ self.limit_kl, w @ self.limit_gain, w @ self.best_kl, w @ self.best_gain)
