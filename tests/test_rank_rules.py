"""Rules given by a distribution function of a reader's own: checked, differentiated, and exact on laws of any scale."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy

from alignlib import InputError
from alignlib._core.checks import FloatArray
from alignlib.divergences import REVERSE_KL, Divergence
from alignlib.laws import ContinuousLaw, Exponential, FiniteLaw, Gaussian, HeavyTailed, Laplace, Uniform
from alignlib.rules import BestOfN, BestOfPoisson, RankRule
from alignlib.tables import RewardTable


class Neyman(Divergence):
    """``(t-1)²/t``, infinite at 0."""

    name = "neyman"
    label = "Neyman's chi-squared"
    slope_at_infinity = 1.0

    def f(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray((ratio - 1.0) ** 2 / ratio)

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(1.0 - ratio**-2.0)

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray((1.0 - price) ** -0.5)


@dataclass(frozen=True)
class Given(RankRule):
    """By any function."""

    function: Callable[[Any], Any]
    draw: float = 3.0

    name = "given"
    parameter = "draw"
    symbol = "m"
    start = 0.0

    @property
    def draws(self) -> float:
        return self.draw

    def cdf(self, f: FloatArray) -> FloatArray:
        return np.asarray(self.function(f))


@dataclass(frozen=True)
class SecondOfN(RankRule):
    """The second best of ``n``; it says so in `cdf` only."""

    n: int

    name, parameter, symbol, start = "second of N", "n", "N", 1.0

    @property
    def draws(self) -> float:
        return float(self.n)

    def cdf(self, f: FloatArray) -> FloatArray:
        return np.asarray(self.n * f ** (self.n - 1) - (self.n - 1) * f**self.n)


def test_the_inherited_choice_is_refused_where_the_cdf_says_otherwise() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="choose must be defined for second of N: its cdf at N=4 is not that of the b"):
        SecondOfN(4).choose(np.array([1.0, 2.0, 3.0, 4.0]), rng)
    with pytest.raises(InputError, match="choose must be defined for given"):
        Given(lambda f: f * f).choose(np.array([1.0, 2.0, 3.0]), rng)
    for rule in (BestOfN(1), BestOfN(4), BestOfN(10**6), BestOfPoisson(0.01), BestOfPoisson(3.0), BestOfPoisson(1e5)):
        assert rule.choose(np.array([1.0, 4.0, 3.0]), rng) == 1


@pytest.mark.parametrize("n", [1.9, 2.0, 4.0, 30.0])
def test_a_divergence_that_diverges_is_infinite(n: float) -> None:
    """``∫ 1/(N u^{N-1}) du`` is finite for N < 2 only."""
    exact = 1.0 / (n * (2.0 - n)) - 1.0 if n < 2.0 else math.inf
    assert BestOfN(n).on(Gaussian()).spent(Neyman()) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("power", [0.1, 0.4])
def test_a_density_that_is_singular_at_the_top_has_its_kl(power: float) -> None:
    found = Given(lambda f: 1 - (1 - f) ** power).on(Uniform()).kl
    assert found == pytest.approx(math.log(power) - (power - 1.0) / power, rel=1e-7)


def test_no_divergence_is_negative() -> None:
    for divergence in (Neyman(), REVERSE_KL):
        assert BestOfPoisson(1e-7).on(Gaussian()).spent(divergence) >= 0.0


@pytest.mark.parametrize(
    ("function", "plain"),
    [
        (lambda f: np.abs(f) ** 3, lambda f: f**3),
        (lambda f: np.real(f) ** 3, lambda f: f**3),
        (lambda f: scipy.special.betainc(3, 1, f), lambda f: f**3),
        (lambda f: scipy.special.betainc(1, 3, f), lambda f: 1 - (1 - f) ** 3),
    ],
)
def test_what_does_not_hold_for_complex_numbers_is_differentiated_otherwise(
    function: Callable[[Any], Any], plain: Callable[[Any], Any]
) -> None:
    found, exact = Given(function).on(Gaussian()), Given(plain).on(Gaussian())
    assert found.gain == pytest.approx(exact.gain, rel=1e-8)
    assert found.kl == pytest.approx(exact.kl, rel=1e-8)
    law = FiniteLaw([0.0, 1.0, 3.0], [0.2, 0.3, 0.5])
    assert Given(function).on(law).gain == pytest.approx(Given(plain).on(law).gain, rel=1e-9)


def test_worst_of_three_mirrors_best_of_three() -> None:
    worst, best = Given(lambda f: 1 - (1 - f) ** 3).on(Gaussian()), BestOfN(3).on(Gaussian())
    assert (worst.gain, worst.kl) == (pytest.approx(-best.gain, rel=1e-9), pytest.approx(best.kl, rel=1e-9))


def test_a_kink_is_no_fault() -> None:
    rule = Given(lambda f: np.interp(f, [0.0, 0.3, 1.0], [0.0, 0.1, 1.0]))
    low, high = 0.1 / 0.3, 0.9 / 0.7
    assert rule.on(Uniform()).kl == pytest.approx(0.1 * math.log(low) + 0.9 * math.log(high), rel=1e-2)
    assert rule.on(Uniform()).gain == pytest.approx(0.1 * 0.15 + 0.9 * 0.65 - 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda f: f**2 + 0.1, "must be 0 at F = 0 and 1 at F = 1; got 0.1 and 1.1"),
        (lambda f: f / 2, "got 0 and 0.5"),
        (lambda f: f + 0.3 * np.sin(4 * np.pi * f), "must not fall; between"),
        (lambda f: np.log(f - 1.0), "got nan"),
        (lambda f: 0.5, "shape"),
        (lambda f: [0.0, 1.0], "shape"),
        (lambda f: f + "x", "must take an array"),
    ],
)
def test_what_is_no_distribution_function_is_refused(function: Callable[[Any], Any], said: str) -> None:
    rule = Given(function)
    with np.errstate(all="ignore"):
        for law in (Gaussian(), FiniteLaw([0.0, 1.0])):
            with pytest.raises(InputError, match=f"cdf of given.*{said}"):
                rule.on(law)


def test_a_density_of_another_rule_is_refused() -> None:
    class Wrong(Given):
        def log_density(self, f: FloatArray) -> FloatArray:
            return np.log(2.0 * f)

    with pytest.raises(InputError, match="log_density of given must be"):
        Wrong(lambda f: f**3).on(Gaussian())


@pytest.mark.parametrize("rule", [BestOfN(4), BestOfN(2.5), BestOfPoisson(3.0), Given(lambda f: f**2)])
@pytest.mark.parametrize("make", [lambda m, s: Gaussian(m, s), lambda m, s: Laplace(s, m)])
def test_gains_know_neither_offset_nor_scale(rule: RankRule, make: Callable[[float, float], ContinuousLaw]) -> None:
    unit = rule.on(make(0.0, 1.0)).gain
    for offset, scale in ((0.0, 1e-14), (1e9, 1.0), (-1e15, 1e-3), (0.0, 1e200)):
        assert rule.on(make(offset, scale)).gain == pytest.approx(scale * unit, rel=1e-10, abs=0.0)


@pytest.mark.parametrize("given", [RewardTable.from_arrays(np.ones((2, 3))), [0.0, 1.0], None])
def test_what_is_no_law_is_refused_and_a_table_sent_where_it_belongs(given: Any) -> None:
    for rules in (BestOfN(2), BestOfN.along([2, 4])):
        with pytest.raises(InputError, match=r"law must be a law, .*fit_frontier\(table\)\.share\(rule\)"):
            rules.on(given)


def test_the_base_gains_nothing_and_many_draws_a_finite_gain() -> None:
    assert BestOfN(1).on(Gaussian(1e12)).gain == BestOfPoisson(0.0).on(Laplace(1.0, 1e12)).gain == 0.0
    # E max of n normals: quantile of 1 - 1/n plus about γ over itself
    assert BestOfN(1e300).on(Gaussian()).gain == pytest.approx(37.0471 + np.euler_gamma / 37.0471, rel=1e-4)


@pytest.mark.parametrize("mu", [1e5, 1e12])
def test_poisson_of_many_draws(mu: float) -> None:
    """On an exponential law the best of m draws gains ψ(m+1) + γ - 1, and so does its Poisson mixture but for 1/μ²."""
    exact = math.log(mu) + np.euler_gamma - 1.0
    assert BestOfPoisson(mu).on(Exponential()).gain == pytest.approx(exact + 1.0 / mu, rel=1e-9)


@pytest.mark.parametrize("mu", [1e-9, 1e-6, 9.99e-4, 1.1e-3, 0.2, 3.0])
def test_win_rate_of_poisson_against_its_series(mu: float) -> None:
    series = math.fsum((-mu) ** k / math.factorial(k + 2) for k in range(40))
    assert BestOfPoisson(mu).win_rate_formula() == pytest.approx(1.0 - series, rel=1e-15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rule", [BestOfN(4), BestOfPoisson(3.0)])
def test_there_is_no_gain_over_a_mean_that_is_not(rule: RankRule) -> None:
    for law in (scipy.stats.cauchy(), scipy.stats.pareto(0.8)):
        assert math.isnan(rule.on(HeavyTailed(law)).gain)
    # E max of two Pareto draws of index a: 2 a²/((a-1)(2a-1)), the mean of one a/(a-1)
    assert BestOfN(2).on(HeavyTailed(scipy.stats.pareto(3.0))).gain == pytest.approx(18 / 10 - 3 / 2, rel=1e-8)
