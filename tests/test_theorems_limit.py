"""The boxes of the part on the limit: each is searched for a counterexample, over laws, policies, λ and budgets.

The statements are written out here in plain NumPy, apart from the library, whose frontier is one side of some of them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, PromptAverage, Uniform, bounds, dual_gain
from tests.searching import law, positive, worst_case

SIZE = 4  # outcomes of the searched laws
LAMS = np.geomspace(1e-2, 300.0, 120)


def kl(a: FloatArray, b: FloatArray) -> float:
    held = a > 0
    return float(a[held] @ np.log(a[held] / b[held]))


def tilt(r: FloatArray, p: FloatArray, lam: float) -> FloatArray:
    weight = p * np.exp(lam * (r - r.max()))
    return np.asarray(weight / weight.sum())


def unit(z: FloatArray) -> FloatArray:
    """Rewards with lowest 0 and highest 1."""
    return np.asarray((z - z.min()) / max(np.ptp(z), 1e-12))


def test_thm_optimum() -> None:
    """No policy earns more than the frontier at its own KL; the frontier is attained, concave, of slope 1/λ."""

    def beats_the_limit(z: FloatArray) -> float:
        r, p, phi = unit(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE :])
        return float(phi @ r) - p @ r - float(FiniteLaw(r, p).gain_at_kl(kl(phi, p)))

    assert -1e-3 < worst_case(beats_the_limit, 3 * SIZE, starts=4).excess <= 1e-12  # touched, never crossed

    def slope_outside(z: FloatArray) -> float:
        family, lam = FiniteLaw(unit(z[:SIZE]), law(z[SIZE:-1])), positive(z[-1], 0.05, 20.0)
        low, high = lam, 1.3 * lam
        chord = (family.gain(high) - family.gain(low)) / (family.kl(high) - family.kl(low))
        return float(max(1 / high - chord, chord - 1 / low)) * lam

    assert worst_case(slope_outside, 2 * SIZE + 1, starts=4).excess <= 1e-8


def test_thm_optimum_from_d_max_on() -> None:
    """From -log p(argmax r) on, no more is to be had, and just below it a little less."""
    r, p = np.array([0.0, 0.4, 1.0, 1.0]), np.array([0.4, 0.3, 0.2, 0.1])
    family = FiniteLaw(r, p)
    assert family.max_kl == pytest.approx(-math.log(0.3))
    assert family.gain_at_kl([family.max_kl, 5.0]) == pytest.approx(1.0 - p @ r)
    assert float(family.gain_at_kl(0.9 * family.max_kl)) < 1.0 - p @ r - 1e-3


def test_thm_optimum_where_the_partition_function_ends() -> None:
    """Masses in proportion to e^{-k}(1+k)^{-4}: Λ ends at λ* = 1 with finite D(λ*), beyond which a line of slope 1."""
    zeta3, zeta4 = float(scipy.special.zeta(3)), float(scipy.special.zeta(4))
    k = np.arange(700.0)
    mass = np.exp(-k) / (1 + k) ** 4
    mean, log_partition = zeta3 / zeta4 - 1, math.log(zeta4 / mass.sum())
    spent, budget = mean - log_partition, 2.0
    assert 0 < spent < budget
    line = mean + (budget - spent) - float(k @ mass) / mass.sum()
    gaps = []
    for end in (10, 40, 150, 600):  # a law cut off at `end` has all tilts
        cut = FiniteLaw(k[:end], mass[:end] / mass[:end].sum())
        gaps.append(line - float(cut.gain_at_kl(budget)))
    assert all(0 < b < a for a, b in itertools.pairwise(gaps))
    assert gaps[-1] < 0.1


def test_prop_closeness() -> None:
    """KL(φ‖π_λ) from budget and reward alone; so within ε + λδ of the optimum."""

    def off(z: FloatArray) -> float:
        r, p, phi = unit(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE : 3 * SIZE])
        lam = positive(z[-1], 0.05, 20.0)
        pi = tilt(r, p, lam)
        spent, gain, near = kl(pi, p), float(pi @ r), kl(phi, pi)
        identity = abs(near - (kl(phi, p) - spent - lam * (float(phi @ r) - gain)))
        bound = max(kl(phi, p) - spent, 0.0) + lam * max(gain - float(phi @ r), 0.0)
        return max(identity, near - bound)

    assert worst_case(off, 3 * SIZE + 1).excess <= 1e-11


def test_thm_jeffreys_and_thm_covariance() -> None:
    """Gain = β (KL(π‖p) + KL(p‖π)) = Cov(r, e^{λr}) / E e^{λr}, and the library's gain."""

    def off(z: FloatArray) -> float:
        r, p, lam = unit(z[:SIZE]), law(z[SIZE:-1]), positive(z[-1], 0.05, 20.0)
        pi, w = tilt(r, p, lam), np.exp(lam * r)
        gain = float(pi @ r - p @ r)
        jeffreys = (kl(pi, p) + kl(p, pi)) / lam
        covariance = float(p @ (r * w) - (p @ r) * (p @ w)) / float(p @ w)
        return max(abs(jeffreys - gain), abs(covariance - gain), abs(float(FiniteLaw(r, p).gain(lam)) - gain))

    assert worst_case(off, 2 * SIZE + 1, starts=6).excess <= 1e-12


