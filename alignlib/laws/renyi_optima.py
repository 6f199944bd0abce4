"""The best policies of a finite law within Rényi divergences: one unknown for each budget, and Hölder's bound.

For order α the optimum is ``φ/p = v^q / E_p v^q`` with ``q = 1/(α-1)``, where ``v = max(0, 1 - z gap)`` above order 1
and ``v = 1 + z gap`` below; ``gap`` is the distance to the largest reward. With ``S_0 = E_p v^q`` and
``S_1 = E_p v^{q+1}`` it spends ``D = (log S_1 - α log S_0)/(α-1)``, which rises in z. Hölder's inequality bounds the
gain of any policy: ``E_φ v`` is at most (below order 1, at least) ``(e^D S_1)^{(α-1)/α}``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.laws.condensed import condensed

__all__ = ["LEAST_RENYI", "NEAREST_ORDER", "renyi_optima"]

LEAST_RENYI = 1e-3  # nats from which on the difference of logarithms keeps its digits
NEAREST_ORDER = 0.2  # distance of the order to 1 from which on powers do
_STEPS, _NEWTON_STEPS = 80, 12
_SETTLED, _ROUNDED = 4e-15, 1e-13  # of the budget, or of one nat; the latter where no step makes it smaller
_LONGEST = 4.0  # of one step in log z
_MANY = 1 << 9  # outcomes from which on fewer are tried first
_AT_ONCE = 1 << 14  # outcomes times budgets, so that a step stays in the processor's cache
_LEAST_LOG = -1e6  # of the v of an outcome that is kept


@dataclass(frozen=True, eq=False)
class _Law(SameFields):
    """Gaps to the top reward, masses with masses times gap, and the order."""

    gap: FloatArray
    weights: FloatArray  # (k, 2)
    alpha: float
    end: float  # of z, from which on the top has all mass

    @classmethod
    def of(cls, gap: FloatArray, prob: FloatArray, alpha: float) -> _Law:
        nearest = float(gap.min(initial=math.inf, where=gap > 0.0)) if alpha > 1.0 else 1e-300
        end = (1.0 + 4.0 * math.ulp(1.0)) / nearest  # whatever rounds
        return cls(gap, np.stack([prob, prob * gap], axis=1), alpha, end)

    @property
    def mean_gap(self) -> float:
        return float(self.weights[:, 1].sum())

    def at(self, z: FloatArray) -> _Sums:
        """Return the sums at each z."""
        return self.sums(z, self.v(z))

    def v(self, z: FloatArray) -> FloatArray:
        """Return ``v`` at each z, array (z, k)."""
        above = self.alpha > 1.0
        v = np.multiply.outer(-z if above else z, self.gap)
        v += 1.0
        return np.maximum(v, 0.0, out=v) if above else np.asarray(v)

    def _powers(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``v^q`` and ``v^{q-1}``."""
        delta = self.alpha - 1.0
        if delta == 0.5:
            return v * v, v
        if delta == -0.5:
            once = 1.0 / v
            twice = once * once
            return twice, twice * once
        power = v if delta == 1.0 else v ** (1.0 / delta)
        return power, np.divide(power, v, out=np.zeros_like(v), where=v > 0.0)

    def sums(self, z: FloatArray, v: FloatArray, last: FloatArray | None = None) -> _Sums:
        """Return the sums of ``v``; ``last`` is ``v^q`` of outcomes whose ``v`` a float does not hold, else 0."""
        delta = self.alpha - 1.0
        power, slope = self._powers(v)
        power = power if last is None else np.maximum(power, last)
        zeroth, sold = (power @ self.weights).T
        first = (v * power) @ self.weights[:, 0]
        rise = z * math.copysign(self.alpha / delta**2, delta) * (slope @ self.weights[:, 1] / zeroth - sold / first)
        return _Sums(z, zeroth, first, sold, (np.log(first) - self.alpha * np.log(zeroth)) / delta, rise)

    def start(self, budgets: FloatArray) -> FloatArray:
        """Return z as long as budgets are small, by the variance of the reward."""
        delta, base = self.alpha - 1.0, self.mean_gap
        spread = math.sqrt(float(self.weights[:, 0] @ np.square(self.gap - base)))
        pace = np.sqrt(2.0 * budgets / self.alpha) * abs(delta) / spread
        return np.asarray(pace / np.maximum(1.0 + math.copysign(base, delta) * pace, 0.05))


@dataclass(frozen=True, eq=False)
class _Sums(SameFields):
    """At one z of each budget: ``S_0``, ``S_1``, ``E gap v^q``, what is spent, and how fast that rises in log z."""

    z: FloatArray
    zeroth: FloatArray
    first: FloatArray
    sold: FloatArray
    spent: FloatArray
    rise: FloatArray


