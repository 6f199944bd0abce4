"""Best-of-Poisson and soft best-of-n: enumeration, mixtures, limits and high precision."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alignlib.divergences import REVERSE_KL
from alignlib.laws import Exponential, FiniteLaw, Gaussian, HeavyTailed, Laplace, Uniform
from alignlib.rules import BestOfN, BestOfPoisson, RankRule, SoftBestOfN
from tests import oracle

REWARD = np.array([0.0, 1.0, 1.0, 2.5, -1.0])
PROB = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
LAW = FiniteLaw(REWARD, PROB)


@pytest.mark.parametrize("mu", [0.0, 1e-6, 0.7, 5.0, 300.0, 1e6])
def test_poisson_against_fifty_digits(mu: float) -> None:
    for reward, prob in [(REWARD, PROB), (REWARD, np.array([0.3, 0.2, 0.5 - 1e-12, 1e-12, 0.0]))]:
        policy, kl, mean = oracle.transformed(reward, prob, lambda f: f * mp.exp(-mp.mpf(mu) * (1 - f)))
        got = BestOfPoisson(mu).on(FiniteLaw(reward, prob))
        for value, want in zip(got.log_policy, policy, strict=True):
            if want > 0:
                assert abs(mp.mpf(float(value)) - mp.log(want)) <= 1e-12 * max(1, abs(mp.log(want)))
        assert oracle.relative(got.kl, kl, 1.0) <= 1e-10
        assert oracle.relative(got.mean_reward, mean, 3.0) <= 1e-12


def test_poisson_is_the_mixture_of_best_of_n() -> None:
    mu = 3.0
    weights = stats.poisson.pmf(np.arange(80), mu)
    mixture = sum(w * BestOfN(1 + k).on(LAW).policy for k, w in enumerate(weights))
    np.testing.assert_allclose(BestOfPoisson(mu).on(LAW).policy, mixture, rtol=1e-12)


def test_poisson_formula_bounds_and_is_reached() -> None:
    rules = BestOfPoisson.along([0.5, 4.0, 50.0])
    fine, bound = rules.on(FiniteLaw(np.arange(100_000))).kl, rules.spent_formula()
    assert (fine <= bound).all()
    np.testing.assert_allclose(fine, bound, rtol=1e-4)
    assert BestOfPoisson(4.0).on(LAW).kl < BestOfPoisson(4.0).spent_formula()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("lam", [0.0, 0.3, 2.0, 9.0])
def test_soft_against_enumeration_of_all_draws(n: int, lam: float) -> None:
    law = np.zeros(5)
    for draws in itertools.product(range(5), repeat=n):
        weights = np.exp(lam * REWARD[list(draws)])
        for i, w in zip(draws, weights / weights.sum(), strict=True):
            law[i] += np.prod(PROB[list(draws)]) * w
    soft = SoftBestOfN(n, lam).on(LAW)
    np.testing.assert_allclose(soft.policy, law, rtol=1e-11)
    assert soft.kl == pytest.approx(law @ np.log(law / PROB), rel=1e-9, abs=1e-13)
    assert soft.mean_reward == pytest.approx(law @ REWARD, rel=1e-11, abs=1e-12)
    assert soft.gain == pytest.approx(law @ REWARD - PROB @ REWARD, abs=1e-11)


@pytest.mark.parametrize("lam", [30.0, 900.0, 9000.0])
def test_soft_of_two_draws_on_many_levels_far_apart(lam: float) -> None:
    """``π_i = 2 p_i Σ_j p_j w_i/(w_i + w_j)``; the integral goes over thousands of nats, each level over a few."""
    rng = np.random.default_rng(5)
    reward, prob = np.sort(rng.random(600)), rng.dirichlet(np.full(600, 0.3)) + 1e-9
    prob /= prob.sum()
    won = np.exp(-np.logaddexp(0.0, lam * (reward - reward[:, None])))
    policy = SoftBestOfN(2, lam).on(FiniteLaw(reward, prob)).policy
    np.testing.assert_allclose(policy, 2.0 * prob * (won @ prob), rtol=1e-10)


def test_soft_tends_to_best_of_n_as_lam_grows_and_to_the_tilt_as_n_grows() -> None:
    np.testing.assert_allclose(SoftBestOfN(5, 60.0).on(LAW).policy, BestOfN(5).on(LAW).policy, rtol=1e-9)
    target = LAW.log_policy(1.3)
    gaps = []
    for n in (100, 1000, 10_000):
        law = SoftBestOfN(n, 1.3).on(LAW).policy
        gaps.append(np.abs(law - np.exp(target)).sum())
    # V25: the law approaches the tilt at rate 1/n.
    np.testing.assert_allclose(np.diff(np.log(gaps)), -math.log(10), rtol=0.02)


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.floats(1, 500), st.floats(0, 20))
def test_no_relative_of_best_of_n_beats_the_limit(masses: list[float], n: float, lam: float) -> None:
    prob = np.array(masses) / sum(masses)
    reward = np.arange(len(masses)) / 2.0
    family = FiniteLaw(reward, prob)
    for rule in (SoftBestOfN(n, lam), BestOfPoisson(n - 1)):
        found = rule.on(family)
        assert found.gain <= family.gain(family.lam_at_kl(max(found.kl, 0.0))) * (1 + 1e-7) + 1e-7


@dataclass(frozen=True)
class Plain(RankRule):
    """Best-of-N by the defaults of a rule of ranks, to hold against its own stable forms."""

    n: float

    name, parameter, symbol, start = "plain", "n", "N", 1.0

    @property
    def draws(self) -> float:
        return self.n

    def cdf(self, f: np.ndarray) -> np.ndarray:
        return np.asarray(f**self.n)


@settings(max_examples=40)
@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=9), st.floats(1, 60))
def test_defaults_of_a_rule_of_ranks_agree_with_stable_forms(masses: list[float], n: float) -> None:
    family = FiniteLaw(np.arange(len(masses)), np.array(masses) / sum(masses))
    plain, best = Plain(n).on(family), BestOfN(n).on(family)
    np.testing.assert_allclose(plain.log_policy, best.log_policy, rtol=1e-8, atol=1e-10)
    assert plain.kl == pytest.approx(best.kl, rel=1e-10, abs=1e-14)
    assert plain.gain == pytest.approx(best.gain, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("n", [1.0, 2.0, 7.5, 300.0])
def test_defaults_on_laws_without_atoms(n: float) -> None:
    assert Plain(n).spent_formula() == pytest.approx(BestOfN(n).spent_formula(), rel=1e-10, abs=1e-15)
    assert Plain(n).win_rate_formula() == pytest.approx(n / (n + 1), rel=1e-12)
    assert BestOfN(n).spent_formula(REVERSE_KL) == pytest.approx(n - 1 - math.log(n), rel=1e-10, abs=1e-14)
    for law in (Gaussian(), Uniform(-1, 2), Exponential(2.0), Laplace(), HeavyTailed(stats.t(3))):
        assert Plain(n).on(law).gain == pytest.approx(BestOfN(n).on(law).gain, rel=1e-8, abs=1e-12)
    levels = LAW.levels
    np.testing.assert_allclose(Plain(n).cdf_below_top(levels), BestOfN(n).cdf_below_top(levels), rtol=1e-12)


@pytest.mark.parametrize("rule", [BestOfN(3.7), BestOfPoisson(2.5)])
def test_slopes_in_the_parameter_are_derivatives(rule: BestOfN | BestOfPoisson) -> None:
    near = [replace(rule, **{rule.parameter: rule.value + h}).cdf_below_top(LAW.levels) for h in (-1e-5, 1e-5)]
    np.testing.assert_allclose((near[1] - near[0]) / 2e-5, rule.cdf_slope(LAW.levels), rtol=1e-8)


def test_draws_of_soft_best_of_n_and_best_of_poisson_have_their_law() -> None:
    rng = np.random.default_rng(3)
    for rule in (SoftBestOfN(3, 0.8), BestOfPoisson(1.5), BestOfN(4)):
        kept = np.empty(4000)
        for i in range(kept.size):
            rewards = rng.choice(REWARD, size=rule.number_of_draws(rng), p=PROB)
            kept[i] = rewards[rule.choose(rewards, rng)]
        assert abs(kept.mean() - rule.on(LAW).mean_reward) < 4 * kept.std() / math.sqrt(kept.size)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"mu must lie in \[0, ∞\); got -1"):
        BestOfPoisson(-1.0)
    with pytest.raises(ValueError, match=r"lam must lie in \[0, ∞\); got -1"):
        SoftBestOfN(2, -1.0)
    with pytest.raises(ValueError, match="must stay below 10000"):
        SoftBestOfN(2, 2e4).on(FiniteLaw(np.linspace(0.0, 1.0, 1001)))
