"""Exponential tilting of a finite law: the optimum of KL-regularised alignment and everything about it.

With ``p`` the base law and ``r`` the reward, the tilted law is ``π_λ(y) = p(y) exp(λ r(y) - Λ(λ))`` and
``Λ(λ) = log Σ p e^{λ r}``. Subtracting two rounded logarithms loses most digits near ``λ = 0``, so every
quantity here is a sum of terms of one sign, in rewards centred on their base mean (λ small) or on the top
reward (λ large).
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, require
from alignlib._core.special import exact_dot
from alignlib.divergences import Divergence
from alignlib.laws.law import Law
from alignlib.laws.levels import Levels, checked_law
from alignlib.laws.optima import optima
from alignlib.laws.roots import accurate_root, newton_root, rising_root
from alignlib.laws.tilt_moments import (
    CENTRED_UP_TO,
    NEARLY_SATURATED,
    OF_EACH,
    SCALE_ABOVE,
    Extreme,
    TiltMoments,
    log_sum_from_top,
    moments_from_mean,
    moments_from_top,
    moments_of_each,
    moments_of_each_near_saturation,
)

__all__ = ["FiniteLaw"]

_LINEAR = 1e-17  # λ times the widest centred reward: below it the gain's second term is lost in rounding
# Beyond these λ, of the size of 1/span, leaves the doubles or loses its digits.
_LARGEST = 1e305
_LEAST_SPAN = 1e-300
_TINY = sys.float_info.min
_AT_ONCE = 1 << 16  # outcomes times λ


class FiniteLaw(Law):
    r"""Rewards and masses of finitely many outcomes, and the tilts ``π_λ ∝ p e^{λ r}`` in either direction.

    Sources: Y24 and P26 (closed form), P26 (Jeffreys form of the gain); the numerics are ours.

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome, up to 1e305 in size, ties allowed; the largest and the smallest are equal or differ by
        1e-300 or more.
    prob : array (k,), optional
        Base mass of each outcome, summing to one; equal masses if omitted. Outcomes of zero mass belong to
        no tilted law: they change nothing and get ``log_policy = -inf``.

    Raises
    ------
    InputError
        If the shapes differ, a reward is not finite or out of that range, a mass is negative, or the masses do not sum
        to one.

    Examples
    --------
    >>> law = FiniteLaw([0.0, 1.0], [0.75, 0.25])
    >>> round(law.gain(1.0), 6), round(law.kl(1.0), 6)
    (0.225367, 0.117993)
    >>> bool(np.isclose(law.gain(1.0), law.jeffreys(1.0) / 1.0))
    True
    >>> law.lam_at_kl(law.max_kl)
    inf
    """

    def __init__(self, reward: npt.ArrayLike, prob: npt.ArrayLike | None = None) -> None:
        rewards, mass = checked_law(reward, prob)
        _check_range(rewards)
        self._keep = mass > 0
        self._all = bool(self._keep.all())
        self.reward = rewards if self._all else rewards[self._keep]
        self.prob = mass if self._all else mass[self._keep]
        self._size = rewards.size
        self._centre()

    def __repr__(self) -> str:
        some = f"{self.prob.size} outcomes, rewards {self.min_reward:g} to {self.max_reward:g}"
        return f"<{type(self).__name__} of {some}, mean {self.base_reward:g}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FiniteLaw)
            and np.array_equal(self.reward, other.reward)
            and np.array_equal(self.prob, other.prob)
            and np.array_equal(self._keep, other._keep)
        )

    def __hash__(self) -> int:
        return hash(((self.reward + 0.0).tobytes(), self.prob.tobytes()))  # -0.0 is 0.0

    def _centre(self) -> None:
        p = self.prob
        # Where squares of rewards are far from 1, all is done in a unit, a power of two, so that nothing rounds.
        span = 0.5 * self.max_reward - 0.5 * self.min_reward
        self._unit = 1.0 if span == 0.0 or 1e-20 < span < 1e20 else 2.0 ** (math.frexp(span)[1] - 1)
        r = self._scaled = self.reward if self._unit == 1.0 else self.reward / self._unit
        # Two rounds: the first mean may carry the rounding of a large common offset, the second not.
        self._rough = float(p @ r)
        centred = r - self._rough
        self._e = centred - float(p @ centred) if self.max_reward > self.min_reward else np.zeros_like(r)
        self._e_max, self._e_min = float(self._e.max()), float(self._e.min())
        self._base_variance = float(p @ self._e**2)
        self._tops: dict[bool, Extreme] = {}

    def _top(self, up: bool) -> Extreme:
        if up not in self._tops:
            self._tops[up] = Extreme.of(self._scaled, self.prob, up)
        return self._tops[up]

    @cached_property
    def base_reward(self) -> float:
        """``R(0) = E_p r``, with its products split exactly and summed exactly: right even where they cancel."""
        shift = exact_dot(self.prob, self._scaled, -self._rough) / math.fsum(self.prob)
        return (self._rough + shift) * self._unit

    @cached_property
    def max_reward(self) -> float:
        """The largest reward of an outcome with mass."""
        return float(self.reward.max())

    @cached_property
    def min_reward(self) -> float:
        """The smallest reward of an outcome with mass."""
        return float(self.reward.min())

    @cached_property
    def max_gain(self) -> float:
        """``Σ p (max r - r)``, which no offset of the reward rounds."""
        return self._top(True).gain * self._unit

    @cached_property
    def _max_loss(self) -> float:
        return self._top(False).gain * self._unit

    @property
    def _sd(self) -> float:
        return math.sqrt(self._base_variance) * self._unit

    @property
    def lam_min(self) -> float:
        """``-inf``: every λ has a tilt, down to the base conditioned on the lowest reward."""
        return -math.inf

    @cached_property
    def levels(self) -> Levels:
        """The law sorted by reward, ties merged: what a rule sees of it."""
        return Levels.of(self.reward, self.prob)

    @cached_property
    def _powers(self) -> FloatArray:
        return np.array([self.prob, self.prob * self._e, self.prob * self._e**2])

    @cached_property
    def max_kl(self) -> float:
        """The largest useful budget ``-log p(argmax r)`` in nats: beyond it no reward is left to buy."""
        return self._saturation(True)

    def _saturation(self, up: bool) -> float:
        return self._top(up).saturation

    # ------------------------------------------------------------------ one λ
    def _moments(self, lam: float) -> TiltMoments:
        """Everything at one λ, both in units of ``_unit``."""
        if lam == 0 or self.max_reward == self.min_reward:
            return TiltMoments(0.0, 0.0, 0.0, self._base_variance, math.nan)
        if math.isinf(lam):
            up = lam > 0
            gain = self._top(up).gain
            return TiltMoments(math.inf, gain if up else -gain, self._saturation(up), 0.0, 0.0)
        if max(lam * self._e_max, lam * self._e_min) > CENTRED_UP_TO:
            return self._moments_from_top(lam)
        found = moments_from_mean(self.prob, self._e, lam)
        return found if found.kl < NEARLY_SATURATED * self._saturation(lam > 0) else self._moments_from_top(lam)

    def _moments_from_top(self, lam: float) -> TiltMoments:
        towards = moments_from_top(self.prob, self._top(lam > 0), lam)
        return towards if lam > 0 else replace(towards, gain=-towards.gain)

    def _each(self, lam: FloatArray, name: str) -> FloatArray:
        with np.errstate(over="ignore"):  # beyond the largest number a tilt is the one at infinity
            flat, out = lam.reshape(-1) * self._unit, np.full(lam.size, np.nan)
        if lam.size > 1 and self.prob.size <= _AT_ONCE and self.max_reward > self.min_reward:
            at_once, rows = np.flatnonzero((flat != 0.0) & np.isfinite(flat)), _AT_ONCE // self.prob.size
            for start in range(0, at_once.size, rows):
                some = at_once[start : start + rows]
                out[some] = self._each_of_some(flat[some], name)
        for i in np.flatnonzero(np.isnan(out)):
            out[i] = getattr(self._moments(float(flat[i])), name)
        return out.reshape(lam.shape)

    def _each_of_some(self, lam: FloatArray, name: str) -> FloatArray:
        """As `_moments` has it, at as many λ as are done at once; NaN where it takes another way."""
        which = OF_EACH.index(name)
        out, kl = np.full(lam.size, np.nan), np.full(lam.size, np.inf)
        with np.errstate(over="ignore"):
            within = np.maximum(lam * self._e_max, lam * self._e_min) <= SCALE_ABOVE
        if within.any():
            found = moments_of_each(self.prob, self._e, lam[within])
            out[within], kl[within] = found[which], found[2]
        for up in (True, False):
            near = ((lam > 0.0) == up) & (kl >= NEARLY_SATURATED * self._saturation(up))
            if near.any():
                from_end = moments_of_each_near_saturation(self.prob, self._top(up), lam[near])[which]
                out[near] = -from_end if name == "gain" and not up else from_end
        return out

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "gain") * self._unit

    def _variance(self, lam: FloatArray) -> FloatArray:
        flat = [self._one_variance(v) for v in lam.reshape(-1).tolist()]
        with np.errstate(over="ignore", under="ignore"):
            return np.array(flat, dtype=np.float64).reshape(lam.shape) * self._unit * self._unit

    def _relative_variance(self, lam: float) -> float:
        return self._one_variance(lam) / self._base_variance

    def _one_variance(self, lam: float) -> float:
        if lam == 0.0 or math.isinf(lam):
            return 0.0 if lam else self._base_variance
        with np.errstate(under="ignore"):
            policy = np.exp(np.log(self.prob) + self._log_ratio(lam))
            policy /= policy.sum()
            # From the likeliest outcome: where that has nearly all mass, the others' distances are all there is.
            step = self._scaled - self._scaled[int(np.argmax(policy))]
            return float(policy @ (step - float(policy @ step)) ** 2)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "kl")

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "log_partition")

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return np.array([self._one_log_partition(v) for v in lam.reshape(-1).tolist()]).reshape(lam.shape)

    def _one_log_partition(self, lam: float) -> float:
        top = lam * (self.max_reward if lam > 0 else self.min_reward)
        if math.isinf(lam):  # the extreme reward decides, unless it is 0
            return -self._saturation(lam > 0) if math.isnan(top) else top
        rise = self._moments(lam * self._unit).log_partition
        if abs(top) < 0.1 * abs(lam * self.base_reward) and self.max_reward > self.min_reward:
            # λE r and the rise above it nearly cancel: measure from the top reward instead.
            return top + log_sum_from_top(self.prob, self._top(lam > 0), lam * self._unit)
        return lam * self.base_reward + rise

    def _mean_reward(self, lam: FloatArray) -> FloatArray:
        gain = self._gain(lam)
        mean = np.asarray(self.base_reward + gain)
        # Where base and gain cancel, the policy's own average is the more accurate sum.
        cancel = np.abs(mean) < 0.1 * np.abs(gain)
        if cancel.any():
            mean[cancel] = [np.exp(row[self._keep]) @ self.reward for row in self.log_policy(lam[cancel])]
        return mean

    def _lam_of_budget(self, budget: float, guess: float) -> float:
        start = guess * self._unit or math.sqrt(2 * budget) / math.sqrt(self._base_variance)
        start = min(start, CENTRED_UP_TO / self._e_max)  # a rare top reward decides long before a Gaussian would
        lam, final = newton_root(self._e, self._powers, max(self._e_max, -self._e_min), budget, start)
        return (lam if final else accurate_root(self._moments, budget, self.max_kl, lam)) / self._unit

    def _lam_of_gain(self, sign: float, gain: float, guess: float) -> float:
        lam = gain / self._sd / self._sd if self._base_variance > _TINY else math.inf
        if lam * self._unit * max(self._e_max, -self._e_min) < _LINEAR:
            return lam  # the gain is λ Var to rounding
        most = self._top(sign > 0).gain

        def value(scaled: float) -> float:
            return min(abs(self._moments(sign * scaled).gain), most)

        start = guess * self._unit or min(lam * self._unit, CENTRED_UP_TO / max(self._e_max, -self._e_min))
        return rising_root(value, gain / self._unit, start) / self._unit

    # ------------------------------------------------------------------ policies
    def log_policy(self, lam: npt.ArrayLike) -> FloatArray:
        """``log π_λ(y)``, shape ``(*lam.shape, k)``; at ``λ = ∞`` the base law conditioned on the top reward.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ of either sign, ``±∞`` included.
        """
        lams = as_float_array("lam", lam, allow_inf=True)
        out = np.full((*lams.shape, self._size), -np.inf)
        rows = out.reshape(-1, self._size)
        for row, value in zip(rows, lams.reshape(-1), strict=True):
            row[self._keep] = np.log(self.prob) + self._log_ratio(float(value))
        return out

    def tilted(self, lam: float) -> FiniteLaw:
        """Return ``π_λ`` as a law of its own, of the same outcomes.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, ``±∞`` included.

        Examples
        --------
        >>> coin = FiniteLaw([0.0, 1.0], [0.75, 0.25])
        >>> coin.tilted(np.log(3.0)).prob.round(6).tolist()
        [0.5, 0.5]
        """
        with np.errstate(under="ignore"):
            return FiniteLaw(self.reward, np.exp(np.log(self.prob) + self.log_ratio(lam)))

    def log_ratio(self, lam: float) -> FloatArray:
        """``log π_λ(y) / p(y)`` of the outcomes that have base mass, accurate near ``λ = 0`` too.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, ``±∞`` included.

        Returns
        -------
        array (outcomes with base mass,)
            In nats; ``-inf`` for what ``λ = ±∞`` drops.
        """
        return self._log_ratio(float(as_float_array("lam", lam, allow_inf=True)))

    def _log_ratio(self, lam: float) -> FloatArray:
        if lam == 0 or self.max_reward == self.min_reward:
            return np.zeros_like(self.reward)
        lam, top = lam * self._unit, self._top(lam > 0)
        if math.isinf(lam):
            return np.where(top.below, -np.inf, self._saturation(lam > 0))
        with np.errstate(over="ignore"):
            if abs(lam) * top.gain > CENTRED_UP_TO:  # by the top: λE r would swallow the normaliser's digits
                return np.asarray(-abs(lam) * top.gap - log_sum_from_top(self.prob, top, lam))
        return lam * self._e - self._moments(lam).log_partition

    # ------------------------------------------------------------------ other budgets, draws
    def _max_spent(self, divergence: Divergence) -> float:
        return divergence.of_log_ratio(self.log_ratio(math.inf), self.prob)

    def _optima(self, budgets: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        return optima(self.reward - self.max_reward, self.prob, budgets, divergence)

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        levels = self.levels
        if upper:
            return np.asarray(levels.reward[::-1][np.searchsorted(levels.above[::-1], u, side="right") - 1])
        return np.asarray(levels.reward[np.searchsorted(levels.below, u, side="right") - 1])


def _check_range(rewards: FloatArray) -> None:
    low, high = float(rewards.min()), float(rewards.max())
    require(
        max(-low, high) <= _LARGEST and (low == high or high - low >= _LEAST_SPAN),
        f"reward must lie in [-{_LARGEST:g}, {_LARGEST:g}] and be constant or span at least {_LEAST_SPAN:g}; it goes "
        f"from {low:g} to {high:g}. Choose another unit.",
        "reward",
    )