def renyi_optima(
    gap: FloatArray, prob: FloatArray, budgets: FloatArray, alpha: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the largest gain within each budget, Hölder's bound on it, and λ, the inverse of the frontier's slope.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        Nats of ``D_α``, from `LEAST_RENYI` to below the most that can be spent.
    alpha : float
        The order, `NEAREST_ORDER` or more away from 1.

    Returns
    -------
    gain, dual, lam : array (b,)
        In units of the reward, and its inverse.

    Examples
    --------
    >>> gain, dual, lam = renyi_optima(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([np.log(1.04)]), 2.0)
    >>> gain.round(12).tolist(), dual.round(12).tolist()  # σ √χ²
    ([0.1], [0.1])

    Source: Hölder's inequality, with equality at the optimum.
    """
    scale = float(gap.max())
    law = _Law.of(gap / scale, prob, alpha)
    with np.errstate(all="ignore"):
        z = law.start(budgets)
        if gap.size > _MANY:
            rough = _Law.of(*condensed(law.gap, prob), alpha)
            z = np.concatenate([_newton(rough, budgets[some], z[some])[0] for some in _parts(z.size, rough.gap.size)])
        found = np.concatenate(
            [np.stack(_solved(law, budgets[some], z[some])) for some in _parts(z.size, gap.size)], axis=1
        )
    return found[0] * scale, found[1] * scale, found[2] / scale


def _parts(budgets: int, outcomes: int) -> list[slice]:
    rows = max(1, _AT_ONCE // outcomes)
    return [slice(first, min(first + rows, budgets)) for first in range(0, budgets, rows)]


def _solved(law: _Law, budgets: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    low, high, sums = _newton(law, budgets, start)
    if law.alpha > 1.0:
        for k in np.flatnonzero(low < high):
            found = _about_to_be_dropped(law, float(budgets[k]), float(low[k]))
            for name, value in vars(found).items():
                getattr(sums, name)[k] = value[0]
    gap, delta = sums.sold / sums.zeroth, law.alpha - 1.0
    bound = np.expm1(delta / law.alpha * (budgets + np.log(sums.first))) / sums.z
    lam = sums.z * law.alpha / abs(delta) * sums.zeroth / sums.first
    return law.mean_gap - gap, law.mean_gap + math.copysign(1.0, delta) * bound, lam


def _newton(law: _Law, budgets: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray, _Sums]:
    """Return the z that spends each budget, twice, or two between which it lies, and the sums at the last one tried.

    Newton on ``log D`` in ``log z``, in a bracket that is halved where an outcome is about to be dropped.
    """
    low, high = np.zeros_like(budgets), np.full_like(budgets, law.end)
    z, last = np.clip(start, 1e-300, 0.5 * law.end), np.full_like(budgets, math.inf)
    kept = np.zeros((6, budgets.size))
    on = np.arange(budgets.size)
    for step in range(_STEPS):
        here, budget = law.at(z[on]), budgets[on]
        kept[:, on] = here.z, here.zeroth, here.first, here.sold, here.spent, here.rise
        off = here.spent - budget
        miss = np.abs(off) / np.maximum(budget, 1.0)
        done = (miss <= _SETTLED) | ((miss <= _ROUNDED) & (miss > 0.25 * last[on]))
        last[on] = miss
        above = off > 0.0
        high[on], low[on] = np.where(above, here.z, high[on]), np.where(above, low[on], here.z)
        turn = np.clip(np.log(budget / here.spent) * here.spent / here.rise, -_LONGEST, _LONGEST)
        new = here.z * np.exp(turn)
        bad = ~((new > low[on]) & (new < high[on]))
        if step >= _NEWTON_STEPS:
            bad |= step % 2 == 0
        middle = np.where(
            high[on] < 2.0 * low[on],
            0.5 * (low[on] + high[on]),
            np.sqrt(np.maximum(low[on], 1e-300)) * np.sqrt(high[on]),
        )
        new = np.where(bad, middle, new)
        stuck = ~((new > low[on]) & (new < high[on])) & ~done
        low[on[done]] = high[on[done]] = z[on[done]]
        go = ~done & ~stuck
        z[on[go]] = new[go]
        on = on[go]
        if not on.size:
            break
    return low, high, _Sums(*kept)


def _about_to_be_dropped(law: _Law, budget: float, low: float) -> _Sums:
    """Return the sums where the last outcome kept has ``v = w`` below the last digit of one, for the w that spends.

    Above order 2 such an outcome has mass that counts; ``v`` of the others is ``1 - gap (1 - w)/g``, g its gap.
    """
    v = law.v(np.array([low]))[0]
    g = float(law.gap[v > 0.0].max())

    def at(log_w: float) -> _Sums:
        w = math.exp(log_w)
        rest = np.where(law.gap <= g, (g - law.gap + w * law.gap) / g, 0.0)
        last = np.where(law.gap == g, math.exp(log_w / (law.alpha - 1.0)), 0.0)
        return law.sums(np.array([(1.0 - w) / g]), rest[None], last[None])

    most, least = 0.0, _LEAST_LOG  # what is spent falls with w
    while (middle := 0.5 * (least + most)) not in (least, most):
        most, least = (most, middle) if at(middle).spent > budget else (middle, least)
    return at(most)
