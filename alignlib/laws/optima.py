"""The best policies of a finite law for a budget in any f-divergence, each with its dual as a certificate.

For ``max E_φ r`` within ``D_f(φ‖p) <= Δ`` the optimum is ``φ = p (f')⁻¹(s)`` with prices ``s = λ(r - ν)``: ν makes it
sum to one and λ spends the budget. Any λ and ν bound the optimum from above by ``ν + Δ/λ + E_p f*(s)/λ``. Of many
outcomes, both are found on a histogram of the reward first, and take three or four steps more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import TOTAL_VARIATION, Divergence
from alignlib.laws.moved_mass import moved_mass
from alignlib.laws.roots import rising_root, roots_in_order

__all__ = ["optima"]

_CERTIFICATE = 1e-12
_FURTHEST = 1e280
_MANY = 1 << 14  # outcomes from which on a histogram pays
_BINS = 1 << 12
_STEPS = 8
_NUDGE = 1e-5
_MET = 1e-14
_SETTLED, _ROUNDED = 1e-15, 1e-13  # of sum and budget; the latter where no step makes them smaller
_LEAST, _MOST = 1e-10, 1e3  # means of f that Newton is tried for
_NEWTON_STEPS = 30
_NEAR = 600.0  # of log λ


@dataclass(frozen=True, eq=False)
class _Policy(SameFields):
    """The optimum at one λ: the top reward's price and its place, ``φ/p`` of every outcome, and its ``E_p f``."""

    place: float
    top_price: float
    ratio: FloatArray
    spent: float


def optima(
    reward: FloatArray, prob: FloatArray, budgets: FloatArray, divergence: Divergence
) -> tuple[FloatArray, FloatArray]:
    """Return the largest gain for each budget, and the λ, the inverse of the frontier's slope, that attains it.

    Parameters
    ----------
    reward : array (k,)
        Rewards; two of them differ.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        Budgets >= 0, in the units of ``divergence``.
    divergence : Divergence
        What the budget is measured in.

    Raises
    ------
    InputError
        If the divergence is neither strictly convex nor total variation.
    ArithmeticError
        If primal and dual differ by more than 1e-12 of the range of the reward.

    Examples
    --------
    >>> from alignlib.divergences import REVERSE_KL
    >>> gain, lam = optima(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.1]), REVERSE_KL)
    >>> round(float(gain[0]), 6)
    0.212879

    Source: convex duality for f-divergences (Ben-Tal and Teboulle 2007), with a linear objective.
    """
    if divergence == TOTAL_VARIATION:
        return moved_mass(reward, prob, budgets)
    _require_strictly_convex(divergence)
    gap = reward.max() - reward
    scale = float(gap.max())
    if scale == 0.0:
        return np.zeros_like(budgets), np.where(budgets > 0, math.inf, 0.0)
    solver = _Solver.of(gap, prob, divergence)
    with np.errstate(divide="ignore"):
        most = divergence.of_log_ratio(np.log(np.where(gap == 0.0, solver.largest, 0.0)), prob)
    means = divergence.mean_of(budgets)
    lam = np.asarray(
        roots_in_order(budgets, most, lambda budget, guess: solver.lam_at(_mean(divergence, budget), guess))
    )
    gain = np.empty_like(budgets)
    for i, (budget, mean, value) in enumerate(zip(budgets.tolist(), means.tolist(), lam.tolist(), strict=True)):
        if value in (0.0, math.inf):
            gain[i] = 0.0 if value == 0.0 else prob @ gap
            continue
        policy = solver.at(value)
        gain[i] = primal = float(prob @ ((1.0 - policy.ratio) * gap))
        conjugate = divergence.conjugate(policy.top_price - value * gap)
        dual = float(prob @ gap) + (mean - policy.top_price + float(prob @ conjugate)) / value
        if not abs(dual - primal) <= _CERTIFICATE * scale:
            raise ArithmeticError(
                f"the optimum for {budget:g} of {divergence.name} is not certified: its gain is {primal!r} by the "
                f"policy and {dual!r} by the dual. Do f, slope and ratio_at of the divergence agree?"
            )
    inside = (lam > 0.0) & np.isfinite(lam)
    lam[inside] /= divergence.mean_slope(budgets[inside])
    return gain, lam


