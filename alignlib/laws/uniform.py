"""Uniform rewards: ``log(sinh h / h)`` and its derivatives, accurate from h = 0 to overflow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_number, require
from alignlib.divergences import CHI_SQUARED, Divergence, Renyi
from alignlib.laws.continuous import ContinuousLaw, check_unit

__all__ = ["Uniform"]


@dataclass(frozen=True)
class Uniform(ContinuousLaw):
    """Uniform reward on ``[low, high]``: ``Λ = log((e^{λw} - 1)/(λw)) + λ low``, w the width.

    Parameters
    ----------
    low, high : float
        Ends of the range, ``low < high``, in units of the reward.

    Raises
    ------
    InputError
        If ``high`` does not exceed ``low``, or one is not a finite number.

    Examples
    --------
    >>> round(Uniform(0.0, 1.0).gain_at_kl(1.0), 6)
    0.364579
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, as_number(name, getattr(self, name)))
        require(self.high > self.low, f"high must exceed low, {self.low:g}; got {self.high:g}.")
        check_unit("high - low", 2.0 * self._half, self.low, self.high)

    @property
    def base_reward(self) -> float:
        """The middle of the range."""
        return self.low / 2 + self.high / 2

    @property
    def max_reward(self) -> float:
        """The upper end of the range."""
        return self.high

    @property
    def min_reward(self) -> float:
        """The lower end of the range."""
        return self.low

    @property
    def max_gain(self) -> float:
        """Half the width."""
        return self._half

    @property
    def _max_loss(self) -> float:
        return self._half

    @property
    def _sd(self) -> float:
        return self._half / math.sqrt(3.0)

    @property
    def _half(self) -> float:
        return self.high / 2 - self.low / 2

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._half * _langevin(self._half * lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return _kl_of_half(self._half * lam)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return _log_sinhc(self._half * lam)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return self._half * self._half * _slope(self._half * lam)

    def _relative_variance(self, lam: float) -> float:
        return 3.0 * float(_slope(np.array([self._half * lam]))[0])

    def _lam_of_budget(self, budget: float, guess: float) -> float:
        if budget < 40.0:
            return super()._lam_of_budget(budget, guess)
        try:  # D(λ) = log(2h) - 1 to the last digit
            return math.exp(budget + 1.0) / 2.0 / self._half
        except OverflowError:
            return math.inf

    def _optima(self, budgets: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        """In closed form for Rényi's of order α > 1, χ² among them, from where outcomes are dropped; ``δ = α - 1``.

        ``φ = (A - δλu)^{1/δ}`` at the distance u from the top: ``gain = w (1/2 - c e^{-D})``, ``c = (α/(2α-1))^{α/δ}``.
        """
        if divergence == CHI_SQUARED:  # D_2 = log(1 + χ²), so λ is as many times larger
            gain, lam = self._optima(np.log1p(budgets), Renyi(2.0))
            with np.errstate(over="ignore"):
                return gain, lam * (1.0 + budgets)
        alpha = divergence.alpha if isinstance(divergence, Renyi) else 2.0
        if not isinstance(divergence, Renyi) or alpha <= 1.0:
            return super()._optima(budgets, divergence)
        delta, log_rest = alpha - 1.0, math.log(alpha / (2.0 * alpha - 1.0))
        far = budgets >= math.log(alpha / delta) + log_rest / delta
        gain, lam = np.zeros_like(budgets), np.zeros_like(budgets)
        if not far.all():
            gain[~far], lam[~far] = super()._optima(budgets[~far], divergence)
        left = 2.0 * self._half * np.exp(alpha / delta * log_rest - budgets[far])
        gain[far] = self._half - left
        with np.errstate(divide="ignore", over="ignore"):
            lam[far] = 1.0 / left
        return gain, lam

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        step = 2 * self._half * u
        return np.asarray(self.high - step if upper else self.low + step)

    def _deviation(self, u: FloatArray, upper: bool) -> FloatArray:
        rise = self._half * (2 * u - 1)
        return np.asarray(-rise if upper else rise)


def _tangent_numbers(most: int) -> list[int]:
    """``T_1 … T_most``, of ``tan x = Σ T_k x^{2k-1} / (2k-1)!``: 1, 2, 16, 272, … (Brent and Harvey's recurrence)."""
    found = [math.factorial(k) for k in range(most)]
    for k in range(1, most):
        for j in range(k, most):
            found[j] = (j - k) * found[j - 1] + (j - k + 2) * found[j]
    return found


# Series of log(sinh h / h) = Σ (-1)^{k-1} T_k h^2k / ((4^k - 1) (2k)!), of radius π: 16 terms suffice below 1/2 … 1.
_K = np.arange(1, 17)
_LOG = np.array(
    [(-1) ** (k - 1) * t / ((4**k - 1) * math.factorial(2 * k)) for k, t in enumerate(_tangent_numbers(16), start=1)]
)
_SERIES_BELOW = 0.7


def _series(h: FloatArray, coefficients: FloatArray) -> FloatArray:
    """``Σ_k c_k h^{2k}``, k from 1."""
    square = np.minimum(h, _SERIES_BELOW) ** 2
    total = np.zeros_like(h)
    for c in coefficients[::-1]:
        total = (total + c) * square
    return total


def _choose(h: FloatArray, series: FloatArray, closed: FloatArray) -> FloatArray:
    return np.where(h < _SERIES_BELOW, series, closed)


def _log_sinhc(h: FloatArray) -> FloatArray:
    """``log(sinh h / h)`` for h >= 0."""
    x = np.maximum(h, _SERIES_BELOW)
    closed = x - np.log(2 * x) + np.log1p(-np.exp(-2 * x))
    return _choose(h, _series(h, _LOG), closed)


def _langevin(h: FloatArray) -> FloatArray:
    """``coth h - 1/h``, the derivative of :func:`_log_sinhc`."""
    x = np.maximum(h, _SERIES_BELOW)
    safe = np.where(h > 0, h, 1.0)
    return _choose(h, np.where(h > 0, _series(h, 2 * _K * _LOG) / safe, 0.0), 1 / np.tanh(x) - 1 / x)


def _slope(h: FloatArray) -> FloatArray:
    """``1/h² - 1/sinh² h``, the second derivative; 1/3 at 0."""
    x = np.maximum(h, _SERIES_BELOW)
    coefficients = 2 * _K * (2 * _K - 1) * _LOG
    head = coefficients[0] + _series(h, coefficients[1:])
    with np.errstate(over="ignore", under="ignore"):
        closed = 1 / x**2 - 4 * np.exp(-2 * x) / np.expm1(-2 * x) ** 2
    return _choose(h, head, closed)


def _kl_of_half(h: FloatArray) -> FloatArray:
    """``h L(h) - log(sinh h / h)``: KL of the tilted uniform law to the uniform law, in nats."""
    x = np.maximum(h, _SERIES_BELOW)
    with np.errstate(over="ignore"):
        near = np.minimum(x, 400.0)  # from there on nothing is left of the exponential terms
        closed = np.log(2 * x) - 1 + 2 * near / np.expm1(2 * near) - np.log1p(-np.exp(-2 * near))
    return _choose(h, _series(h, (2 * _K - 1) * _LOG), closed)
