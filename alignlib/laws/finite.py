"""Exponential tilting of a finite law: the optimum of KL-regularised alignment and everything about it.

With ``p`` the base law and ``r`` the reward, the tilted law is ``π_λ(y) = p(y) exp(λ r(y) - Λ(λ))`` and
``Λ(λ) = log Σ p e^{λ r}``. Subtracting two rounded logarithms loses most digits near ``λ = 0``, so every
quantity here is a sum of terms of one sign, in rewards centred on their base mean (λ small) or on the top
reward (λ large).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, as_vector, like, require, require_range
from alignlib._core.special import exact_dot
from alignlib.laws._kl_root import accurate_root, plain_root
from alignlib.laws.tilt_moments import (
    CENTRED_UP_TO,
    Extreme,
    TiltMoments,
    moments_from_mean,
    moments_from_top,
)

__all__ = ["FiniteLaw"]


class FiniteLaw:
    r"""The family ``π_λ ∝ p e^{λ r}``, the optimum of ``max E_φ r - β KL(φ‖p)`` with ``λ = 1/β``.

    Sources: Y24 and P26 (closed form), P26 (Jeffreys form of the gain); the numerics are ours.

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome, any finite numbers, ties allowed.
    prob : array (k,), optional
        Base mass of each outcome, summing to one; equal masses if omitted. Outcomes of zero mass belong to
        no tilted law: they change nothing and get ``log_policy = -inf``.

    Raises
    ------
    InputError
        If the shapes differ, a value is not finite, a mass is negative, or the masses do not sum to one.

    Examples
    --------
    >>> family = FiniteLaw([0.0, 1.0], [0.75, 0.25])
    >>> round(family.gain(1.0), 6), round(family.kl(1.0), 6)
    (0.225367, 0.117993)
    >>> bool(np.isclose(family.gain(1.0), family.jeffreys(1.0) / 1.0))
    True
    >>> family.lam_at_kl(family.max_kl)
    inf
    """

    def __init__(self, reward: npt.ArrayLike, prob: npt.ArrayLike | None = None) -> None:
        rewards = as_vector("reward", reward)
        if prob is None:
            mass = np.full(rewards.size, 1.0 / rewards.size)
        else:
            mass = as_vector("prob", prob)
            require(
                mass.shape == rewards.shape,
                f"prob must have the shape of reward, {rewards.shape}; got {mass.shape}.",
            )
            require(mass.min() >= 0, f"prob must not be negative; its smallest value is {mass.min():g}.")
            total = float(mass.sum())
            require(
                abs(total - 1) <= 1e-6,
                f"prob must sum to one; it sums to {total:.9g}. Divide it by its sum if that is what you mean.",
            )
            mass = mass / total
        self._keep = mass > 0
        self._all = bool(self._keep.all())
        self.reward = rewards if self._all else rewards[self._keep]
        self.prob = mass if self._all else mass[self._keep]
        self._size = rewards.size
        self._centre()

    def _centre(self) -> None:
        r, p = self.reward, self.prob
        self.max_reward, self.min_reward = float(r.max()), float(r.min())
        # Two rounds: the first mean may carry the rounding of a large common offset, the second not.
        self._rough = float(p @ r)
        centred = r - self._rough
        self._e = centred - float(p @ centred) if self.max_reward > self.min_reward else np.zeros_like(r)
        self._e_max, self._e_min = float(self._e.max()), float(self._e.min())
        self._base_variance = float(p @ self._e**2)
        self._tops: dict[bool, Extreme] = {}

    def _top(self, up: bool) -> Extreme:
        if up not in self._tops:
            gap = self.max_reward - self.reward if up else self.reward - self.min_reward
            below = gap > 0
            self._tops[up] = Extreme(gap, below, float(self.prob[~below].sum()), float(self.prob @ gap))
        return self._tops[up]

    @cached_property
    def base_reward(self) -> float:
        """``R(0) = E_p r``, with its products split exactly and summed exactly: right even where they cancel."""
        return self._rough + exact_dot(self.prob, self.reward, -self._rough) / math.fsum(self.prob)

    @cached_property
    def _powers(self) -> FloatArray:
        return np.stack([self.prob, self.prob * self._e, self.prob * self._e**2])

    @cached_property
    def max_kl(self) -> float:
        """The largest useful budget ``-log p(argmax r)`` in nats: beyond it no reward is left to buy."""
        return self._saturation(True)

    def _saturation(self, up: bool) -> float:
        top = self.reward == (self.max_reward if up else self.min_reward)
        top_mass = float(self.prob[top].sum())
        return -math.log(top_mass) if top_mass <= 0.5 else -math.log1p(-float(self.prob[~top].sum()))

    # ------------------------------------------------------------------ one λ
    def _moments(self, lam: float) -> TiltMoments:
        if lam == 0 or self.max_reward == self.min_reward:
            return TiltMoments(0.0, 0.0, 0.0, self._base_variance, math.nan)
        if math.isinf(lam):
            up = lam > 0
            gain = self._top(up).gain
            return TiltMoments(math.inf, gain if up else -gain, self._saturation(up), 0.0, 0.0)
        if max(lam * self._e_max, lam * self._e_min) > CENTRED_UP_TO:
            towards = moments_from_top(self.prob, self._top(lam > 0), lam)
            return towards if lam > 0 else replace(towards, gain=-towards.gain)
        return moments_from_mean(self.prob, self._e, lam)

    def _map(self, lam: npt.ArrayLike, name: str) -> FloatArray:
        lams = as_float_array("lam", lam, allow_inf=True)
        flat = [getattr(self._moments(float(v)), name) for v in lams.reshape(-1)]
        return np.array(flat, dtype=np.float64).reshape(lams.shape)

    # ------------------------------------------------------------------ doors
    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ(λ) = log E_p e^{λ r}`` in nats, for each λ."""
        lams = as_float_array("lam", lam, allow_inf=True)
        values = [self._log_partition(float(v)) for v in lams.reshape(-1)]
        return like(lam, np.array(values).reshape(lams.shape))

    def _log_partition(self, lam: float) -> float:
        if math.isinf(lam):
            return math.inf
        rise = self._moments(lam).log_partition
        top = lam * (self.max_reward if lam > 0 else self.min_reward)
        if abs(top) < 0.1 * abs(lam * self.base_reward) and self.max_reward > self.min_reward:
            # λE r and the rise above it nearly cancel: measure from the top reward instead.
            below = self._top(lam > 0).below
            fall = lam * (self.reward - (self.max_reward if lam > 0 else self.min_reward))
            lost = float(self.prob[below] @ -np.expm1(fall[below]))
            return top + (math.log1p(-lost) if lost < 0.5 else rise + lam * self.base_reward - top)
        return lam * self.base_reward + rise

    def mean_reward(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ) = Λ'(λ)``, the mean reward of ``π_λ``."""
        gain = self._map(lam, "gain")
        mean = np.asarray(self.base_reward + gain)
        # Where base and gain cancel, the policy's own average is the more accurate sum.
        cancel = np.abs(mean) < 0.1 * np.abs(gain)
        if cancel.any():
            lams = as_float_array("lam", lam, allow_inf=True)
            mean[cancel] = [np.exp(row[self._keep]) @ self.reward for row in self.log_policy(lams[cancel])]
        return like(lam, mean)

    def gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ) - R(0) = Cov_p(r, e^{λr}) / E_p e^{λr}`` (covariance form, P26): what alignment adds."""
        return like(lam, self._map(lam, "gain"))

    def variance(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ''(λ)``, the variance of the reward under ``π_λ``."""
        return like(lam, self._map(lam, "variance"))

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``D(λ) = KL(π_λ‖p) = λ Λ'(λ) - Λ(λ)`` in nats."""
        return like(lam, self._map(lam, "kl"))

    def reverse_kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(p‖π_λ) = Λ(λ) - λ Λ'(0)`` in nats."""
        return like(lam, self._map(lam, "log_partition"))

    def jeffreys(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π_λ‖p) + KL(p‖π_λ)`` in nats; equals ``λ`` times the gain (Jeffreys form, P26)."""
        return like(lam, self._map(lam, "kl") + self._map(lam, "log_partition"))

    def log_policy(self, lam: npt.ArrayLike) -> FloatArray:
        """``log π_λ(y)``, shape ``(*lam.shape, k)``; at ``λ = ∞`` the base law conditioned on the top reward."""
        lams = as_float_array("lam", lam, allow_inf=True)
        out = np.full((*lams.shape, self._size), -np.inf)
        rows = out.reshape(-1, self._size)
        for row, value in zip(rows, lams.reshape(-1), strict=True):
            row[self._keep] = np.log(self.prob) + self._log_ratio(float(value))
        return out

    def log_ratio(self, lam: float) -> FloatArray:
        """``log π_λ(y) / p(y)`` of the outcomes that have base mass, accurate near ``λ = 0`` too."""
        return self._log_ratio(float(as_float_array("lam", lam, allow_inf=True)))

    def _log_ratio(self, lam: float) -> FloatArray:
        if lam == 0 or self.max_reward == self.min_reward:
            return np.zeros_like(self.reward)
        top = self._top(lam > 0)
        if math.isinf(lam):
            return np.where(top.below, -np.inf, self._saturation(lam > 0))
        log_partition = self._moments(lam).log_partition
        if abs(lam) * top.gain > CENTRED_UP_TO:
            return -abs(lam) * top.gap - (log_partition - abs(lam) * top.gain)
        return lam * self._e - log_partition

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The λ that spends the budget: ``D(λ) = kl``; ``0`` at 0 and ``inf`` from ``max_kl`` on.

        Parameters
        ----------
        kl : array
            KL budgets in nats, >= 0.

        Raises
        ------
        InputError
            If a budget is negative or not a number.
        ArithmeticError
            If the root could not be bracketed to rounding; the message carries the bracket.
        """
        budgets = require_range("kl", kl, 0.0, allow_inf=True)
        out = np.empty(budgets.size)
        guess = math.nan
        # In increasing order, so that each root starts the search for the next.
        for i in np.argsort(budgets, axis=None):
            out[i] = guess = self._solve(float(budgets.reshape(-1)[i]), guess)
        return like(kl, out.reshape(budgets.shape))

    def _solve(self, budget: float, guess: float) -> float:
        ceiling = self.max_kl
        if budget == 0.0:
            return 0.0
        if budget >= ceiling:
            return math.inf
        if not 0 < guess < math.inf:
            guess = math.sqrt(2 * budget / self._base_variance)
        lam, final = plain_root(self._e, self._powers, max(self._e_max, -self._e_min), budget, guess)
        return lam if final else accurate_root(self._moments, budget, ceiling, lam)
