"""The boxes of the part on best-of-N: each is searched for a counterexample, over laws and (real) numbers of draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.laws import Exponential, FiniteLaw, Gaussian, Laplace, Uniform
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN, coincident_reward
from tests.searching import law, positive, worst_case

SIZE = 4


def kl(a: FloatArray, b: FloatArray) -> float:
    held = a > 0
    return float(a[held] @ np.log(a[held] / b[held]))


def best_of(p: FloatArray, n: float) -> FloatArray:
    """The law of the best of n draws from outcomes in increasing order of reward, by its definition."""
    return np.diff(np.concatenate([[0.0], np.cumsum(p)]) ** n)


def rising(z: FloatArray) -> FloatArray:
    """Rewards in increasing order."""
    return np.cumsum(np.exp(z))


def test_thm_best_of_n() -> None:
    """The law and its KL, against enumeration of all draws."""

    def off(z: FloatArray) -> float:
        p = law(z[:3])
        r = np.array([0.0, 1.0, 1.0 + (z[3] > 0)])  # the last two outcomes share a level in half of the searched laws
        worst = 0.0
        for n in (2, 3, 4):
            drawn = np.zeros(3)
            for draws in itertools.product(range(3), repeat=n):
                top = [i for i in draws if r[i] == r[list(draws)].max()]
                for i in top:  # ties are broken evenly
                    drawn[i] += p[list(draws)].prod() / len(top)
            found = BestOfN(n).on(FiniteLaw(r, p))
            worst = max(worst, float(np.abs(found.policy - drawn).max()), abs(found.kl - kl(drawn, p)))
        return worst

    assert worst_case(off, 4, starts=2, steps=25).excess <= 1e-12


def test_thm_formula() -> None:
    """KL(π_N‖p) stays below log N - (N-1)/N for every real N > 1, and what a tie costs of it is bounded."""

    def above(z: FloatArray) -> float:
        p, n = law(z[:SIZE]), 1.0 + positive(z[SIZE], 1e-2, 1e3)
        pi = best_of(p, n)
        unspent = math.log(n) - (n - 1) / n - kl(pi, p)
        ties = float(pi @ np.log1p(n * p / np.cumsum(p)))  # the bound in the proof of the half logarithm
        return max(-unspent, unspent - ties)

    assert worst_case(above, SIZE + 1).excess <= 1e-12
    assert kl(best_of(np.full(4000, 1 / 4000), 8.0), np.full(4000, 1 / 4000)) == pytest.approx(
        math.log(8) - 7 / 8, abs=2e-3
    )


def test_prop_win_rate() -> None:
    """At most N/(N+1) against one further draw, ties counted half."""

    def above(z: FloatArray) -> float:
        p, n = law(z[:SIZE]), 1.0 + positive(z[SIZE], 1e-2, 1e3)
        below = np.cumsum(p) - p
        wins = float(best_of(p, n) @ (below + p / 2))
        return max(wins - n / (n + 1), abs(wins - BestOfN(n).on(FiniteLaw(np.arange(SIZE), p)).win_rate) - 1e-13)

    assert worst_case(above, SIZE + 1, starts=8).excess <= 1e-12


def test_thm_log_f() -> None:
    """Without ties best-of-N is the tilt of log F by N-1: no policy gains more log F at its KL."""
    u = (np.arange(4000) + 0.5) / 4000
    for n in (2.0, 5.5, 16.0):
        found = FiniteLaw(np.log(u))
        assert float(found.kl(n - 1)) == pytest.approx(math.log(n) - (n - 1) / n, rel=2e-3)
        # E log U under n u^{n-1} is -1/n
        assert float(found.mean_reward(n - 1)) == pytest.approx(-1 / n, rel=2e-3)


@pytest.mark.parametrize("name", ["uniform", "Gaussian", "exponential", "Laplace", "finite"])
def test_best_of_n_is_never_above_the_limit(name: str) -> None:
    """At the KL that it truly spends."""
    continuous = {"uniform": Uniform(), "Gaussian": Gaussian(), "exponential": Exponential(), "Laplace": Laplace()}

    def above(z: FloatArray) -> float:
        n = 1.0 + positive(z[-1], 1e-2, 1e4)
        base = continuous.get(name) or FiniteLaw(rising(z[:SIZE]), law(z[SIZE : 2 * SIZE]))
        found = BestOfN(n).on(base)
        return found.gain / float(base.gain_at_kl(found.kl)) - 1.0

    size, starts, steps = (1, 2, 12) if name in continuous else (2 * SIZE + 1, 4, 50)
    assert worst_case(above, size, starts=starts, steps=steps).excess <= 1e-9


def test_def_soft() -> None:
    """Soft best-of-n between the base model (λ = 0) and best-of-n (λ → ∞)."""
    base = FiniteLaw([0.0, 0.4, 1.0], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(SoftBestOfN(4, 1e-9).on(base).policy, base.prob, atol=1e-8)
    np.testing.assert_allclose(SoftBestOfN(4, 300.0).on(base).policy, BestOfN(4).on(base).policy, atol=1e-9)


def test_def_poisson() -> None:
    """Best-of-Poisson averages best-of-(1+k) over k ~ Poisson(μ)."""
    p, mu = np.array([0.2, 0.5, 0.3]), 1.7
    averaged = sum(scipy.stats.poisson.pmf(k, mu) * best_of(p, 1 + k) for k in range(60))
    np.testing.assert_allclose(BestOfPoisson(mu).on(FiniteLaw([0.0, 1.0, 2.0], p)).policy, averaged, atol=1e-12)


def test_prop_relatives() -> None:
    """The integral form of soft best-of-n against enumeration; the density of best-of-Poisson has mass one."""

    def off(z: FloatArray) -> float:
        p, r, lam = law(z[:3]), np.sort(z[3:6]), positive(z[6], 0.05, 5.0)
        r = r + np.arange(3) * 1e-3
        worst = 0.0
        for n in (2, 3):
            kept = np.zeros(3)
            for draws in itertools.product(range(3), repeat=n):
                weight = np.exp(lam * (r[list(draws)] - r.max()))
                for i, w in zip(draws, weight / weight.sum(), strict=True):
                    kept[i] += p[list(draws)].prod() * w
            worst = max(worst, float(np.abs(SoftBestOfN(n, lam).on(FiniteLaw(r, p)).policy - kept).max()))
        return worst

    assert worst_case(off, 7, starts=2, steps=15).excess <= 1e-9
    u = (np.arange(20_000) + 0.5) / 20_000
    for mu in (0.3, 3.0, 30.0):
        assert ((1 + mu * u) * np.exp(-mu * (1 - u))).mean() == pytest.approx(1.0, rel=1e-6)


def test_soft_best_of_n_and_best_of_poisson_are_never_above_the_limit() -> None:
    def above(z: FloatArray) -> float:
        base = FiniteLaw(rising(z[:SIZE]), law(z[SIZE : 2 * SIZE]))
        lam = positive(z[-2], 0.05, 10.0) / base.max_reward
        found = (BestOfPoisson(positive(z[-1], 0.05, 50.0)).on(base), SoftBestOfN(3, lam).on(base))
        return max(one.gain - float(base.gain_at_kl(one.kl)) for one in found) / base.max_reward

    assert worst_case(above, 2 * SIZE + 2, starts=2, steps=30).excess <= 1e-8


def test_best_of_poisson_is_near_the_limit_for_uniform_rewards_only() -> None:
    """It sees ranks whatever the reward is; only where reward is rank does it come near the limit."""

    def share(z: FloatArray) -> float:
        found = BestOfPoisson(positive(z[0], 0.05, 300.0)).on(base)
        return -found.gain / float(base.gain_at_kl(found.kl))

    least = {}
    for base in (Uniform(), Gaussian(), Exponential()):
        least[type(base).__name__] = -worst_case(share, 1, starts=2, steps=12).excess
    assert least["Uniform"] > 0.998
    assert 0.92 < least["Gaussian"] < 0.93
    assert 0.72 < least["Exponential"] < 0.73


def test_best_of_poisson_beats_best_of_n_at_equal_kl_on_some_rewards_only() -> None:
    """Uniform, Gaussian, exponential rewards: at every KL. For log F, of which best-of-N is the optimum, never."""
    u = (np.arange(4000) + 0.5) / 4000
    log_rank = FiniteLaw(np.log(u))
    for mu in (0.1, 1.0, 6.0, 40.0):
        rule = BestOfPoisson(mu)
        spent = rule.spent_formula()
        n = 1 + scipy.optimize.brentq(lambda v, kl=spent: BestOfN(1 + v).spent_formula() - kl, 1e-6, 1e3, xtol=1e-13)
        for law_of_reward in (Uniform(), Gaussian(), Exponential()):
            assert rule.on(law_of_reward).gain > BestOfN(n).on(law_of_reward).gain
        assert rule.on(log_rank).gain < BestOfN(n).on(log_rank).gain


def test_distinct_rewards_are_not_rewards_without_ties() -> None:
    """One response can be drawn twice: on finitely many, all different, the formula is never reached."""

    def above(z: FloatArray) -> float:
        n = 1.0 + positive(z[-1], 0.1, 50.0)
        return BestOfN(n).on(FiniteLaw(rising(z[:SIZE]), law(z[SIZE:-1]))).kl / BestOfN(n).spent_formula() - 1.0

    assert worst_case(above, 2 * SIZE + 1, starts=3, steps=40).excess < -1e-3
    assert BestOfN(8).on(FiniteLaw(np.arange(4))).kl == pytest.approx(1.0444, abs=1e-4)  # against 1.2044


def test_the_largest_gap_of_best_of_poisson_lies_between_grid_points() -> None:
    """Uniform reward: 1.6893e-4 at μ = 2.51, which a grid of sixty points misses."""

    def gap(mu: float) -> float:
        exact = 0.5 - (math.expm1(-mu) + mu) / mu**2
        return float(Uniform().gain_at_kl(BestOfPoisson(mu).spent_formula())) - exact

    top = scipy.optimize.minimize_scalar(lambda mu: -gap(mu), bounds=(1.0, 6.0), method="bounded")
    assert top.x == pytest.approx(2.509, abs=2e-3)
    assert -top.fun == pytest.approx(1.6893e-4, rel=1e-4)
    assert max(gap(mu) for mu in np.geomspace(0.05, 60, 60)) < -top.fun


def test_thm_coincidence() -> None:
    """The coinciding reward makes best-of-N a tilt; any other shape does not: the nearest tilt is off by a KL > 0."""

    def off(z: FloatArray) -> float:
        p, n = law(z[:SIZE]), 1.0 + positive(z[SIZE], 0.1, 50.0)
        pi = best_of(p, n)
        weight = p * np.exp(coincident_reward(p, n))
        return float(np.abs(weight / weight.sum() - pi).max())

    assert worst_case(off, SIZE + 1, starts=6).excess <= 1e-12

    def nearest_if_bent(z: FloatArray) -> float:
        """Less than no distance to the nearest tilt, though the reward is bent by a fifth of a step."""
        p, n = law(np.clip(z[:3], -1.0, 1.0)), 1.0 + positive(z[3], 0.5, 3.0)
        r, pi = coincident_reward(p, n), best_of(p, n)
        bent = (r - r[0]) / np.ptp(r)
        bent[1] *= 0.8
        return -(kl(pi, p) - float(FiniteLaw(bent, p).kl_at_gain(float(pi @ bent - p @ bent)))) / kl(pi, p)

    assert worst_case(nearest_if_bent, 4, starts=3, steps=40).excess < -1e-6


def test_thm_coincidence_two_outcomes() -> None:
    """With two outcomes every best-of-N is a tilt."""

    def off(z: FloatArray) -> float:
        base, n = FiniteLaw([0.0, 1.0], law(z[:2])), 1.0 + positive(z[2], 0.1, 50.0)
        found = BestOfN(n).on(base)
        return abs(found.kl - float(base.kl_at_gain(found.gain)))

    assert worst_case(off, 3, starts=2, steps=50).excess <= 1e-10


def test_one_reward_can_fit_two_numbers_of_draws() -> None:
    """That a change of N alone breaks the coincidence is false: here best-of-2 and best-of-8 are both tilts."""
    base = FiniteLaw([0.0, 0.57703630929, 1.0], [0.02, 0.17149784745738, 0.80850215254262])
    for n, exact in ((2, True), (8, True), (4, False)):
        found = BestOfN(n).on(base)
        wasted = found.kl - float(base.kl_at_gain(found.gain))
        assert (wasted < 1e-14) == exact, n
    shapes = []
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.dirichlet(np.ones(3))
        rewards = np.array([coincident_reward(p, n) for n in (2, 3, 4, 6, 8, 12, 16, 32, 64, 128)])
        shapes.append((rewards[:, 1] - rewards[:, 0]) / (rewards[:, 2] - rewards[:, 0]))
    turns = [bool((np.diff(s) > 1e-9).any() and (np.diff(s) < -1e-9).any()) for s in shapes]
    assert 0.1 < np.mean(turns) < 0.4


def test_what_page_11_says_of_every_n_holds_for_every_n() -> None:
    """Exponential reward: the share rises with N, so that what is missing at the last N is missing at every N."""
    n = np.arange(2, 1025)
    gain = np.cumsum(1.0 / np.arange(1, 1025))[1:] - 1.0
    share = gain / Exponential().gain_at_kl(np.log(n) - (n - 1) / n)
    assert (np.diff(share) > 0).all()
    assert 0.79 < share[-1] < 0.81
