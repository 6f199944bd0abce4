"""Soft best-of-n: draw n responses, keep one with probability ∝ e^{λ r}.

``π(y) = n p(y) w(y) ∫ e^{-t w(y)} φ(t)^{n-1} dt`` with ``w = e^{λ (r - max r)}`` and ``φ(t) = E_p e^{-t w}``: the
normaliser ``1/Σw`` of a random sample becomes an integral over independent factors. In ``s = log t`` the
integrand decays doubly exponentially and the trapezoidal rule converges geometrically. Source of the policy: V25;
the integral form is derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_number, as_vector, require
from alignlib.laws import Levels
from alignlib.rules.rule import Rule

__all__ = ["SoftBestOfN"]

# Halving the step changes nothing: the integrand's Fourier transform has fallen to e^{-π²/step} there.
_STEP = 0.2
_LEFT = 42.0
_RIGHT = 5.0
_CERTIFICATE = 1e-11
_AT_ONCE = 1 << 18
_APART = 60.0  # nats: e^-60 of a mass is nothing next to it
_WIDEST = 1e4
_OVERFLOWS = 700.0  # e^t beyond is no double


@dataclass(frozen=True)
class SoftBestOfN(Rule):
    """Draw n, keep one with probability ∝ ``e^{λ r}``; its curve runs along λ at a fixed n.

    Parameters
    ----------
    n : float
        Number of draws, >= 1; whole, to draw responses.
    lam : float
        Inverse temperature λ >= 0 of the choice among the draws; 0 is the base, ∞ would be best-of-N.

    Raises
    ------
    InputError
        If a parameter is out of its range, or on a law with so many levels that λ times the range of some that lie
        close together exceeds 1e4.
    ArithmeticError
        On a law where the quadrature does not sum to one within 1e-11.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> SoftBestOfN(2, 1.0).on(FiniteLaw([0.0, 1.0])).policy.round(6).tolist()
    [0.384471, 0.615529]

    Source: V25.
    """

    n: float
    lam: float

    name = "soft best-of-n"
    parameter = "lam"
    symbol = "λ"
    start = 0.0

    def __post_init__(self) -> None:
        as_number("n", self.n, 1.0)
        as_number("lam", self.lam, self.start)

    @property
    def title(self) -> str:
        """Such as ``"soft best-of-8 (λ=2)"``."""
        return f"soft best-of-{self.n:g} ({self.label})"

    @property
    def draws(self) -> float:
        """The number n itself."""
        return float(self.n)

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """One of them with probability ∝ ``e^{λ r}``."""
        rewards = as_vector("rewards", rewards)
        weight = np.exp(self.lam * (rewards - np.max(rewards)))
        return int(rng.choice(weight.size, p=weight / weight.sum()))

    def log_ratio(self, levels: Levels) -> FloatArray:
        """Quadrature of the integral, level by level."""
        n, lam = float(self.n), float(self.lam)
        ratio = np.empty_like(levels.mass)
        # Levels far below a cluster never win against one of it, levels far above never lose: clusters part.
        with np.errstate(over="ignore"):
            steps = lam * np.diff(levels.reward)
        for part in np.split(np.arange(levels.mass.size), np.flatnonzero(steps > _APART + math.log(n)) + 1):
            ratio[part] = self._cluster(levels, part)
        total = float(levels.policy_of(ratio).sum())
        if abs(total - 1) > _CERTIFICATE:
            raise ArithmeticError(f"soft best-of-n lost accuracy: its law sums to {total!r} at n={n:g}, lam={lam:g}.")
        return ratio

    def _cluster(self, levels: Levels, part: IntArray) -> FloatArray:
        """The same for levels ``part``, none of which is far from the next; in logarithms from their top."""
        n = float(self.n)
        fall = float(self.lam) * (levels.reward[part] - levels.reward[part[-1]])
        require(
            fall[0] > -_WIDEST,
            f"lam times the range of rewards that lie close together must stay below {_WIDEST:g} for soft best-of-n; "
            f"got {-fall[0]:g}. Use best-of-N, its limit for large lam.",
        )
        mass, under = levels.mass[part], float(levels.below[part[0]])
        over = float(levels.above[part[-1]])
        s = np.arange(-_LEFT - math.log(n), -fall[0] + _RIGHT, _STEP)
        log_phi = np.concatenate([_log_laplace(mass, under, over, rows[:, None] + fall) for rows in _parts(s, fall)])
        # log of n w t e^{-t w} φ(t)^{n-1}, summed over s with weight _STEP
        ratio = np.empty_like(fall)
        for at in _parts(np.arange(fall.size), s):
            with np.errstate(over="ignore"):
                lifted = fall[at] + s[:, None]
                out = math.log(n * _STEP) + lifted - np.exp(lifted) + (n - 1) * log_phi[:, None]
            peak = out.max(axis=0)
            ratio[at] = peak + np.log(np.exp(out - peak).sum(axis=0))
        return np.asarray(ratio)


def _parts(rows: FloatArray, columns: FloatArray) -> list[FloatArray]:
    """Split rows so that a part times all columns stays within the cache."""
    parts: list[FloatArray] = np.array_split(rows, math.ceil(rows.size * columns.size / _AT_ONCE))
    return parts


def _log_laplace(mass: FloatArray, under: float, over: float, log_x: FloatArray) -> FloatArray:
    """``log (under + Σ mass e^{-x})`` of each row, accurate where next to nothing is lost and far out.

    ``under`` is mass that loses nothing and ``over`` mass that loses all: mass, under and over sum to one.
    """
    x = np.exp(np.minimum(log_x, _OVERFLOWS))
    lost = -np.expm1(-x) @ mass + over
    low = np.zeros(len(x)) if under > 0.0 else x.min(axis=1)
    with np.errstate(divide="ignore", under="ignore"):
        far = -low + np.log(under + np.exp(low[:, None] - x) @ mass)
    return np.asarray(np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), far))
