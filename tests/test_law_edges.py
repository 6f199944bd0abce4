"""Laws at their ends: the largest gain, the smallest budgets, rewards and masses near the ends of the doubles."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from alignlib._core.errors import InputError
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, Laplace, Law, PromptAverage, Uniform
from alignlib.rules import BestOfN, BestOfPoisson
from tests.oracle import relative, tilted


def _random_law(seed: int, offset: float = 0.0) -> FiniteLaw:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 40))
    return FiniteLaw(rng.normal(size=k) * 10.0 ** rng.integers(-3, 4) + offset, rng.dirichlet(np.full(k, 0.3)))


@pytest.mark.parametrize("offset", [0.0, 1e9, -3e12])
@pytest.mark.parametrize("seed", range(60))
def test_the_whole_frontier_is_among_the_gains(seed: int, offset: float) -> None:
    law = _random_law(seed, offset)
    whole = law.frontier()
    # Both ends and a quarter of what lies between, another one for each seed: a root takes as long as a law.
    some = np.unique([0, *range(seed % 4, whole.spent.size, 4), whole.spent.size - 1])
    asked, gain = whole.spent[some], whole.gain[some]
    spent = law.kl_at_gain(gain)
    assert spent[-1] == law.max_kl
    assert law.lam_at_gain(law.max_gain) == math.inf
    inner = asked < 0.9 * law.max_kl
    np.testing.assert_allclose(spent[inner], asked[inner], rtol=1e-8)
    assert spent[0] == law.lam_at_gain(0.0) == 0.0
    rise, fall = law.max_reward - law.base_reward, law.min_reward - law.base_reward
    if abs(rise / law.max_gain - 1.0) < 0.1:  # the offset leaves more than noise of it
        assert law.kl_at_gain(rise) == law.max_kl
    if fall < 0.0 and abs(offset) < 1e10:
        assert law.lam_at_gain(fall) == -math.inf
    beyond = law.max_gain + 1e-3 * law.max_gain + 1e-12 * abs(law.max_reward)
    with pytest.raises(ValueError, match="gain must lie in"):
        law.kl_at_gain(beyond)


def test_no_gain_costs_nothing_however_large_the_offset() -> None:
    """Four neighbouring doubles: the difference of largest and mean reward rounds to 0."""
    at = 1e12
    law = FiniteLaw(at + np.array([0.0, 1.0, 2.0, 3.0]) * np.spacing(at), [0.03, 0.03, 0.04, 0.9])
    assert law.max_reward - law.base_reward < 0.5 * np.spacing(at)
    assert law.kl_at_gain(0.0) == law.lam_at_gain(0.0) == 0.0
    assert law.kl_at_gain(law.max_gain) == law.max_kl


def test_the_frontier_of_prompts_is_among_their_gains() -> None:
    both = PromptAverage([_random_law(1, 1e9), _random_law(2, -1e6), Bernoulli(0.1)])
    assert both.kl_at_gain(both.frontier().gain)[-1] == both.max_kl
    assert both.max_gain == pytest.approx(sum(law.max_gain for law in both.laws) / 3, rel=1e-15)


SMALL: dict[str, tuple[Law, float]] = {
    "uniform": (Uniform(2.0, 3.0), 1 / math.sqrt(12)),
    "wide uniform": (Uniform(0.0, 1e100), 1e100 / math.sqrt(12)),
    "wider uniform": (Uniform(-1e150, 1e150), 1e150 / math.sqrt(3)),
    "finite": (FiniteLaw([0.0, 1.0, 4.0], [0.5, 0.25, 0.25]), math.sqrt(4.25 - 1.25**2)),
    "wide finite": (FiniteLaw([1e100, 3e100]), 1e100),
    "wider finite": (FiniteLaw([1e150, 3e150]), 1e150),
    "narrow finite": (FiniteLaw([0.0, 2e-100]), 1e-100),
    "prompts": (PromptAverage([FiniteLaw([0.0, 2.0]), Uniform(-3.0, 3.0)]), math.sqrt(2.0)),
    "gaussian": (Gaussian(1.0, 3.0), 3.0),
    "exponential": (Exponential(0.25), 4.0),
    "laplace": (Laplace(2.0), math.sqrt(8.0)),
}


@pytest.mark.parametrize("budget", [1e-240, 3e-260, 1e-290, 1e-300, 1e-308])
@pytest.mark.parametrize("name", list(SMALL))
def test_small_budgets_buy_sigma_root_two_kl(name: str, budget: float) -> None:
    law, sd = SMALL[name]
    root = math.sqrt(2.0 * budget)
    assert law.gain_at_kl(budget) / sd / root == pytest.approx(1.0, rel=1e-9)
    assert law.lam_at_kl(budget) * sd / root == pytest.approx(1.0, rel=1e-9)


def test_budgets_among_the_subnormal_numbers() -> None:
    for law, sd in SMALL.values():
        assert law.gain_at_kl(1e-320) / sd / math.sqrt(2e-320) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize("success", [1e-30, 1e-200, 1e-300])
@pytest.mark.parametrize("budget", [1e-290, 1e-205, 1e-60, 1e-9, 0.01, 3.0, 60.0])
def test_rare_successes(success: float, budget: float) -> None:
    law = Bernoulli(success)
    lam = law.lam_at_kl(budget)
    mean = tilted([0.0, 1.0], [1.0, success], lam)
    assert relative(budget, mean["kl"]) < 1e-9
    assert relative(law.gain_at_kl(budget), mean["gain"]) < 1e-9


@pytest.mark.parametrize("scale", [1e-280, 1e-160, 1e-80, 1e80, 1e160, 1e300])
def test_a_frontier_scales_with_its_reward(scale: float) -> None:
    plain, wide = FiniteLaw([0.0, 1.0, 5.0], [0.5, 0.3, 0.2]), FiniteLaw([0.0, scale, 5 * scale], [0.5, 0.3, 0.2])
    budgets = [1e-9, 0.1, 1.0, plain.max_kl]
    np.testing.assert_allclose(wide.gain_at_kl(budgets) / scale, plain.gain_at_kl(budgets), rtol=1e-12)
    np.testing.assert_allclose(wide.kl_at_gain(wide.gain_at_kl(budgets)), budgets, rtol=1e-9)
    np.testing.assert_allclose(wide.kl(np.array([-2.0, 0.7]) / scale), plain.kl([-2.0, 0.7]), rtol=1e-12)
    np.testing.assert_allclose(wide.log_partition(0.7 / scale), plain.log_partition(0.7), rtol=1e-12)
    np.testing.assert_allclose(wide.log_policy(0.7 / scale), plain.log_policy(0.7), rtol=1e-12)
    np.testing.assert_allclose(wide.mean_reward(-2.0 / scale) / scale, plain.mean_reward(-2.0), rtol=1e-12)
    if 1e-150 < scale < 1e150:
        assert wide.variance(0.7 / scale) / scale**2 == pytest.approx(plain.variance(0.7), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-299, 2e304])
def test_rules_and_roots_hold_to_the_ends_of_the_range(scale: float) -> None:
    plain, wide = FiniteLaw([-1.0, 1.0, 5.0], [0.5, 0.3, 0.2]), FiniteLaw([-scale, scale, 5 * scale], [0.5, 0.3, 0.2])
    for rule in (BestOfN(1), BestOfN(2), BestOfN(3.5), BestOfPoisson(2.0)):
        assert rule.on(wide).gain / scale == pytest.approx(rule.on(plain).gain, rel=1e-12)
    for gain in (-0.3, 0.3, 1.0):
        assert wide.lam_at_gain(gain * scale) * scale == pytest.approx(plain.lam_at_gain(gain), rel=1e-12)
    assert wide.kl_at_gain(0.3 * scale) == pytest.approx(plain.kl_at_gain(0.3), rel=1e-12)


@pytest.mark.parametrize("reward", [[-1e308, 1e308], [0.0, 2e305], [0.0, 5e-324], [1e-310, 2e-310]])
def test_rewards_beyond_the_range_are_refused_with_it(reward: list[float]) -> None:
    with pytest.raises(InputError, match=r"reward must lie in \[-1e\+305, 1e\+305\] and be constant or span at least"):
        FiniteLaw(reward)
    assert BestOfN(2).on(FiniteLaw([5e-324, 5e-324])).gain == 0.0


@pytest.mark.parametrize("gain", [5e-324, 1e-300, 0.3, 1e154])
def test_gains_far_below_a_large_reward(gain: float) -> None:
    wide = FiniteLaw([0.0, 1.0, 1e300], [0.5, 0.25, 0.25])
    assert 0.0 <= wide.lam_at_gain(gain) <= 2.0 * gain / 1e300 / 1e299
    assert wide.kl_at_gain(gain) == 0.0  # below the smallest double
    assert FiniteLaw([1e16, 1e16 + 2.0, 1e16 + 4.0]).kl_at_gain(gain if gain < 0.1 else 0.0) < 1e-300


@pytest.mark.parametrize("gain", [1e-310, 1e-300, 1e-3, 0.3])
def test_gains_where_the_best_reward_has_the_smallest_mass(gain: float) -> None:
    rare = FiniteLaw([0.0, 1.0], [1.0, 5e-324])
    lam = math.log(gain) - math.log(5e-324) - math.log1p(-gain)
    assert rare.lam_at_gain(gain) == pytest.approx(lam, rel=1e-12)
    assert rare.kl_at_gain(gain) == pytest.approx(gain * lam + math.log1p(-gain), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-80, 1e80, 1e200])
@pytest.mark.parametrize("kind", [Gaussian, Laplace, Exponential, Uniform, PromptAverage])
def test_analytic_frontiers_scale_with_their_reward(kind: type[Law], scale: float) -> None:
    def law(scale: float) -> Law:
        if kind is Exponential:
            return Exponential(1.0 / scale)
        if kind is PromptAverage:
            return PromptAverage([Uniform(0.0, scale), FiniteLaw([0.0, 3.0 * scale])])
        return {Gaussian: Gaussian(0.0, scale), Laplace: Laplace(scale), Uniform: Uniform(0.0, scale)}[kind]

    budgets = np.array([1e-12, 0.1, 2.0])
    gains = law(scale).gain_at_kl(budgets)
    np.testing.assert_allclose(gains / scale, law(1.0).gain_at_kl(budgets), rtol=1e-9)
    np.testing.assert_allclose(law(scale).kl_at_gain(gains), budgets, rtol=1e-7)
    np.testing.assert_allclose(law(scale).lam_at_gain(gains) * scale, law(1.0).lam_at_kl(budgets), rtol=1e-7)


def test_budgets_that_leave_a_uniform_law_nothing() -> None:
    law = Uniform()
    assert law.gain_at_kl([300.0, 690.0, 720.0, 5000.0]).tolist() == pytest.approx([0.5] * 4, rel=1e-15)
    assert law.kl(law.lam_at_kl(500.0)) == pytest.approx(500.0, rel=1e-13)
    assert PromptAverage([law, Uniform(0.0, 3.0)]).gain_at_kl(900.0) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("reward", "prob", "lam"),
    [
        ([-1.0, 0.0], [0.7, 0.3], 1e18),
        ([0.0, 1.0], [0.5, 0.5], -1e16),
        ([0.0, 1e-9, 1.0], [0.5, 0.4, 0.1], -1e100),
        ([0.0, 1e-9, 1.0], [0.45, 0.45, 0.1], -1e9),
        ([-2.0, -1e-3, 0.0], [0.2, 0.7, 0.1], 400.0),
        ([0.0, 3.0], [1e-12, 1.0 - 1e-12], -30.0),
    ],
)
def test_log_partition_where_the_extreme_reward_is_zero(reward: list[float], prob: list[float], lam: float) -> None:
    want = tilted(reward, prob, lam)["log_partition"]
    assert relative(FiniteLaw(reward, prob).log_partition(lam), want) < 1e-13


@pytest.mark.parametrize("lam", [-2000.0, -740.0, -40.0, 15.0, 60.0, 650.0, 730.0])
@pytest.mark.parametrize(
    ("reward", "prob"),
    [
        ([0.0, 1e-9, 1.0], [0.5, 0.4, 0.1]),
        ([-3.0, -2.9, -2.0, -1.99], [0.1, 0.4, 0.4, 0.1]),
        ([0.0, 0.5, 1.0], [1e-80, 1.0 - 2e-80, 1e-80]),
    ],
)
def test_the_variance_that_a_strong_tilt_leaves(reward: list[float], prob: list[float], lam: float) -> None:
    want = tilted(reward, prob, lam)["variance"]
    law = FiniteLaw(reward, prob)
    if want > mp.mpf("1e-300"):
        assert relative(law.variance(lam), want) < 1e-11
    else:
        assert law.variance(lam) <= 1e-299


def test_ranges_of_rewards_are_known() -> None:
    assert (Uniform(2.0, 3.0).min_reward, Exponential().min_reward) == (2.0, 0.0)
    assert PromptAverage([Uniform(2.0, 3.0), Bernoulli(0.5)]).min_reward == 1.0


def test_a_law_does_not_follow_its_callers_arrays() -> None:
    reward, prob = np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.25, 0.25])
    law = FiniteLaw(reward, prob)
    before = law.gain_at_kl(0.1), law.levels.reward.tolist()
    reward *= 10.0
    prob[:] = [0.1, 0.1, 0.8]
    assert (law.gain_at_kl(0.1), law.levels.reward.tolist()) == before
    for array in (law.reward, law.prob, law.levels.reward, law.levels.mass):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0
