"""The best policies of a finite law for a budget in any f-divergence, each with its dual as a certificate.

For ``max E_φ r`` within ``D_f(φ‖p) <= Δ`` the optimum is ``φ = p (f')⁻¹(s)`` with prices ``s = λ(r - ν)``: ν makes it
sum to one and λ spends the budget. Any λ and ν bound the optimum from above by ``ν + Δ/λ + E_p f*(s)/λ``. Newton finds
both for all budgets together (`joint_newton`); budgets that it does not settle are solved here, one by one. Of many
outcomes, both are found on a histogram of the reward first, and take three or four steps more. In total variation
(`moved_mass`) mass is moved from the worst outcomes to the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib.divergences import HELLINGER, TOTAL_VARIATION, Divergence, Renyi
from alignlib.laws.joint_newton import joint_optima
from alignlib.laws.renyi_optima import LEAST_RENYI, NEAREST_ORDER, renyi_optima
from alignlib.laws.roots import rising_root, roots_in_order

__all__ = ["moved_mass", "optima"]

_CERTIFICATE = 1e-12
_LEAST, _IS_ROOT = 1e-16, 1e-4
_FURTHEST = 1e280
_MANY = 1 << 14  # outcomes from which on a histogram pays
_BINS = 1 << 12
_STEPS = 8
_NUDGE = 1e-5
_MET = 1e-14
_NUDGES = 6
_MOST_OF_IT = 0.999


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

    Returns
    -------
    gain : array (b,)
        The largest gain within each budget.
    lam : array (b,)
        The λ that attains it.

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
    divergence.check_strictly_convex()
    tiny = (budgets > 0.0) & (budgets < _LEAST) & ~_by_powers(budgets, divergence)
    if tiny.any() and (first := _at_least(reward, prob, divergence)) is not None:
        gain, lam = optima(reward, prob, np.where(tiny, 0.0, budgets), divergence)
        share = np.sqrt(budgets[tiny] / _LEAST)
        gain[tiny], lam[tiny] = first[0] * share, first[1] * share
        return gain, lam
    gap = reward.max() - reward
    scale = float(gap.max())
    if scale == 0.0:
        return np.zeros_like(budgets), np.where(budgets > 0, math.inf, 0.0)
    gap /= scale
    with np.errstate(divide="ignore"):
        top = np.log(np.where(gap == 0.0, 1.0 / float(prob[gap == 0.0].sum()), 0.0))
    most, means = divergence.of_log_ratio(top, prob), divergence.mean_of(budgets)
    inside = (budgets > 0.0) & (budgets < most)
    gain, lam = np.where(inside, np.nan, prob @ gap), np.where(inside, np.nan, math.inf)
    gain[budgets == 0.0] = lam[budgets == 0.0] = 0.0
    dual = gain.copy()
    if (power := inside & _by_powers(budgets, divergence)).any():
        gain[power], dual[power], lam[power] = _of_renyi(gap, prob, budgets[power], divergence)
    if (joint := inside & ~power).any():
        found = joint_optima(gap, prob, means[joint], divergence)
        for values, of_found in ((lam, found.lam), (gain, found.gain), (dual, found.dual)):
            values[joint] = of_found
        if (rest := joint & np.isnan(lam)).any():
            lam[rest], gain[rest], dual[rest] = _one_by_one(gap, prob, budgets[rest], divergence)
    for budget, primal, bound in zip(budgets.tolist(), gain.tolist(), dual.tolist(), strict=True):
        if not abs(bound - primal) <= _CERTIFICATE:
            raise ArithmeticError(
                f"the optimum for {budget:g} of {divergence.called} is not certified: its gain is {scale * primal!r} "
                f"by the policy and {scale * bound!r} by the dual. Do f, slope and ratio_at of the divergence agree?"
            )
    held = inside & ~power & np.isfinite(lam)
    lam[held] /= divergence.mean_slope(budgets[held])
    with np.errstate(over="ignore"):  # a λ beyond floats is infinite
        return scale * gain, lam / scale


def _at_least(reward: FloatArray, prob: FloatArray, divergence: Divergence) -> tuple[float, float] | None:
    """Return gain and λ at ``_LEAST``, below which both go as the root of the budget; None where they do not.

    What is spent there is lost in the rounding of ratios near one. The power is ``budget/(λ gain)``, for 1/λ is the
    slope of the gain.
    """
    gain, lam = (float(one[0]) for one in optima(reward, prob, np.array([_LEAST]), divergence))
    is_root = gain > 0.0 and math.isfinite(lam) and abs(_LEAST / (lam * gain) - 0.5) < _IS_ROOT
    return (gain, lam) if is_root else None


def _by_powers(budgets: FloatArray, divergence: Divergence) -> BoolArray:
    """Return which budgets are those of a Rényi divergence that has one unknown; squared Hellinger is order ½."""
    if divergence == HELLINGER:
        return np.asarray(budgets > LEAST_RENYI)
    if isinstance(divergence, Renyi) and abs(divergence.alpha - 1.0) >= NEAREST_ORDER:
        return np.asarray(budgets > LEAST_RENYI)
    return np.zeros(budgets.shape, dtype=np.bool_)


def _of_renyi(
    gap: FloatArray, prob: FloatArray, budgets: FloatArray, divergence: Divergence
) -> tuple[FloatArray, FloatArray, FloatArray]:
    if isinstance(divergence, Renyi):
        return renyi_optima(gap, prob, budgets, divergence.alpha)
    gain, dual, lam = renyi_optima(gap, prob, -2.0 * np.log1p(-budgets), 0.5)
    return gain, dual, 0.5 * (1.0 - budgets) * lam


def _one_by_one(
    gap: FloatArray, prob: FloatArray, budgets: FloatArray, divergence: Divergence
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return λ, gain and dual of budgets that Newton's steps do not settle: by a root within a root."""
    solver = _Solver.of(gap, prob, divergence)
    base = float(prob @ gap)
    lam = roots_in_order(budgets, math.inf, lambda budget, guess: solver.lam_at(_mean(divergence, budget), guess))
    gain, dual = np.full_like(budgets, base), np.full_like(budgets, base)
    for i, (mean, value) in enumerate(zip(divergence.mean_of(budgets).tolist(), lam.tolist(), strict=True)):
        if math.isfinite(value):
            policy = solver.at(value)
            gain[i] = float(prob @ ((1.0 - solver.within(mean, value)) * gap))
            price = policy.top_price - value * gap
            with np.errstate(divide="ignore", invalid="ignore"):
                conjugate = divergence.conjugate(price)
                # A margin below the last digit of the price is gone: the value at the ratio itself, of tiny mass.
                there = price * policy.ratio - divergence.f(policy.ratio)
            conjugate = np.where(np.isfinite(conjugate), conjugate, there)
            dual[i] = base + (mean - policy.top_price + float(prob @ conjugate)) / value
    return np.asarray(lam), gain, dual


