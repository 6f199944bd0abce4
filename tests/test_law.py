"""Every law answers everything: one table of laws, one set of identities, whatever the law is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from alignlib.divergences import REVERSE_KL
from alignlib.laws import (
    Bernoulli,
    Exponential,
    FiniteLaw,
    Gaussian,
    HeavyTailed,
    Laplace,
    Law,
    PromptAverage,
    Uniform,
    dual_gain,
)
from alignlib.laws.roots import rising_root
from alignlib.sequences import MarkovModel, MemorylessModel

TOKEN = ([0.5, 0.3, 0.2], [0.0, 1.0, 2.5])
LAWS: dict[str, Law] = {
    "finite": FiniteLaw([0.0, 1.0, 1.0, 4.0], [0.4, 0.3, 0.2, 0.1]),
    "bernoulli": Bernoulli(0.3),
    "gaussian": Gaussian(1.0, 2.0),
    "uniform": Uniform(-1.0, 3.0),
    "exponential": Exponential(2.0),
    "laplace": Laplace(0.5, 1.0),
    "prompts": PromptAverage([FiniteLaw([0.0, 1.0]), FiniteLaw([0.0, 4.0, 5.0])]),
    "prompts of two kinds": PromptAverage([Exponential(), Bernoulli(0.5)]),
    "sum": MemorylessModel(*TOKEN, 12).sum_law(),
    "memoryless": MemorylessModel(*TOKEN, 12),
    "twisted": MarkovModel([[0.9, 0.1], [0.5, 0.5]], [0.0, 1.0], [1.0, 0.0], 10).token,
}
every = pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))


@every
def test_identities_at_one_lam(law: Law) -> None:
    """Centred forms, derivatives by difference, and the Jeffreys form."""
    lam = np.array([0.01, 0.3, 0.8])
    gain, kl, reverse = law.gain(lam), law.kl(lam), law.reverse_kl(lam)
    np.testing.assert_allclose(law.jeffreys(lam), lam * gain, rtol=1e-10)
    np.testing.assert_allclose(law.mean_reward(lam), law.base_reward + gain, rtol=1e-10)
    np.testing.assert_allclose(law.log_partition(lam), lam * law.base_reward + reverse, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kl, lam * law.mean_reward(lam) - law.log_partition(lam), rtol=1e-8, atol=1e-12)
    step = 1e-5
    np.testing.assert_allclose((law.gain(lam + step) - law.gain(lam - step)) / (2 * step), law.variance(lam), rtol=1e-5)
    assert isinstance(law.gain(0.3), float)
    assert law.gain(0.0) == law.kl(0.0) == law.reverse_kl(0.0) == 0.0


@every
def test_budgets_and_gains_are_inverse_to_each_other(law: Law) -> None:
    most = min(law.max_kl, 4.0)
    budgets = most * np.array([1e-9, 0.01, 0.5, 0.95])
    lam = law.lam_at_kl(budgets)
    np.testing.assert_allclose(law.kl(lam), budgets, rtol=1e-9)
    gains = law.gain_at_kl(budgets)
    np.testing.assert_allclose(gains, law.gain(lam), rtol=1e-9)
    np.testing.assert_allclose(law.kl_at_gain(gains), budgets, rtol=1e-8)
    np.testing.assert_allclose(law.lam_at_gain(gains), lam, rtol=1e-8)
    np.testing.assert_allclose(gains[1:], dual_gain(law, budgets[1:]), rtol=1e-9)
    assert law.lam_at_kl(0.0) == law.gain_at_kl(0.0) == law.kl_at_gain(0.0) == law.lam_at_gain(0.0) == 0.0
    assert law.lam_at_kl(budgets[::-1]).tolist() == lam[::-1].tolist()


@every
def test_the_frontier_rises_and_bends_down(law: Law) -> None:
    curve = law.frontier()
    assert curve.spent.size == 129
    assert curve.base_reward == law.base_reward
    slopes = np.diff(curve.gain) / np.diff(curve.spent)
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 1e-9 * slopes[:-1]).all()
    if math.isfinite(law.max_kl):
        assert curve.spent[-1] == law.max_kl
        assert curve.reward[-1] == pytest.approx(law.max_reward, rel=1e-12)
        assert law.lam_at_kl(law.max_kl) == math.inf
        assert law.kl_at_gain(law.max_reward - law.base_reward) == pytest.approx(law.max_kl, rel=1e-12)
    with pytest.raises(ValueError, match=r"kl must lie in \[0, ∞\); got -1"):
        law.lam_at_kl(-1.0)
    with pytest.raises(ValueError, match="gain must lie in"):
        law.kl_at_gain(-0.5)


@every
def test_draws_are_of_the_base(law: Law) -> None:
    """In the limit of long sequences there is nothing to draw, and that is said."""
    if law is LAWS["twisted"]:
        with pytest.raises(ValueError, match="TwistedChain has no quantiles"):
            law.sample(0, 3)
        return
    rewards = law.sample(np.random.default_rng(0), (200, 100))
    assert rewards.shape == (200, 100)
    assert rewards.mean() == pytest.approx(law.base_reward, abs=6 * rewards.std() / math.sqrt(rewards.size))
    assert law.sample(3, 5).tolist() == law.sample(np.random.default_rng(3), 5).tolist()
    if not isinstance(law, PromptAverage):  # whose extremes are averages too
        assert rewards.min() >= law.min_reward
        assert rewards.max() <= law.max_reward


@pytest.mark.parametrize("name", ["finite", "bernoulli", "sum", "memoryless", "twisted", "prompts"])
def test_bounded_laws_tilt_both_ways(name: str) -> None:
    law = LAWS[name]
    lam = np.array([-2.0, -0.1, 0.1, 2.0])
    np.testing.assert_allclose(law.lam_at_gain(law.gain(lam)), lam, rtol=1e-8)
    assert law.lam_at_gain(law.min_reward - law.base_reward) == -math.inf
    assert law.lam_at_gain(law.max_reward - law.base_reward) == math.inf
    assert law.mean_reward(-math.inf) == pytest.approx(law.min_reward, abs=1e-12)


def test_log_partition_at_infinity_follows_the_extreme_reward() -> None:
    assert FiniteLaw([-3.0, -1.0]).log_partition([math.inf, -math.inf]).tolist() == [-math.inf, math.inf]
    assert FiniteLaw([-1.0, 0.0], [0.75, 0.25]).log_partition(math.inf) == pytest.approx(math.log(0.25))


def test_quantiles_of_finite_laws_count_from_both_ends() -> None:
    law = FiniteLaw([3.0, 1.0, 2.0], [0.25, 0.5, 0.25])
    assert law.quantile([0.0, 0.3, 0.49, 0.5, 0.74, 0.76, 1.0]).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    assert law.quantile([0.0, 0.2, 0.26, 0.49, 0.51, 1.0], upper=True).tolist() == [3.0, 3.0, 2.0, 2.0, 1.0, 1.0]
    total = MemorylessModel([0.5, 0.5], [0.0, 1.0], 2).sum_law()
    assert total.quantile([0.0, 0.2, 0.3, 0.74, 0.76, 1.0]).tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert total.quantile([0.0, 0.2, 0.3, 0.74, 0.76, 1.0], upper=True).tolist() == [2.0, 2.0, 1.0, 1.0, 0.0, 0.0]


def test_heavy_tails_answer_too() -> None:
    law = HeavyTailed(stats.t(3, loc=1.0))
    assert (law.base_reward, law.variance(0.0)) == (1.0, 3.0)
    assert law.kl([0.0, 1e-9]).tolist() == law.jeffreys([0.0, 1e-9]).tolist() == [0.0, math.inf]
    assert (law.lam_at_kl(2.0), law.lam_at_gain(5.0), law.kl_at_gain(5.0)) == (0.0, 0.0, 0.0)
    assert law.frontier([0.0, 1.0]).gain.tolist() == [0.0, math.inf]
    assert law.quantile(0.99) == pytest.approx(law.quantile(0.01, upper=True), rel=1e-12)


def test_a_prompt_of_heavy_tail_has_no_average() -> None:
    with pytest.raises(ValueError, match="laws must have tilts; that of prompt 1, HeavyTailed"):
        PromptAverage([Gaussian(), HeavyTailed(stats.t(3))])


def test_other_divergences_are_for_finite_laws() -> None:
    with pytest.raises(ValueError, match="divergence must be KL for PromptAverage; got 'reverse_kl'"):
        LAWS["prompts"].frontier([0.1], REVERSE_KL)


def test_the_solver_certifies_its_root() -> None:
    assert rising_root(lambda x: x / (1.0 - x), 3.0, 5.0, end=1.0) == pytest.approx(0.75, rel=1e-13)
    assert rising_root(lambda x: x**3, 1e-90, 1e6) == pytest.approx(1e-30, rel=1e-13)
    with pytest.raises(ArithmeticError, match="no λ with value 2 was found"):
        rising_root(lambda x: min(x, 1.0), 2.0, 1.0)
    with pytest.raises(ArithmeticError, match="no λ with value 2 was found"):
        rising_root(lambda x: 1.0 if x < 5.0 else 3.0, 2.0, 1.0)
