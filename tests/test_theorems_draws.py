"""The boxes on coverage and on draws: each is searched for a counterexample, over laws, errors and policies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from alignlib._core.checks import FloatArray
from alignlib.divergences import CHI_SQUARED
from alignlib.laws import FiniteLaw, Levels
from alignlib.lm.composed import PrefixWorld, particle_filter, resampled_once
from alignlib.lm.space import ResponseSpace
from alignlib.rules import (
    BestOfN,
    ChiSquaredPessimism,
    LearntThreshold,
    ThresholdStopping,
    allocate_draws,
    subset_means,
)
from tests.searching import law, positive, worst_case

SIZE = 4


def chi_squared(phi: FloatArray, p: FloatArray) -> float:
    return float(p @ (phi / p - 1.0) ** 2)


def sd(e: FloatArray, p: FloatArray) -> float:
    return math.sqrt(max(float(p @ (e - p @ e) ** 2), 0.0))


def test_thm_guaranteed_gold() -> None:
    """No policy gains less gold than promised, and some gold gives each policy just that."""

    def breaks(z: FloatArray) -> float:
        proxy, e, p, phi = z[:SIZE], z[SIZE : 2 * SIZE], law(z[2 * SIZE : 3 * SIZE]), law(z[3 * SIZE :])
        gold = (phi - p) @ (proxy - e)
        return float((phi - p) @ proxy - sd(e, p) * math.sqrt(chi_squared(phi, p)) - gold)

    assert -1e-3 < worst_case(breaks, 4 * SIZE, starts=3, steps=80).excess <= 1e-10

    def beats_pessimism(z: FloatArray) -> float:
        """A policy with a larger guarantee than every policy on the χ² frontier has."""
        proxy, p, phi, eps = z[:SIZE], law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE : 3 * SIZE]), positive(z[-1], 0.1, 10.0)
        spent = max(chi_squared(phi, p), 1e-9)
        best = float(FiniteLaw(proxy, p).frontier([spent], CHI_SQUARED).gain[0])
        return float((phi - p) @ proxy - eps * math.sqrt(spent) - (best - eps * math.sqrt(spent)))

    assert worst_case(beats_pessimism, 3 * SIZE + 1, starts=2, steps=40).excess <= 1e-9


def test_thm_regret_by_coverage() -> None:
    def breaks(z: FloatArray) -> float:
        proxy, e, p, star = z[:SIZE], z[SIZE : 2 * SIZE], law(z[2 * SIZE : 3 * SIZE]), law(z[3 * SIZE : 4 * SIZE])
        lam, eps, away = positive(z[-1], 0.1, 10.0), sd(e, p), chi_squared(star, p)
        levels = Levels.of(proxy, p)
        phi = p * ChiSquaredPessimism(1, lam).weight(levels)[levels.index]
        regret = float((star - phi) @ (proxy - e))
        general = away / lam + eps * math.sqrt(away) + lam * eps**2 / 4
        return regret - general

    assert worst_case(breaks, 4 * SIZE + 1, starts=3, steps=80).excess <= 1e-9

    def breaks_at_its_best(z: FloatArray) -> float:
        proxy, e, p, star = z[:SIZE], z[SIZE : 2 * SIZE], law(z[2 * SIZE : 3 * SIZE]), law(z[3 * SIZE :])
        eps, away = max(sd(e, p), 1e-6), chi_squared(star, p)
        levels = Levels.of(proxy, p)
        phi = p * ChiSquaredPessimism(1, 2.0 * math.sqrt(away) / eps).weight(levels)[levels.index]
        return float((star - phi) @ (proxy - e)) - 2.0 * eps * math.sqrt(away)

    assert worst_case(breaks_at_its_best, 4 * SIZE, starts=3, steps=80).excess <= 1e-9


def test_prop_best_of_n_guarantee() -> None:
    for n in (1.0, 2.0, 3.5, 30.0):
        assert BestOfN(n).spent_formula(CHI_SQUARED) == pytest.approx((n - 1) ** 2 / (2 * n - 1), rel=1e-9, abs=1e-12)
    guarantee = [0.5 * (n - 1) / (n + 1) - 0.1 * (n - 1) / math.sqrt(2 * n - 1) for n in (10.0, 1e3, 1e5)]
    assert guarantee[0] > guarantee[1] > guarantee[2]
    assert guarantee[2] < -20.0
    # The gold that gives best-of-N just that, by enumeration of ranks.
    fine = FiniteLaw(np.arange(4000) / 4000)
    policy = BestOfN(4).on(fine).policy
    e = policy / fine.prob - 1.0
    e *= 0.1 / math.sqrt(fine.prob @ e**2)
    found = float((policy - fine.prob) @ (fine.reward - e))
    assert found == pytest.approx(0.5 * 3 / 5 - 0.1 * 3 / math.sqrt(7), abs=1e-3)


def test_thm_threshold_most() -> None:
    """No rule that accepts one by one, with as many draws on average, keeps more reward."""

    def beats(z: FloatArray) -> float:
        r, p = z[:SIZE], law(z[SIZE : 2 * SIZE])
        accept = 1.0 / (1.0 + np.exp(-3.0 * z[2 * SIZE :]))
        accept = accept / accept.max()
        mean = float(p @ accept)
        policy = p * accept / mean
        assert (policy <= p / mean + 1e-12).all()
        return float(policy @ r) - ThresholdStopping(1.0 / mean).on(FiniteLaw(r, p)).mean_reward

    assert -1e-3 < worst_case(beats, 3 * SIZE, starts=3, steps=80).excess <= 1e-10
    for n in (1.5, 4.0, 32.0):
        fine = ThresholdStopping(n).on(FiniteLaw(np.arange(9600.0)))
        assert fine.win_rate == pytest.approx(1 - 1 / (2 * n), rel=1e-6)
        assert fine.kl == pytest.approx(math.log(n), rel=1e-6)


def test_thm_learnt_threshold() -> None:
    for n, j in ((2, 2), (5, 2), (9, 4)):
        rule = LearntThreshold(n, j, 3)
        waits = integrate.quad(lambda x, n=n, j=j: x ** (j - 2) * (1 - x) ** (n - j), 0, 1)[0]
        waits /= math.gamma(j) * math.gamma(n - j + 1) / math.gamma(n + 1)
        assert rule.draws == pytest.approx(n / 3 + waits, rel=1e-8)
        assert rule.win_rate_formula() == pytest.approx(1 - j / (2 * (n + 1)), rel=1e-13)
    f = np.linspace(0.0, 1.0, 21)
    for n in (2, 3, 8):
        np.testing.assert_allclose(LearntThreshold(n, 2).cdf(f), f**n, atol=1e-14)


def test_thm_falling_returns() -> None:
    """Returns fall, and no transfer of a draw from one prompt to another adds to the greedy choice."""

    def rises(z: FloatArray) -> float:
        v = BestOfN.along(np.arange(1, 9)).on(FiniteLaw(z[:SIZE], law(z[SIZE:]))).mean_reward
        return float(np.diff(v, 2).max())

    assert worst_case(rises, 2 * SIZE, starts=3, steps=40).excess <= 1e-12
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = -np.sort(-rng.integers(0, 5, (5, 10)).astype(float), axis=1)
        value = subset_means(rows, np.arange(1, 11))
        assert np.diff(value, 2, axis=1).max() <= 1e-12
        n = allocate_draws(value, int(rng.integers(5, 50))).n
        for a in range(5):
            for b in range(5):
                if a != b and n[a] > 1 and n[b] < 10:
                    moved = value[b, n[b]] - value[b, n[b] - 1] - (value[a, n[a] - 1] - value[a, n[a] - 2])
                    assert moved <= 1e-12


def test_prop_resampled_once() -> None:
    """The two integrals are the law over all sets of prefixes, whatever base, reward, λ and number of particles."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        space = ResponseSpace(2, 2)
        base, reward = rng.dirichlet(np.full(space.size, 0.5)), 3.0 * rng.standard_normal(space.size)
        world = PrefixWorld.of(space, base, reward)
        for particles in (1, 2, 3, 5):
            lam = float(rng.uniform(0.0, 3.0))
            enumerated = particle_filter(world, lam, particles, 1)
            summed = resampled_once(world, lam, particles, 1)
            np.testing.assert_allclose(summed.policy, enumerated.policy, rtol=1e-8, atol=1e-12)
            assert summed.policy.sum() == pytest.approx(1.0, abs=1e-9)