def _mean(divergence: Divergence, budget: float) -> float:
    return float(divergence.mean_of(np.asarray(budget)))


def _require_strictly_convex(divergence: Divergence) -> None:
    slopes = divergence.slope(np.array([0.25, 0.5, 1.0, 2.0, 4.0]))
    require(
        bool((np.diff(slopes) > 0.0).all()),
        f"divergence must be strictly convex and differentiable for a frontier in it; the slope of {divergence.name} "
        f"at ratios 1/4, 1/2, 1, 2 and 4 is {', '.join(f'{s:g}' for s in slopes.tolist())}, which does not rise.",
        argument="divergence",
    )


@dataclass(frozen=True, eq=False)
class _Solver(SameFields):
    """Policies of one law by λ, each solved once; ``rough`` is a law of few outcomes much like it."""

    gap: FloatArray  # of each outcome to the top reward
    prob: FloatArray
    divergence: Divergence
    largest: float  # the ratio of the top reward where it has all mass
    rough: _Solver | None = None
    _found: dict[float, _Policy] = field(default_factory=dict)

    @classmethod
    def of(cls, gap: FloatArray, prob: FloatArray, divergence: Divergence) -> _Solver:
        rough = None
        if gap.size > _MANY:
            place = np.minimum((gap * (_BINS / gap.max())).astype(np.int64), _BINS - 1)
            mass = np.bincount(place, prob, _BINS)
            held = mass > 0.0
            middle = np.bincount(place, prob * gap, _BINS)[held] / mass[held]
            rough = cls.of(middle - middle.min(), mass[held] / mass.sum(), divergence)
        return cls(gap, prob, divergence, 1.0 / float(prob[gap == 0.0].sum()), rough)

    def at(self, lam: float) -> _Policy:
        """The optimum at λ."""
        if lam not in self._found:
            if self.rough is not None and len(self._found) > 4:
                self._found.clear()  # many outcomes: few are kept
            fall = lam * self.gap
            place = self._place_of_top(lam, fall)
            ratio = self._ratio(place, fall)
            ratio = ratio / float(self.prob @ ratio)
            with np.errstate(divide="ignore"):
                spent = float(self.prob @ self.divergence.f_of_log(np.log(ratio)))
            self._found[lam] = _Policy(place, self._price(place), ratio, spent)
        return self._found[lam]

    def lam_at(self, mean: float, guess: float) -> float:
        """The λ whose policy has ``E_p f = mean``."""
        scale = float(self.gap.max())
        if self.rough is not None and (lam := self._by_chords(mean, guess, self.rough)) is not None:
            return lam
        if self.rough is None and (lam := self._by_newton(mean)) is not None:
            return lam
        if self.at(_FURTHEST / scale).spent <= mean:  # the last digit of the gain is reached before
            return math.inf
        return rising_root(lambda lam: self.at(lam).spent, mean, guess or 1.0 / scale)

    def _by_newton(self, mean: float) -> float | None:
        """Newton for the top's price and ``log λ`` together, from the quadratic start; None where it does not settle.

        A pass over the outcomes for each step, where a root within a root takes a hundred. What it finds is kept.
        """
        if not _LEAST < mean < _MOST:
            return None
        end = self.divergence.slope_at_infinity
        base = float(self.prob @ self.gap)
        spread = math.sqrt(float(self.prob @ np.square(self.gap - base)))
        with np.errstate(all="ignore"):
            log_lam = math.log(math.sqrt(2.0 * mean / float(self.divergence.response(np.ones(1))[0])) / spread)
            price = min(math.exp(log_lam) * base, 0.5 * end)
            place, last = -math.log(end - price) if self._ends else price, math.inf
            for _ in range(_NEWTON_STEPS):
                lam = math.exp(log_lam)
                fall = lam * self.gap
                ratio = self._ratio(place, fall)
                total = float(self.prob @ ratio)
                spent = float(self.prob @ self.divergence.f_of_log(np.log(ratio)))
                miss = max(abs(total - 1.0), abs(spent / mean - 1.0))
                if miss <= _SETTLED or (miss <= _ROUNDED and miss > 0.25 * last):
                    break
                last = miss
                rise, slope = self.prob * self.divergence.response(ratio), self.divergence.slope(ratio)
                rise = np.where(ratio > 0.0, rise, 0.0)
                slope = np.where(ratio > 0.0, slope, 0.0)
                pace = math.exp(-place) if self._ends else 1.0  # of the price in its place
                a, b = pace * float(rise.sum()), -float(rise @ fall)
                c, d = pace * float(rise @ slope), -float((rise * slope) @ fall)
                whole = a * d - b * c
                if not (math.isfinite(whole) and whole != 0.0):
                    return None
                move = -(d * (total - 1.0) - b * (spent - mean)) / whole
                turn = -(a * (spent - mean) - c * (total - 1.0)) / whole
                longest = max(abs(turn), abs(move) if self._ends else 0.0)
                part = min(1.0, 1.0 / max(longest, 1e-300))
                place, log_lam = place + part * move, log_lam + part * turn
                if not (math.isfinite(place) and max(abs(log_lam), abs(place)) < _NEAR):
                    return None
            else:
                return None
        self._found[lam] = _Policy(place, self._price(place), ratio / total, spent)
        return lam

    def _by_chords(self, mean: float, guess: float, rough: _Solver) -> float | None:
        """Steps with the slope of ``log spent`` in ``log λ`` that the histogram has; None where they do not settle."""
        try:
            lam = rough.lam_at(mean, guess)
            if math.isinf(lam):
                return None
            rise = math.log(rough.at(lam * (1.0 + _NUDGE)).spent / rough.at(lam).spent) / math.log1p(_NUDGE)
        except ArithmeticError:
            return None
        for _ in range(_STEPS):
            miss = math.log(self.at(lam).spent / mean)
            if abs(miss) <= _MET:
                return lam
            if not (rise > 0.0 and abs(miss) < 0.1):
                return None
            lam *= math.exp(-miss / rise)
        return None

    # The top reward's price is looked for by its place: minus the logarithm of the margin that it leaves to the most
    # that a price can be, or where that is infinite, the price itself.
    @property
    def _ends(self) -> bool:
        return math.isfinite(self.divergence.slope_at_infinity)

    def _price(self, place: float) -> float:
        return self.divergence.slope_at_infinity - math.exp(-place) if self._ends else place

    def _ratio(self, place: float, fall: FloatArray) -> FloatArray:
        return (
            self.divergence.ratio_within(math.exp(-place) + fall)
            if self._ends
            else self.divergence.ratio_at(place - fall)
        )

    def _excess(self, place: float, fall: FloatArray) -> float:
        return float(self.prob @ self._ratio(place, fall)) - 1.0

    def _place_of_top(self, lam: float, fall: FloatArray) -> float:
        """At the price ``f'(1)`` no ratio exceeds one, at ``f'(1/P_top)`` the top has all mass."""
        ends = np.array([1.0, self.largest])
        low, high = (-np.log(self.divergence.margin(ends)) if self._ends else self.divergence.slope(ends)).tolist()
        if self.rough is not None and (place := self._by_chords_to_one(lam, fall, self.rough, low, high)) is not None:
            return place
        if not low < high or self._excess(low, fall) >= 0.0:
            return float(low)
        # The ratio at the highest price may lose the last digit of one; no more is needed.
        if self._excess(high, fall) <= 0.0:
            return float(high)
        step = 1.0
        while low + step < high and self._excess(low + step, fall) < 0.0:  # the highest price may lie far off
            low, step = low + step, 4.0 * step
        high = min(high, low + step)
        found = scipy.optimize.toms748(lambda place: self._excess(place, fall), low, high, xtol=1e-300, rtol=1e-15)
        return float(found)

    def _by_chords_to_one(self, lam: float, fall: FloatArray, rough: _Solver, low: float, high: float) -> float | None:
        place = rough.at(lam).place
        step = _NUDGE * (place - low)
        if not step > 0.0:
            return None
        there = lam * rough.gap
        rise = (rough._excess(place + step, there) - rough._excess(place, there)) / step
        for _ in range(_STEPS):
            miss = self._excess(place, fall)
            if abs(miss) <= _MET:
                return place
            place -= miss / rise if rise > 0.0 else math.nan
            if not low < place < high:
                return None
        return None