def _mean(divergence: Divergence, budget: float) -> float:
    return float(divergence.mean_of(np.asarray(budget)))


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
            ratio = self._summing_to_one(place, fall)
            with np.errstate(divide="ignore"):
                spent = float(self.prob @ self.divergence.f_of_log(np.log(ratio)))
            self._found[lam] = _Policy(place, self._price(place), ratio, spent)
        return self._found[lam]

    def within(self, mean: float, lam: float) -> FloatArray:
        """The ratios of a policy that spends no more than ``mean``, near λ: where rounding leaves a step in what is
        spent, a mixture of the policies on either side of it."""
        policy = self.at(lam)
        side = math.copysign(1.0, mean - policy.spent)
        step = math.ulp(1.0)
        while abs(policy.spent / mean - 1.0) > _MET and step < _NUDGE:
            other = self.at(lam * (1.0 + side * step))
            if side * (other.spent - mean) >= 0.0:
                part = (mean - policy.spent) / (other.spent - policy.spent)
                return np.asarray(policy.ratio + part * (other.ratio - policy.ratio))
            step *= 4.0
        return policy.ratio

    def lam_at(self, mean: float, guess: float) -> float:
        """The λ whose policy has ``E_p f = mean``."""
        scale = float(self.gap.max())
        if self.rough is not None and (lam := self._by_chords(mean, guess, self.rough)) is not None:
            return lam
        if self.at(_FURTHEST / scale).spent <= mean:  # the last digit of the gain is reached before
            return math.inf
        return rising_root(lambda lam: self.at(lam).spent, mean, guess or 1.0 / scale)

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

    def _summing_to_one(self, place: float, fall: FloatArray) -> FloatArray:
        """The ratios at a place that is known to rounding.

        An outcome about to be dropped may answer to the last digit of its price with far more than rounding (above
        order 2 of Rényi's): it takes up what the sum misses, from the side on which it is not yet dropped.
        """
        ratio = self._ratio(place, fall)
        step = math.ulp(place)
        for _ in range(_NUDGES):
            if float(self.prob @ ratio) >= 1.0:
                break
            place, step = place + step, 2.0 * step
            ratio = self._ratio(place, fall)
        with np.errstate(all="ignore"):
            pull = self.prob * self.divergence.response(ratio)
        k = int(np.argmax(np.where(ratio > 0.0, pull, 0.0)))
        if pull[k] > _MOST_OF_IT * float(pull[ratio > 0.0].sum()):
            ratio[k] = max(ratio[k] - (float(self.prob @ ratio) - 1.0) / float(self.prob[k]), 0.0)
        return np.asarray(ratio / float(self.prob @ ratio))

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


