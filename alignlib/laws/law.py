"""A reward law that can be tilted: what one has to say of it, and all that follows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import (
    FloatArray,
    FloatOrArray,
    as_float_array,
    as_rng,
    as_shape,
    like,
    require_range,
)
from alignlib._core.errors import InputError
from alignlib.divergences import KL, Divergence, as_divergence
from alignlib.laws.frontier import Frontier, default_budgets
from alignlib.laws.levels import Levels
from alignlib.laws.roots import rising_root, roots_in_order

__all__ = ["SMALLEST_BUDGET", "Law"]

_EPS = float(np.finfo(np.float64).eps)
_LARGEST = 1e300  # among the λ that are looked at
SMALLEST_BUDGET = 1e-250  # a KL budget in nats; a KL below comes near the end of the doubles


class Law(ABC):
    r"""The law of a reward ``r`` under a base model, and its tilts ``π_λ ∝ p e^{λ r}``, the optima for a KL budget.

    With ``Λ(λ) = log E e^{λ r}`` the optimum of ``max E_φ r - KL(φ‖p)/λ`` has mean reward ``Λ'(λ)`` and spends
    ``D(λ) = λΛ'(λ) - Λ(λ)`` nats. To add a law, subclass and define `base_reward`, `_reverse_kl` (the centred
    log-partition ``Λ(λ) - λΛ'(0)``), its derivative `_gain` and its second derivative `_variance`; everything else
    follows. Override `_kl` where a form is known that does not cancel near ``λ = 0``, `_quantile` for draws and
    inference-time rules, and `max_kl`, `max_reward`, `lam_max`, `lam_min` where the line ends. The hooks take and
    return arrays; the methods without underscore take a number or an array and return the like.

    >>> from alignlib.laws import Gaussian
    >>> Gaussian().kl([0.0, 2.0]).tolist(), Gaussian().lam_at_kl(2.0)
    ([0.0, 2.0], 2.0)

    Source: Y24 and P26 (closed form of the optimum).
    """

    @property
    @abstractmethod
    def base_reward(self) -> float:
        """``R(0) = Λ'(0)``, the mean reward of the base."""

    @property
    def max_reward(self) -> float:
        """The largest reward."""
        return math.inf

    @property
    def min_reward(self) -> float:
        """The smallest reward."""
        return -math.inf

    @property
    def max_gain(self) -> float:
        """The largest gain, ``max r - E r``; overridden where it is known without subtracting two rounded rewards."""
        return self.max_reward - self.base_reward

    @property
    def _max_loss(self) -> float:
        """The largest loss, ``E r - min r``."""
        return self.base_reward - self.min_reward

    @property
    def _sd(self) -> float:
        """Standard deviation of the base's reward; overridden where its square is no double."""
        return math.sqrt(float(self._variance(np.zeros(1))[0]))

    @property
    def max_kl(self) -> float:
        """``lim D(λ)`` in nats: the largest useful budget, ``-log p(argmax r)`` where the top reward has mass."""
        return math.inf

    @property
    def levels(self) -> Levels | None:
        """The law sorted by reward, as rules see it, where it has finitely many outcomes; else None."""
        return None

    @property
    def lam_max(self) -> float:
        """Where the log-partition becomes infinite: λ stays below."""
        return math.inf

    @property
    def lam_min(self) -> float:
        """The smallest λ: 0, or ``-inf`` for a law that can be tilted towards its lowest reward too."""
        return 0.0

    @abstractmethod
    def _reverse_kl(self, lam: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _gain(self, lam: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _variance(self, lam: FloatArray) -> FloatArray: ...

    def _kl(self, lam: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):  # where gain and reverse KL both leave the range of numbers
            found = np.asarray(lam * self._gain(lam) - self._reverse_kl(lam))
        return np.where(np.isnan(found) & ~np.isnan(lam), np.inf, found)

    def _mean_reward(self, lam: FloatArray) -> FloatArray:
        return np.asarray(self.base_reward + self._gain(lam))

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return np.asarray(lam * self.base_reward + self._reverse_kl(lam))

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatOrArray:
        """Return the reward with base mass ``u`` below it (above it, if ``upper``: accurate in the top tail).

        Parameters
        ----------
        u : array
            Masses in [0, 1].
        upper : bool
            Count from the top.

        Raises
        ------
        InputError
            If a mass lies outside [0, 1], or the law has no quantiles.
        """
        mass = require_range("u", u, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return like(u, self._quantile(mass, upper))

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        raise InputError(f"{type(self).__name__} has no quantiles; ask the law of one prompt or one sequence for them.")

    def _lams(self, lam: npt.ArrayLike) -> FloatArray:
        lams = as_float_array("lam", lam, allow_inf=math.isfinite(self.max_kl))
        if self.lam_min > -math.inf:
            require_range("lam", lams, self.lam_min, allow_inf=True)
        if self.lam_max < math.inf and not (lams < self.lam_max).all():
            raise InputError(
                f"lam must stay below {self.lam_max:g} for this law: its log-partition is infinite from there on; "
                f"got {np.max(lams):g}.",
                argument="lam",
            )
        return lams

    def _at(self, lam: npt.ArrayLike, hook: Callable[[FloatArray], FloatArray]) -> FloatOrArray:
        return like(lam, hook(self._lams(lam)))

    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ(λ) = log E_p e^{λ r}`` in nats, for each λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._log_partition)

    def mean_reward(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ) = Λ'(λ)``, the mean reward of ``π_λ``, for each λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._mean_reward)

    def gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ) - R(0) = Cov_p(r, e^{λr}) / E_p e^{λr}`` (covariance form, P26): what alignment adds, for each λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._gain)

    def variance(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ''(λ)``, the variance of the reward under ``π_λ``, for each λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._variance)

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``D(λ) = KL(π_λ‖p) = λΛ'(λ) - Λ(λ)`` in nats, for each λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._kl)

    def reverse_kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(p‖π_λ) = Λ(λ) - λΛ'(0)`` in nats, for each λ: the centred log-partition.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, self._reverse_kl)

    def jeffreys(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π_λ‖p) + KL(p‖π_λ)`` in nats, for each λ; equals ``λ`` times the gain (Jeffreys form, P26).

        Parameters
        ----------
        lam : array
            Inverse temperatures λ, from ``lam_min`` and below ``lam_max``.

        Raises
        ------
        InputError
            If a λ lies outside that range or is not a number.
        """
        return self._at(lam, lambda lams: np.asarray(self._kl(lams) + self._reverse_kl(lams)))

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """Return the λ that spends the budget: ``D(λ) = kl``; 0 at 0, and ``inf`` from ``max_kl`` on.

        Parameters
        ----------
        kl : array
            KL budgets in nats, >= 0.

        Raises
        ------
        InputError
            If a budget is negative or not a number.
        ArithmeticError
            If the root was not found to rounding; the message carries the bracket.
        """
        return like(kl, self._lam_at_kl(require_range("kl", kl, 0.0, allow_inf=math.isfinite(self.max_kl))))

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        return roots_in_order(budgets, self._most_spent(), self._root_of_budget)

    def _most_spent(self) -> float:
        """The budget that no λ among the doubles spends."""
        if math.isfinite(self.max_kl) or math.isfinite(self.lam_max):
            return self.max_kl
        with np.errstate(over="ignore"):
            return float(self._kl(np.array([_LARGEST]))[0])

    def _root_of_budget(self, budget: float, guess: float) -> float:
        if budget < SMALLEST_BUDGET and (near := self._lam_near_zero(budget)) is not None:
            return near
        return self._lam_of_budget(budget, guess)

    def _lam_near_zero(self, budget: float) -> float | None:
        """The root of ``D(λ) = λ²κ₂/2 + λ³κ₃/3 + …`` where that is all, and D too small for the doubles."""
        lam = math.sqrt(2.0 * budget) / self._sd
        if not lam < min(self.lam_max, _LARGEST):
            return None
        rise = self._relative_variance(lam) - 1.0  # λκ₃/κ₂, up to its own square
        return lam * (1.0 - rise / 3.0) if abs(rise) < 1e-7 else None

    def _relative_variance(self, lam: float) -> float:
        """Variance at λ over that of the base."""
        base, there = self._variance(np.array([0.0, lam])).tolist()
        return float(there / base)

    _steep: ClassVar[bool] = False  # whether KL may pass a budget within the last digit of λ

    def _lam_of_budget(self, budget: float, guess: float) -> float:
        """One root of ``D(λ) = budget``, ``0 < budget < max_kl``; ``guess`` is the root of a smaller budget or 0."""
        start = guess or math.sqrt(2.0 * budget) / self._sd
        return rising_root(self.kl, budget, start, end=self.lam_max, steep=self._steep)

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """Return ``max {E_φ r - E_p r : KL(φ‖p) ≤ Δ}``, the frontier, for each budget.

        Parameters
        ----------
        kl : array
            KL budgets Δ in nats, >= 0; from ``max_kl`` on the gain is the largest there is.

        Raises
        ------
        InputError
            If a budget is negative or not a number.
        """
        budgets = require_range("kl", kl, 0.0, allow_inf=math.isfinite(self.max_kl))
        return like(kl, self._gain_of_budgets(budgets, self._lam_at_kl(budgets)))

    def _gain_of_budgets(self, budgets: FloatArray, lam: FloatArray) -> FloatArray:
        """The gain at each budget, whose λ is known; overridden where λ is too coarse to say."""
        return self._gain(lam)

    def lam_at_gain(self, gain: npt.ArrayLike) -> FloatOrArray:
        """Return the λ whose tilt gains as much: ``inf`` at the largest gain, below 0 for a loss.

        Parameters
        ----------
        gain : array
            Mean rewards above the base's, in the unit of the reward; below 0 only where ``lam_min`` is.

        Raises
        ------
        InputError
            If a gain lies beyond what any λ of this law gives.
        """
        return like(gain, self._lam_at_gain(self._gains(gain, 0.0 if self.lam_min == 0.0 else -self._max_loss)))

    def _gains(self, gain: npt.ArrayLike, least: float) -> FloatArray:
        """Check gains against the extremes; what rounding of the rewards lifts beyond an extreme is that extreme."""
        gains, most = as_float_array("gain", gain), self.max_gain
        if math.isfinite(most):
            slack = 4.0 * _EPS * max(abs(self.max_reward), abs(self.base_reward), most)
            gains = np.where((gains > most) & (gains <= most + slack), most, gains)
            if (rounded := self.max_reward - self.base_reward) > 0.5 * most:
                gains = np.where(gains == rounded, most, gains)
        if least:
            slack = 4.0 * _EPS * max(abs(self.min_reward), abs(self.base_reward), -least)
            gains = np.where((gains < least) & (gains >= least - slack), least, gains)
            if (rounded := self.min_reward - self.base_reward) < 0.5 * least:
                gains = np.where(gains == rounded, least, gains)
        return require_range("gain", gains, least, most)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        up = roots_in_order(np.maximum(gains, 0.0), self.max_gain, partial(self._lam_of_gain, 1.0))
        if (gains >= 0.0).all():
            return up
        return up - roots_in_order(np.maximum(-gains, 0.0), self._max_loss, partial(self._lam_of_gain, -1.0))

    def _lam_of_gain(self, sign: float, gain: float, guess: float) -> float:
        start = guess or gain / self._sd / self._sd
        return rising_root(lambda lam: sign * self.gain(sign * lam), gain, start, end=self.lam_max)

    def kl_at_gain(self, gain: npt.ArrayLike) -> FloatOrArray:
        """Return the least KL (nats) that buys a mean gain: what a method with that gain need not have exceeded.

        Parameters
        ----------
        gain : array
            Mean rewards above the base's, in the unit of the reward, from 0 to ``max_gain``.

        Raises
        ------
        InputError
            If a gain lies outside [0, the largest gain].
        """
        return like(gain, self._kl_of_gains(self._gains(gain, 0.0)))

    def _kl_of_gains(self, gains: FloatArray) -> FloatArray:
        lam = self._lam_at_gain(gains)
        return np.where(np.isinf(lam), self.max_kl, self._kl(np.where(np.isinf(lam), 0.0, lam)))

    def frontier(self, budgets: npt.ArrayLike | None = None, divergence: Divergence | str = KL) -> Frontier:
        """Return ``R(Δ) = max {E_φ r : D(φ‖p) <= Δ}`` for each budget; for KL attained by ``π_λ`` with ``D(λ) = Δ``.

        Parameters
        ----------
        budgets : array (k,), optional
            Budgets >= 0 in the units of ``divergence`` (nats for KL); by default 129 from 0 to the largest useful one
            (to 8 where there is none), closer together near 0 where the curve rises like ``√Δ``.
        divergence : Divergence
            What the budget is measured in; finite laws take any.

        Raises
        ------
        InputError
            If a budget is negative or not a number, or the frontier of this law is known for KL only.

        Examples
        --------
        >>> from alignlib.laws import FiniteLaw
        >>> FiniteLaw([0.0, 1.0]).frontier([0.0, 0.1, 5.0]).reward.round(4).tolist()
        [0.5, 0.7198, 1.0]

        Source: Y24, P26 (closed form of the optimum).
        """
        divergence = as_divergence(divergence)
        default = default_budgets(self.max_spent(divergence)) if budgets is None else budgets
        spent = np.atleast_1d(require_range("budgets", default, 0.0))
        if divergence == KL:
            lam = self._lam_at_kl(spent)
            gain = self._gain_of_budgets(spent, lam)
        else:
            gain, lam = self._optima(spent, divergence)
        return Frontier(spent=spent, gain=gain, lam=lam, base_reward=self.base_reward, divergence=divergence)

    def max_spent(self, divergence: Divergence | str = KL) -> float:
        """Return the largest useful budget in the units of ``divergence``; ``max_kl`` for KL.

        Parameters
        ----------
        divergence : Divergence or str
            What the budget is measured in, or its name.
        """
        divergence = as_divergence(divergence)
        return self.max_kl if divergence == KL else self._max_spent(divergence)

    def _max_spent(self, divergence: Divergence) -> float:
        return self.max_kl

    def _optima(self, budgets: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        name = type(self).__name__
        if math.isinf(self.max_gain) and math.isfinite(divergence.slope_at_infinity):
            raise InputError(
                f"divergence {divergence.called} has no finite optimum for {name}: it charges a bounded price for mass "
                "moved into the upper tail, where the reward has no end. Use KL, or a FiniteLaw of sampled rewards.",
                argument="divergence",
            )
        raise InputError(f"divergence must be KL for {name}; got {divergence.called}. A FiniteLaw takes any.")

    def sample(self, rng: np.random.Generator | int, size: int | tuple[int, ...]) -> FloatOrArray:
        """Return independent rewards of the base.

        Parameters
        ----------
        rng : Generator or int
            Source of randomness, or the seed of a new one.
        size : int or tuple of int
            Shape of what is returned; ``()`` for a single float.

        Raises
        ------
        InputError
            If ``size`` is no shape, or the law has no quantiles to draw from.
        """
        shape = as_shape("size", size)
        drawn = np.asarray(self._sample(as_rng(rng), shape), dtype=np.float64)
        return drawn if shape else float(drawn)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return self._quantile(np.asarray(rng.random(shape)), False)