def test_prop_split_of_the_gain() -> None:
    """The penalty paid is β KL(π‖p), what is left of the gain is β KL(p‖π); which is larger is decided by the law."""
    shares = [float(one.kl(2.0) / one.jeffreys(2.0)) for one in (Bernoulli(0.1), Bernoulli(0.9), Gaussian())]
    assert shares[1] < 0.5 < shares[0]
    assert shares[2] == pytest.approx(0.5)
    q = 0.1 * math.exp(2.0) / (0.9 + 0.1 * math.exp(2.0))
    forward = q * math.log(q / 0.1) + (1 - q) * math.log((1 - q) / 0.9)
    assert shares[0] == pytest.approx(forward / (2.0 * (q - 0.1)))  # 58 %
    assert float(Exponential().kl(0.9) / Exponential().jeffreys(0.9)) == pytest.approx(
        (0.9 / 0.1 + math.log(0.1)) / (0.9 * 9.0)
    )  # 83 %

    def beyond_leading_order(z: FloatArray) -> float:
        """Share of the forward KL against ½ + λ κ₃/(12 κ₂): the remainder is of second order in λ."""
        r, p = unit(z[:SIZE]), law(z[SIZE:])
        centred = r - p @ r
        second, third = float(p @ centred**2), float(p @ centred**3)
        family = FiniteLaw(r, p)
        rest = [
            float(family.kl(lam) / family.jeffreys(lam)) - 0.5 - lam * third / (12 * second) for lam in (0.02, 0.01)
        ]
        return abs(rest[1]) - 0.3 * abs(rest[0]) - 1e-9  # halving λ quarters it

    assert worst_case(beyond_leading_order, 2 * SIZE, starts=4, steps=40, width=0.7).excess <= 0

    def above_the_objective(z: FloatArray) -> float:
        """``E_φ r - β KL(φ‖p)`` rises by β KL(p‖π_λ) at most."""
        r, p, phi = unit(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE : 3 * SIZE])
        lam = positive(z[-1], 0.05, 20.0)
        return float(phi @ r - p @ r) - kl(phi, p) / lam - kl(p, tilt(r, p, lam)) / lam

    assert worst_case(above_the_objective, 3 * SIZE + 1).excess <= 1e-12


def test_prop_split_of_the_gain_takes_every_share() -> None:
    """The share of the forward KL comes near 0 and near 1: no fixed part of the gain's price is seen in it."""
    assert float(Exponential().kl(1 - 1e-9) / Exponential().jeffreys(1 - 1e-9)) > 0.99
    assert float(Bernoulli(0.999).kl(2000.0) / Bernoulli(0.999).jeffreys(2000.0)) < 0.01


@pytest.mark.parametrize("bound", ["Hoeffding", "Bennett", "two points", "sub-Gaussian", "sub-gamma"])
def test_thm_relaxations(bound: str) -> None:
    """No law that satisfies a bound's condition has a frontier above it."""

    def above(z: FloatArray) -> float:
        r, p, budget = unit(z[:SIZE]), law(z[SIZE:-1]), positive(z[-1], 1e-3, 5.0)
        family = FiniteLaw(r, p)
        mean, sd = family.base_reward, math.sqrt(float(family.variance(0.0)))
        if bound == "Hoeffding":
            most = bounds.hoeffding(budget, 0.0, 1.0)
        elif bound == "Bennett":
            most = bounds.bennett(budget, sd, 1.0 - mean)
        elif bound == "two points":
            most = bounds.two_point(budget, mean)
        elif bound == "sub-Gaussian":  # with the smallest constant that satisfies the condition, to one in a thousand
            rest = np.log(np.exp(LAMS[:, None] * (r - mean)) @ p)
            most = bounds.sub_gaussian(budget, 1.001 * math.sqrt(float((2 * rest / LAMS**2).max())))
        else:  # Bernstein: a reward at most 1 above its mean is sub-gamma with c = 1/3
            most = bounds.sub_gamma(budget, sd, 1 / 3)
        return float(family.gain_at_kl(budget)) - float(most)

    worst = worst_case(above, 2 * SIZE + 1, starts=3, steps=50, width=1.0).excess
    assert worst <= 1e-12
    if bound == "two points":
        assert worst > -1e-2  # attained by 0/1 rewards, which the search comes near


