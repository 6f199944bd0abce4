"""Analytic families: against 50-digit arithmetic and quadrature, and against each other's identities."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from alignlib.laws import Bernoulli, Exponential, Gaussian, HeavyTailed, Laplace, Uniform
from tests.oracle import relative

LAWS = {
    "gaussian": (Gaussian(1.0, 2.0), lambda t: 2 * t**2, mp.inf),
    "uniform": (Uniform(-1.0, 3.0), lambda t: mp.log(mp.sinh(2 * t) / (2 * t)), mp.inf),
    "exponential": (Exponential(2.0), lambda t: -mp.log(1 - t / 2) - t / 2, 2.0),
    "laplace": (Laplace(0.5), lambda t: -mp.log(1 - t**2 / 4), 2.0),
}


@pytest.mark.parametrize("name", list(LAWS))
@pytest.mark.parametrize("lam", [1e-8, 1e-3, 0.1, 0.34, 0.36, 1.0, 1.99, 40.0, 1e4])
def test_closed_forms_against_fifty_digits(name: str, lam: float) -> None:
    law, centred, lam_max = LAWS[name]
    if lam >= lam_max:
        with pytest.raises(ValueError, match="lam must stay below 2"):
            law.gain(lam)
        return
    with mp.workdps(70):
        t = mp.mpf(lam)
        h = mp.mpf(10) ** -20 * t
        slope = (centred(t + h) - centred(t - h)) / (2 * h)
        bend = (centred(t + h) - 2 * centred(t) + centred(t - h)) / h**2
        truth = {"gain": slope, "reverse_kl": centred(t), "kl": t * slope - centred(t), "jeffreys": t * slope}
    for quantity, want in truth.items():
        assert relative(getattr(law, quantity)(lam), want) <= 3e-13, quantity
    assert relative(law.variance(lam), bend) <= 1e-12
    assert law.log_partition(lam) == pytest.approx(float(centred(t) + t * law.base_reward), rel=1e-12)


@pytest.mark.parametrize("name", list(LAWS))
def test_lam_at_kl_and_frontier(name: str) -> None:
    law, _, _ = LAWS[name]
    budgets = np.array([1e-12, 1e-4, 0.3, 2.0, 15.0])
    lams = law.lam_at_kl(budgets)
    np.testing.assert_allclose(law.kl(lams), budgets, rtol=1e-9)
    np.testing.assert_allclose(law.gain_at_kl(budgets), law.gain(lams), rtol=1e-9)
    assert law.lam_at_kl(0.0) == 0.0


@pytest.mark.parametrize("name", list(LAWS))
def test_sample_moments_and_quantiles_agree_with_the_closed_forms(name: str) -> None:
    law, _, _ = LAWS[name]
    rewards = law.sample(np.random.default_rng(0), 200_000)
    sd = math.sqrt(law.variance(0.0))
    assert abs(rewards.mean() - law.base_reward) < 5 * sd / math.sqrt(rewards.size)
    assert rewards.std() == pytest.approx(sd, rel=0.02)
    np.testing.assert_allclose(law.quantile([0.3, 0.9]), law.quantile([0.7, 0.1], upper=True), rtol=1e-12)


def test_bernoulli_is_the_two_point_law() -> None:
    law = Bernoulli(0.3)
    assert law.max_kl == pytest.approx(-math.log(0.3), rel=1e-15)
    assert law.gain_at_kl(5.0) == pytest.approx(0.7, rel=1e-15)
    with mp.workdps(50):
        rise = mp.mpf(0.3) * mp.exp(2) / (1 - mp.mpf(0.3) + mp.mpf(0.3) * mp.exp(2)) - mp.mpf(0.3)
    assert relative(law.gain(2.0), rise) < 1e-13
    assert law.sample(np.random.default_rng(1), 10_000).mean() == pytest.approx(0.3, abs=0.02)


def test_gaussian_frontier_is_sigma_root_two_kl() -> None:
    budgets = np.array([0.01, 0.5, 8.0])
    np.testing.assert_allclose(Gaussian(3.0, 0.7).gain_at_kl(budgets), 0.7 * np.sqrt(2 * budgets), rtol=1e-15)


def test_heavy_tails_are_infinite_beyond_zero() -> None:
    law = HeavyTailed(stats.t(3))
    assert law.log_partition(0.0) == 0.0
    assert law.log_partition(1e-9) == math.inf
    np.testing.assert_array_equal(law.gain_at_kl([0.0, 1e-6]), [0.0, math.inf])
    assert law.sample(np.random.default_rng(0), (3, 2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gaussian(sd=0.0), "sd must be positive"),
        (lambda: Uniform(1.0, 1.0), "high must exceed low"),
        (lambda: Exponential(-1.0), "rate must be positive"),
        (lambda: Laplace(0.0), "scale must be positive"),
        (lambda: Bernoulli(1.0), "success must lie in"),
        (lambda: Gaussian().gain(-1.0), "lam must lie in"),
        (lambda: Gaussian().lam_at_kl(-1.0), "kl must lie in"),
    ],
)
def test_bad_input_is_named(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]