def moved_mass(reward: FloatArray, prob: FloatArray, budgets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``∫_0^δ (max r - Q(u)) du`` for each budget δ, Q the reward's quantile function, and 1 over the slope.

    At a threshold q, no policy within δ gains more than ``δ (max r - q) + E_p max(q - r, 0)``; the reward of the last
    outcome from which mass is taken attains it.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Rewards and positive base masses, summing to one.
    budgets : array (b,)
        Masses >= 0 that may be moved; what exceeds the mass below the top reward buys nothing.

    Returns
    -------
    gain : array (b,)
        The largest gain within each budget.
    lam : array (b,)
        One over the slope there.

    Raises
    ------
    ArithmeticError
        If primal and dual differ by more than 1e-12 of the range of the reward.

    Examples
    --------
    >>> gain, lam = moved_mass(np.array([0.0, 1.0, 3.0]), np.array([0.25, 0.5, 0.25]), np.array([0.25, 0.5, 1.0]))
    >>> gain.tolist(), lam.tolist()
    ([0.75, 1.25, 1.75], [0.5, 0.5, inf])
    """
    order = np.argsort(reward)
    gap = reward[order[-1]] - reward[order]  # from the worst on
    upto = np.cumsum(prob[order])
    sold = np.cumsum(prob[order] * gap)
    below = float(prob[reward < reward.max()].sum())
    moved = np.minimum(budgets, below)
    # The slope after a budget: an outcome that is used up is left behind.
    last = np.minimum(np.searchsorted(upto, moved, side="right"), gap.size - 1)
    gain = sold[last] - (upto[last] - moved) * gap[last]
    gain = np.where(budgets >= below, prob @ (reward.max() - reward), gain)
    taken = np.minimum(np.searchsorted(upto, moved, side="left"), gap.size - 1)
    for value, budget, q in zip(gain.tolist(), moved.tolist(), gap[taken].tolist(), strict=True):
        dual = budget * q + float(prob[order] @ np.maximum(gap - q, 0.0))
        if not abs(value - dual) <= _CERTIFICATE * float(gap[0]):
            raise ArithmeticError(f"the most that {budget:g} of moved mass gains is {value!r}, by its dual {dual!r}.")
    slope = np.where(budgets >= below, 0.0, gap[last])
    lam = np.divide(1.0, slope, out=np.full_like(slope, math.inf), where=slope > 0.0)
    return gain, np.where(budgets == 0.0, 0.0, lam)