def test_thm_relaxations_equalities() -> None:
    budgets = np.geomspace(1e-3, 3.0, 7)
    np.testing.assert_allclose(Gaussian(sd=1.7).gain_at_kl(budgets), 1.7 * np.sqrt(2 * budgets), rtol=1e-12)
    np.testing.assert_allclose(bounds.two_point(budgets, 0.3), Bernoulli(0.3).gain_at_kl(budgets), rtol=1e-9)
    assert (dual_gain(Exponential(), budgets) > np.sqrt(2 * budgets)).all()  # so √KL with the base's σ is no bound
    assert (dual_gain(Uniform(), budgets) < np.sqrt(2 * budgets / 12)).all()


def test_thm_two_budgets() -> None:
    """Two prompts: a budget split between them in any way, evenly too, never earns more than one λ for both."""

    def above(z: FloatArray) -> float:
        one, two = (
            FiniteLaw(positive(z[-1 - i], 0.2, 5.0) * unit(z[8 * i : 8 * i + 4]), law(z[8 * i + 4 : 8 * i + 8]))
            for i in range(2)
        )
        budget, share = positive(z[16], 1e-3, 1.0), 1 / (1 + math.exp(-z[17]))
        both = PromptAverage([one, two])
        split = (float(one.gain_at_kl(2 * share * budget)) + float(two.gain_at_kl(2 * (1 - share) * budget))) / 2
        limit = float(both.gain_at_kl(budget))
        return max(split - limit, float(both.gain_on_every_prompt(budget)) - limit)

    assert -1e-3 < worst_case(above, 20, starts=3, steps=40).excess <= 1e-11


def test_thm_two_budgets_is_lost_only_where_the_prices_differ() -> None:
    """Equal λ at the same budget: nothing is lost. Gaussian scales: the share kept is E σ / √E σ²."""
    base = FiniteLaw([0.0, 0.3, 1.0], [0.5, 0.3, 0.2])
    shifted = FiniteLaw([7.0, 7.3, 8.0], [0.5, 0.3, 0.2])
    both = PromptAverage([base, shifted])
    assert both.gain_on_every_prompt(0.4) == pytest.approx(both.gain_at_kl(0.4), rel=1e-10)
    mixed = PromptAverage([Gaussian(sd=s) for s in (0.5, 1.0, 3.0)])
    kept = float(mixed.gain_on_every_prompt(0.7)) / float(mixed.gain_at_kl(0.7))
    assert kept == pytest.approx(1.5 / math.sqrt((0.25 + 1 + 9) / 3), rel=1e-9)


def test_prop_log_n() -> None:
    """Weights on n samples are at most log n nats from equal ones, however large λ is."""

    def above(z: FloatArray) -> float:
        n = z.size - 1
        weight = tilt(z[:n], np.full(n, 1 / n), positive(z[-1], 0.01, 1e3))
        return kl(weight, np.full(n, 1 / n)) - math.log(n)

    assert -1e-6 < worst_case(above, 7).excess <= 1e-12


@pytest.mark.parametrize("n", [2, 4, 6])
def test_thm_samples_needed(n: int) -> None:
    """Both halves, with the law of the weighted mean by enumeration of all samples."""
    draws = np.array(list(itertools.product(range(3), repeat=n)))

    def beyond(z: FloatArray) -> float:
        p, lam = law(z[:3]), positive(z[6], 0.1, 30.0)
        pi = tilt(unit(z[3:6]), p, lam)
        ratio, spent = pi / p, kl(pi, p)
        chance, mean_ratio = p[draws].prod(axis=1), ratio[draws].mean(axis=1)
        t, found, values = spent - math.log(n), [], z[3:6]
        if t > 0:  # too few samples: the weights sum to 1 - δ only rarely
            rare = float(pi[np.log(ratio) <= spent - t / 2].sum())
            for delta in (0.2, 0.5):
                left = float(chance[mean_ratio >= 1 - delta].sum())
                found.append(left - math.exp(-t / 2) - rare / (1 - delta))
        else:
            error = float(chance @ np.abs((ratio * values)[draws].mean(axis=1) - pi @ values))
            missed = float(pi[np.log(ratio) > spent - t / 2].sum())
            found.append(error - math.sqrt(pi @ values**2) * (math.exp(t / 4) + 2 * math.sqrt(missed)))
        return max(found)

    assert worst_case(beyond, 7, starts=4, steps=60).excess <= 1e-12
