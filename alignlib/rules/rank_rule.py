"""Rules that see the ranks of the rewards only, given by the distribution function of the kept response's rank.

Its density follows from that function alone, and both are checked on a grid.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib.divergences import KL, Divergence, Renyi, as_divergence
from alignlib.laws import ContinuousLaw, Levels
from alignlib.rules.on_law import OnContinuous, OnLaw
from alignlib.rules.order_weights import jackknifed_weights
from alignlib.rules.rule import Rule
from alignlib.rules.samples import Prepared, PromptValues

__all__ = ["RankRule", "by_complex_step", "by_differences", "check_cdf", "is_density"]

_CERTIFICATE = 1e-9
_CANCELS = 0.01  # a level across which G changes by a smaller share is integrated instead of subtracted
_CHOICES = 4000  # of a random number of draws, to compare with a distribution function
_MOST_DRAWS = 1e6  # of rules whose density is compared with its distribution function
_UNCONVERGED = 1e-7  # of an integral: past it no digits are claimed
_DECAYS = 0.01  # of an integrand over [0, 1], by the logarithm of the distance to an end: slower is divergent
_FAR = -60.0  # e^-60 of the mass: what is left beyond cannot be seen next to the integral
_Function = Callable[[FloatArray], FloatArray]

_COMPLEX_STEP = 1e-30
_REAL_STEP = 1e-3  # of the smaller of u and 1/draws: the five-point formula errs by its fourth power
_TINY = 1e-280
_ROUNDING = 1e-9
_AGREES = 1e-7
_MOST_KINKS = 4  # a cell with a kink of G is integrated badly; a density that is wrong is wrong in most


class RankRule(Rule):
    """A rule that sees ranks only, given by `cdf`: the kept response's rank has distribution function ``G(F)``.

    A subclass defines `cdf`, `draws`, and `number_of_draws` where that is random; `choose` too, unless it keeps the
    best of its draws, as is checked before the first choice. The defaults below are accurate for smooth ``G`` where it
    does not underflow; where more is known, override. `cdf` and `log_density` are compared on a grid before their first
    use.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> isinstance(BestOfN(2), RankRule), BestOfN(2).cdf(np.array([0.5])).tolist()
    (True, [0.25])
    """

    @abstractmethod
    def cdf(self, f: FloatArray) -> FloatArray:
        """``G(F)``, the distribution function of the kept response's rank: ``G(0) = 0``, ``G(1) = 1``, nowhere falling.

        Where it also is arithmetic that holds for complex numbers (powers, ``exp``, no ``abs``, no interpolation),
        `log_density` is exact; else it is taken from differences, about ten digits where ``G`` is smooth and four
        across its kinks.

        Parameters
        ----------
        f : array
            Base masses F in [0, 1] at or below a response's reward.

        Returns
        -------
        array
            Of the same shape.
        """

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """The best, ties broken at random; refused where `cdf` says that something else is kept."""
        rewards = as_vector("rewards", rewards)
        require(
            self._keeps_best,
            f"choose must be defined for {self.name}: its cdf at {self.label} is not that of the best of its draws, "
            "which the inherited choose keeps. Return the place of the reward that is kept.",
            "choose",
        )
        return int(rng.choice(np.flatnonzero(rewards == np.max(rewards))))

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log G'(F)``; by default from a complex step where that agrees with `cdf`, else from differences.

        Parameters
        ----------
        f : array
            Base masses F in [0, 1] at or below a response's reward.
        """
        if self._holds_for_complex:
            return by_complex_step(self.cdf, f)
        return by_differences(self.cdf, f, self.draws)

    def log_density_below_top(self, tail: FloatArray) -> FloatArray:
        """``log G'(1 - tail)``; overridden where that is known to more digits than 1 - tail has.

        Parameters
        ----------
        tail : array
            Base masses above a response's reward, ``1 - F``.
        """
        return self.log_density(1.0 - tail)

    @cached_property
    def _holds_for_complex(self) -> bool:
        """Whether a complex step into `cdf` gives its derivative."""
        return is_density(lambda f: by_complex_step(self.cdf, f), self.cdf, self.draws)

    @cached_property
    def _keeps_best(self) -> bool:
        """Whether `cdf` is the mean of ``F^M`` over the number M of draws, seen where that is neither 0 nor 1."""
        f = np.exp(-np.array([0.1, 0.5, 1.0, 2.0, 4.0]) / self.draws)
        kept = self.cdf(f)
        if type(self).number_of_draws is Rule.number_of_draws:
            return bool(np.allclose(kept, f**self.draws, rtol=1e-6, atol=1e-9))
        rng = np.random.default_rng(0)
        powers = f ** np.array([[self.number_of_draws(rng)] for _ in range(_CHOICES)])
        error = powers.std(axis=0) / math.sqrt(_CHOICES)
        return bool((np.abs(powers.mean(axis=0) - kept) <= 5.0 * error + 1e-6).all())

    @cached_property
    def _checked(self) -> bool:
        """True; the first time, `cdf` is looked at, and `log_density` where the grid can resolve it."""
        check_cdf(self.cdf, self.name, self.draws)
        if self.draws <= _MOST_DRAWS:
            require(
                is_density(self.log_density, self.cdf, self.draws),
                f"log_density of {self.name} must be the logarithm of the derivative of its cdf at {self.label}; its "
                "integrals differ from the rises of cdf. Correct it, or leave it to the default.",
                "log_density",
            )
        return True

    # ------------------------------------------------------------------ exact
    def log_ratio(self, levels: Levels) -> FloatArray:
        """``log [G(F_i) - G(F_{i-1})] / P_i``; the mean density over a level where the difference would cancel."""
        assert self._checked
        upto = np.minimum(levels.below + levels.mass, 1.0)
        top = self.cdf(upto)
        rise = top - self.cdf(levels.below)
        small = rise < _CANCELS * top
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.log(rise / levels.mass)
            if small.any():
                half = levels.mass[small, None] / 2
                nodes, weights = _nodes_and_weights()
                inside = np.exp(self.log_density(levels.below[small, None] + half * (1.0 + nodes)))
                out[small] = np.log(inside @ weights / 2)
        total = float(levels.mass @ np.exp(out))
        if not abs(total - 1.0) <= _CERTIFICATE:
            raise ArithmeticError(f"{self.name} lost accuracy: its law sums to {total!r} at {self.label}.")
        return out

    def cdf_below_top(self, levels: Levels) -> FloatArray:
        """``G(F_i)`` of every level but the highest.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Returns
        -------
        array (levels - 1,)
            Policy mass at or below each of them.
        """
        return self.cdf((levels.below + levels.mass)[:-1])

    def cdf_slope(self, levels: Levels) -> FloatArray | None:
        """Its derivative in the parameter, where known in closed form *and* as a sum of exponentials in it; else None.

        Then a path of the rule turns no more often than what it is applied to, and thresholds along it are certified.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Returns
        -------
        array (levels - 1,) or None
            ``dG(F_i)`` over that of the parameter, of every level but the highest.
        """
        return None

    def _on_continuous(self, law: ContinuousLaw) -> OnLaw:
        assert self._checked
        return OnContinuous(self, law)

    def spent_formula(self, divergence: Divergence = KL) -> float:
        """``∫ f(g(u)) du`` with ``g = G'``: what it spends without ties, ``inf`` where that diverges.

        With ties it spends no more. A divergence that is a function of that integral is that function of it.
        """
        divergence = as_divergence(divergence)

        def value(log_density: FloatArray) -> float:
            with np.errstate(over="ignore", divide="ignore"):
                return float(divergence.f_of_log(np.asarray(log_density)))

        def low(u: FloatArray) -> float:
            return value(self.log_density(u))

        def high(tail: FloatArray) -> float:
            return value(self.log_density_below_top(tail))

        # 1 minus less than the nearest is 1; by differences a density is noise some way before.
        far, nearest = (1e-7, max(1e-14, 1e-15 * self.draws)) if self._holds_for_complex else (1e-4, 1e-8)
        near_top = _diverges(high, far / self.draws, nearest / self.draws)
        if near_top or _diverges(low, math.exp(_FAR / 2), math.exp(_FAR)):
            return math.inf
        return float(divergence.of_mean(np.asarray(max(self._integral(low, high), 0.0))))

    def win_rate_formula(self) -> float:
        """``1 - ∫ G(u) du``: the win rate over one base draw without ties."""
        return 1.0 - self._integral(lambda u: float(self.cdf(u)), lambda tail: float(self.cdf(1.0 - tail)))

    def _integral(self, low: Callable[[FloatArray], float], high: Callable[[FloatArray], float]) -> float:
        """``∫ low(u) du`` over the lower half of [0, 1] plus ``∫ high(1 - u) du`` over the upper one."""
        many = self.draws - 1.0  # then all of it happens near u = 1
        points = [30.0 / many] if many > 60.0 else None
        options: Any = {"epsabs": 0.0, "epsrel": 1e-12, "limit": 400, "full_output": 1}
        halves = [
            scipy.integrate.quad(lambda u: high(np.asarray(u)), 0.0, 0.5, points=points, **options),
            scipy.integrate.quad(lambda u: low(np.asarray(u)), 0.0, 0.5, **options),
        ]
        found, error = (float(sum(half[k] for half in halves)) for k in (0, 1))
        if not error <= _UNCONVERGED * max(abs(found), _UNCONVERGED):
            raise ArithmeticError(
                f"An integral of {self.name} did not converge at {self.label}: {found:g} ± {error:.1g}."
            )
        return found

    def gain_on(self, law: ContinuousLaw) -> float:
        """``∫ Q(u) dG(u)`` minus the mean, on a law without atoms and with quantile function Q.

        Parameters
        ----------
        law : ContinuousLaw
            The base law, with quantile function Q.

        Raises
        ------
        ArithmeticError
            If the integral did not converge; the message carries its error.
        """

        if self.is_base:
            return 0.0
        scale = spread(law)

        # Each half in the logarithm of its own tail's mass, so that both tails keep their digits.
        def upper(log_tail: float) -> float:
            tail = math.exp(log_tail)
            above = float(law.deviation(tail, upper=True)) / scale
            return above * math.exp(float(self.log_density_below_top(np.asarray(tail))) + log_tail)

        def lower(log_mass: float) -> float:
            mass = math.exp(log_mass)
            above = float(law.deviation(mass)) / scale
            return above * math.exp(float(self.log_density(np.asarray(mass))) + log_mass)

        options: Any = {"epsabs": 1e-14, "epsrel": 1e-11, "limit": 300, "full_output": 1}
        halves = [scipy.integrate.quad(f, _FAR, math.log(0.5), **options) for f in (upper, lower)]
        found, error = (float(sum(half[k] for half in halves)) for k in (0, 1))
        if error > _UNCONVERGED * max(abs(found), 1.0):
            raise ArithmeticError(f"The gain of {self.name} did not converge at {self.label}: {found:g} ± {error:.1g}.")
        return scale * found

    # ------------------------------------------------------------------ from samples
    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate spending, mean and win rate on each prompt: by formulas without ties, else by jackknifed sums."""
        assert self._checked
        without_ties, wins_without = _by_formula(self, divergence)
        spent = np.full(len(samples.values), without_ties)
        wins = np.full(len(samples.values), wins_without)
        off: FloatArray | None = None
        if samples.tied.any():
            found = samples.levels.spent(self.cdf, divergence)
            spent[samples.tied] = found
            wins[samples.tied] = self.wins_with_ties(samples)
            if isinstance(divergence, Renyi):  # powers: what the jackknife takes away may be more than there is
                off = np.zeros(len(spent))
                off[samples.tied] = np.abs(
                    samples.levels.spent_off(self.cdf, divergence)
                )  # of signs that cancel by chance
        return PromptValues(spent, self.mean_kept(samples), wins, off)

    def wins_with_ties(self, samples: Prepared) -> FloatArray:
        """Win rate over a base draw on each prompt with ties, shape (tied prompts,): the jackknifed sum over levels.

        Parameters
        ----------
        samples : Prepared
            Samples of prompts, sorted; those with ties have their levels in it.
        """
        return samples.levels.win_rate(self.cdf)

    def mean_kept(self, samples: Prepared) -> FloatArray:
        """Mean value of what it keeps on each prompt, shape (prompts,): the jackknifed V-statistic.

        Parameters
        ----------
        samples : Prepared
            Samples of prompts, sorted by what picks, with the values that count.
        """
        return np.asarray(samples.values @ jackknifed_weights(samples.values.shape[1], self.cdf))


def spread(law: ContinuousLaw) -> float:
    """Distance between the quartiles: a scale that every law without atoms has.

    Parameters
    ----------
    law : ContinuousLaw
        A law without atoms.

    Returns
    -------
    float
        In the unit of the reward.
    """
    return float(law.deviation(0.25, upper=True) - law.deviation(0.25))


def _diverges(value: Callable[[FloatArray], float], far: float, near: float) -> bool:
    """Whether ``∫ value(u) du`` is infinite at u = 0, as its growth between two places tells."""
    if far < 100.0 * near:
        return False
    found = [value(np.asarray(place)) for place in (far, near)]
    if math.isinf(max(found)):
        return True
    return min(found) > 0.0 and math.log(found[1] / found[0]) >= (1.0 - _DECAYS) * math.log(far / near)


@lru_cache(maxsize=512)
def _by_formula(rule: RankRule, divergence: Divergence) -> tuple[float, float]:
    """Return what a rule spends and how often it wins without ties; integrals, asked for again on every block."""
    return rule.spent_formula(divergence), rule.win_rate_formula()


def check_cdf(cdf: _Function, name: str, draws: float) -> None:
    """Refuse what is no distribution function on [0, 1]: ``G(0) = 0``, ``G(1) = 1``, nowhere falling.

    Parameters
    ----------
    cdf : callable
        From an array of F in [0, 1] to ``G(F)``.
    name : str
        The rule, for messages.
    draws : float
        Its mean number of draws, by which the grid is chosen.

    Raises
    ------
    InputError
        Naming the rule and the first property that fails.
    """
    u = _grid(draws)
    try:
        g = np.asarray(cdf(u), dtype=np.float64)
    except (TypeError, ValueError) as error:
        require(False, f"cdf of {name} must take an array of F in [0, 1]; it raised {error!s:.80}", "cdf")
    require(g.shape == u.shape, f"cdf of {name} must return an array of the shape of F; got {g.shape}.", "cdf")
    ends = f"cdf of {name} must be 0 at F = 0 and 1 at F = 1; got {g[0]:g} and {g[-1]:g}. Correct it."
    require(abs(g[0]) <= _ROUNDING and abs(g[-1] - 1.0) <= _ROUNDING, ends, "cdf")
    steps = np.diff(g)
    at = int(np.argmin(steps))
    falls = (
        f"cdf of {name} must not fall; between F = {u[at]:g} and {u[at + 1]:g} it changes by {steps[at]:g}. Correct it."
    )
    require(bool((steps >= -_ROUNDING).all()), falls, "cdf")


def is_density(log_density: _Function, cdf: _Function, draws: float) -> bool:
    """Tell whether a density integrates to the differences of a distribution function, but for a few kinks.

    Parameters
    ----------
    log_density : callable
        From an array of F to ``log G'(F)``.
    cdf : callable
        From an array of F to ``G(F)``.
    draws : float
        Mean number of draws, by which the grid is chosen.
    """
    u = _grid(draws)
    half = np.diff(u)[:, None] / 2
    try:
        with np.errstate(all="ignore"):
            nodes, weights = _nodes_and_weights()
            inside = np.exp(log_density(u[:-1, None] + half * (1.0 + nodes)))
            found = half[:, 0] * (inside @ weights)
            off = ~(np.abs(found - np.diff(cdf(u))) <= _AGREES)
    except (TypeError, ValueError):  # a cdf that does not take complex numbers
        return False
    return int(off.sum()) <= _MOST_KINKS and bool(np.isfinite(found).all())


def by_complex_step(cdf: _Function, f: FloatArray) -> FloatArray:
    """``log G'`` to full accuracy, where `cdf` is arithmetic that holds for complex numbers.

    Parameters
    ----------
    cdf : callable
        From an array of F to ``G(F)``, complex ones too.
    f : array
        Values of F in [0, 1].
    """
    beside: Any = np.asarray(f) + _COMPLEX_STEP * 1j
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(np.imag(cdf(beside)) / _COMPLEX_STEP, 0.0))


def by_differences(cdf: _Function, f: FloatArray, draws: float) -> FloatArray:
    """``log G'`` from real values of G only, to about ten digits where G is smooth and four across its kinks.

    Parameters
    ----------
    cdf : callable
        From an array of F to ``G(F)``.
    f : array
        Values of F in [0, 1].
    draws : float
        Mean number of draws, by which the step is chosen.

    Examples
    --------
    >>> round(float(np.exp(by_differences(lambda f: f**2, np.array(0.3), 2.0))), 9)
    0.6
    """
    u = np.asarray(f, dtype=np.float64)
    step = np.maximum(_REAL_STEP * np.minimum(u, 1.0 / draws), _TINY)
    down, up = u + 2.0 * step > 1.0, u < 2.0 * step
    sign = np.where(down, -1.0, 1.0)

    def value(k: float, at: FloatArray = sign) -> FloatArray:
        return np.asarray(cdf(np.clip(u + k * at * step, 0.0, 1.0)), dtype=np.float64)

    central = value(-2.0) - 8.0 * value(-1.0) + 8.0 * value(1.0) - value(2.0)
    one_sided = -25.0 * value(0.0) + 48.0 * value(1.0) - 36.0 * value(2.0) + 16.0 * value(3.0) - 3.0 * value(4.0)
    slope = np.where(down | up, one_sided, central) * sign / (12.0 * step)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(slope, 0.0))


@lru_cache(maxsize=1)
def _nodes_and_weights() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(8)  # here: NumPy imports its polynomials when asked
    return np.asarray(nodes), np.asarray(weights)


def _grid(draws: float) -> FloatArray:
    """Places from 0 to 1, close together near both ends as a rule of so many draws needs."""
    near = 0.5 ** np.arange(6.0, 7.0 + max(0.0, np.log2(min(draws, 1e6))))
    points = np.sort(np.concatenate([[0.0, 1.0], np.linspace(0.0, 1.0, 65), near, 1.0 - near]))
    return points[np.diff(points, prepend=-1.0) > 0.0]
