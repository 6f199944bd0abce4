"""Numbers at the ends of the doubles: rare masses, huge and tiny rewards, budgets next to 0 and to the largest."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alignlib import InputError
from alignlib.bottleneck import RateDistortionTask, allocate, capacity
from alignlib.laws import Bernoulli, FiniteLaw, Gaussian, HeavyTailed, Laplace, dual_gain
from alignlib.laws.bounds import two_point
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN
from alignlib.sequences import MarkovModel
from alignlib.sequences.one_token import largest_distance
from tests import oracle

RARE = [5e-324, 1e-320, 1e-310, 1e-300, 1e-160, 1e-12]


@pytest.mark.parametrize("rare", RARE)
@pytest.mark.parametrize("lam", [1e-3, 1.0, 30.0, 700.0, 760.0, 5000.0])
def test_tilts_of_a_rare_top_reward(rare: float, lam: float) -> None:
    law, truth = FiniteLaw([0.0, 0.5, 1.0], [0.5, 0.5, rare]), oracle.tilted([0.0, 0.5, 1.0], [0.5, 0.5, rare], lam)
    for name in ("gain", "kl", "reverse_kl"):
        assert float(getattr(law, name)(lam) / truth[name]) == pytest.approx(1.0, rel=2e-12), name
    assert np.exp(law.log_policy(lam)).sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("rare", RARE)
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.5, 0.99, 1.0 - 1e-9, 1.0 - 1e-13])
def test_every_budget_of_a_rare_top_reward_is_spent(rare: float, share: float) -> None:
    law = FiniteLaw([0.0, 0.5, 1.0], [0.5, 0.5, rare])
    budget = share * law.max_kl
    lam = law.lam_at_kl(budget)
    assert law.kl(lam) == pytest.approx(budget, rel=1e-12)
    # λ is as good as its budget: what is left to the largest KL falls like λ e^{-λ/2}.
    left = law.max_kl - budget
    assert law.max_kl - law.kl(lam) == pytest.approx(left, rel=max(1e-9, 1e-14 * law.max_kl / left))


@pytest.mark.parametrize("share", [1e-3, 1e-9, 1e-11, 1e-12, 1e-14])
def test_budgets_next_to_the_largest_with_many_outcomes(share: float) -> None:
    law = FiniteLaw(np.linspace(0.0, 1.0, 200_001) ** 2)
    left = law.max_kl - law.max_kl * (1.0 - share)
    lam = law.lam_at_kl(law.max_kl - left)
    # By the second-best outcome: max_kl - D = (1 + λ gap) e^{-λ gap} + …, checked in high precision on the top ones.
    gaps = 1.0 - law.reward[-4000:]
    with mp.workdps(40):
        w = [mp.exp(-mp.mpf(lam) * mp.mpf(g)) for g in gaps.tolist()]
        exact = mp.mpf(lam) * mp.fsum(a * mp.mpf(g) for a, g in zip(w, gaps.tolist(), strict=True)) / mp.fsum(w)
        exact += mp.log(mp.fsum(w))
    assert float(exact / left) == pytest.approx(1.0, rel=1e-6)
    assert law.kl(1e12) == law.max_kl


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=5, unique=True),
    st.integers(-900, 900),
    st.floats(0.01, 0.99),
)
def test_scale_and_shift_change_nothing_but_the_unit(rewards: list[int], power: int, share: float) -> None:
    r, unit = np.array(rewards, dtype=float), 2.0**power
    plain, scaled, shifted = FiniteLaw(r), FiniteLaw(r * unit), FiniteLaw(r + 2.0**20)
    budget = share * plain.max_kl
    assert scaled.gain_at_kl(budget) == pytest.approx(plain.gain_at_kl(budget) * unit, rel=1e-12)
    assert scaled.lam_at_kl(budget) == pytest.approx(plain.lam_at_kl(budget) / unit, rel=1e-10)
    assert shifted.gain_at_kl(budget) == pytest.approx(plain.gain_at_kl(budget), rel=1e-12)
    for law in (scaled, shifted):
        assert dual_gain(law, budget) == pytest.approx(law.gain_at_kl(budget), rel=1e-10)


@pytest.mark.parametrize("rare", RARE)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_the_dual_finds_the_valley_of_a_rare_top_reward(rare: float, share: float) -> None:
    for scale in (1e-300, 1.0, 1e300):
        law = FiniteLaw([0.0, scale], [1.0, rare])
        budget = share * law.max_kl
        assert dual_gain(law, budget) == pytest.approx(law.gain_at_kl(budget), rel=1e-9)


def test_the_dual_at_a_tiny_budget_of_a_large_reward() -> None:
    """Its λ is smaller than the smallest normal double."""
    plain, large = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2]), FiniteLaw([0.0, 1e304, 3e304], [0.5, 0.3, 0.2])
    for budget in (1e-20, 1e-12, 1e-8):
        assert dual_gain(large, budget) / 1e304 == pytest.approx(plain.gain_at_kl(budget), rel=1e-9)


@pytest.mark.parametrize("kl", [1e-24, 1e-100, 1e-200])
def test_the_dual_at_tiny_budgets(kl: float) -> None:
    assert dual_gain(Gaussian(), kl) == pytest.approx(math.sqrt(2.0 * kl), rel=1e-9)


@pytest.mark.parametrize("lam", [1e6, -1e9, 1e15, -1e300, 1e300])
def test_policies_are_normalised_at_any_lam(lam: float) -> None:
    law = FiniteLaw([0.0, 1.0, 1.0 + 1e-9], [0.3, 0.6, 0.1])
    assert np.exp(law.log_policy(lam)).sum() == pytest.approx(1.0, rel=1e-14)
    extreme = law.log_ratio(lam)[-1 if lam > 0 else 0]
    if abs(lam) > 1e12:
        assert extreme == pytest.approx(-math.log(0.1 if lam > 0 else 0.3), rel=1e-14)


@pytest.mark.parametrize("mean", [1e-310, 1e-300, 1e-6, 0.00326, 0.5, 1.0 - 1e-6])
@pytest.mark.parametrize("kl", [1e-200, 1e-100, 1e-18, 1e-12, 1e-3])
def test_the_two_point_bound_is_the_frontier_of_a_coin(mean: float, kl: float) -> None:
    assert two_point(kl, mean) == pytest.approx(Bernoulli(mean).gain_at_kl(kl), rel=1e-12)


def test_best_of_n_with_masses_near_the_smallest_double() -> None:
    # One level in 1e-320 has density N: π = 4e-320, so KL = 1e-320 (4 log 4 - 3), to the four digits such numbers have.
    assert BestOfN(4).on(FiniteLaw([0.0, 1.0], [1.0, 1e-320])).kl == pytest.approx(2.545e-320, rel=1e-3)
    middle = BestOfN(4).on(FiniteLaw([0.0, 1.0, 2.0], [0.5, 1e-320, 0.5]))
    without = BestOfN(4).on(FiniteLaw([0.0, 2.0]))
    assert middle.kl == pytest.approx(without.kl, rel=1e-13)
    assert middle.gain == pytest.approx(without.gain, rel=1e-13)
    huge = BestOfN(1e300).on(FiniteLaw([0.0, 1.0], [1.0, 1e-310]))
    assert (huge.gain, huge.win_rate) == pytest.approx((1e-10, 0.5 + 0.5e-10), rel=1e-4)


@pytest.mark.parametrize("lam", [600.0, 720.0, 9e3, 1e6, 1e12, 1e300])
def test_soft_best_of_n_tends_to_best_of_n(lam: float) -> None:
    law = FiniteLaw([0.0, 1.0, 3.0], [0.2, 0.3, 0.5])
    soft, hard = SoftBestOfN(3, lam).on(law), BestOfN(3).on(law)
    assert soft.policy == pytest.approx(hard.policy, rel=1e-11)


def test_soft_best_of_n_with_a_rare_bottom_and_levels_that_lie_close() -> None:
    # Two draws of the bottom: its log policy is 2 log p.
    law = FiniteLaw([0.0, 1.0], [1e-13, 1.0 - 1e-13])
    assert SoftBestOfN(2, 5000.0).on(law).log_policy[0] == pytest.approx(2.0 * math.log(1e-13), rel=1e-12)
    # Two levels 1e-6 apart, λ = 1e6, and a third far below: by enumeration of the two draws.
    reward, prob, lam = np.array([0.0, 1.0, 1.0 + 1e-6]), np.array([0.2, 0.5, 0.3]), 1e6
    with np.errstate(under="ignore"):
        pair = np.exp(lam * (reward[:, None] - np.maximum(reward[:, None], reward[None, :])))
        other = np.exp(lam * (reward[None, :] - np.maximum(reward[:, None], reward[None, :])))
    expected = 2.0 * prob * ((pair / (pair + other)) @ prob)
    assert SoftBestOfN(2, lam).on(FiniteLaw(reward, prob)).policy == pytest.approx(expected, rel=1e-9)


def test_laplace_rewards_keep_their_mean() -> None:
    law = Laplace(2.0, 5.0)
    assert BestOfN(2).on(law).gain == pytest.approx(1.5, rel=1e-10)
    assert BestOfN(2).on(law).mean_reward == pytest.approx(6.5, rel=1e-10)
    assert np.mean(law.sample(0, 40_000)) == pytest.approx(5.0, abs=0.06)  # four standard errors


def test_the_distance_to_a_tilt_of_many_draws() -> None:
    # Σ_{i<k} π(i) log(π(i|<k)/p(i|<k)) with F = (.1, .7): π = (.1^N, .7^N - .1^N).
    with mp.workdps(60):
        low, high = mp.mpf("0.1") ** 400, mp.mpf("0.7") ** 400
        masses, base = [low, high - low], [mp.mpf(1) / 7, mp.mpf(6) / 7]
        exact = mp.fsum(q * mp.log(q / high / p) for q, p in zip(masses, base, strict=True))
    assert largest_distance([0.1, 0.6, 0.3], 400) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9, 1e12])
def test_markov_limits_do_not_see_an_offset_of_the_reward(offset: float) -> None:
    transition = [[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.4, 0.3, 0.3]]
    reward = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 1.0]])
    plain = MarkovModel(transition, reward, [1.0, 0.0, 0.0], 3).token
    moved = MarkovModel(transition, reward + offset, [1.0, 0.0, 0.0], 3).token
    # The best cycle is 0 → 1 → 2 → 0, of mean 4/3.
    assert plain.max_kl == pytest.approx(-math.log(0.8 * 0.7 * 0.4) / 3.0, rel=1e-12)
    assert moved.max_kl == pytest.approx(plain.max_kl, rel=1e-12)
    assert moved.max_reward - offset == pytest.approx(4.0 / 3.0, abs=1e-15 * offset + 1e-12)


@pytest.mark.parametrize("rare", [1e-10, 1e-40, 1e-100, 1e-300])
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.5, 1.0 - 1e-9])
def test_markov_budgets_with_a_step_hardly_ever_taken(rare: float, share: float) -> None:
    """Two states, of which the second earns and is hardly ever entered: the Perron root solves ``x² = x + εe^{2λ}``."""
    law = MarkovModel([[1.0 - rare, rare], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [1.0, 0.0], 3).token
    assert law.max_kl == pytest.approx(-0.5 * math.log(rare), rel=1e-12)
    lam = law.lam_at_kl(share * law.max_kl)
    with mp.workdps(340):
        stay, push = 1 - mp.mpf(rare), mp.mpf(rare) * mp.e ** (2 * mp.mpf(lam))
        spread = mp.sqrt(stay**2 + 4 * push)
        root = (stay + spread) / 2
        slope = 2 * push / spread / root  # of log root, for push' = 2 push
        exact = mp.mpf(lam) * slope - mp.log(root)
    assert float(exact) == pytest.approx(share * law.max_kl, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_markov_limits_scale_with_the_reward(scale: float) -> None:
    transition, reward = [[0.7, 0.3], [0.2, 0.8]], np.array([[0.0, 1.0], [2.0, 0.5]])
    plain = MarkovModel(transition, reward, [0.5, 0.5], 3).token
    scaled = MarkovModel(transition, scale * reward, [0.5, 0.5], 3).token
    assert scaled.lam_at_kl(0.3) * scale == pytest.approx(plain.lam_at_kl(0.3), rel=1e-10)
    assert scaled.gain_at_kl([0.3, 1.0]) / scale == pytest.approx(plain.gain_at_kl([0.3, 1.0]), rel=1e-10)
    assert plain._sd == pytest.approx(math.sqrt(plain.variance(0.0)), rel=1e-12)


def test_markov_budgets_with_small_transitions() -> None:
    law = MarkovModel([[1.0, 2.58e-27], [1.0, 8.5e-42]], [[1.0, 2.0], [2.0, 0.0]], [0.5, 0.5], 3).token
    assert law.max_kl == pytest.approx(-0.5 * math.log(2.58e-27), rel=1e-9)  # the cycle 0 → 1 → 0
    assert law.kl(law.lam_at_kl(0.5 * law.max_kl)) == pytest.approx(0.5 * law.max_kl, rel=1e-9)
    # Two loops that hardly meet: KL leaps within the last digit of λ, and the frontier follows its tangent there.
    two = MarkovModel([[1e-13, 1.0 - 1e-13], [0.85, 0.15]], [[1.0, -0.5], [-0.2, 0.75]], [0.5, 0.5], 3).token
    budgets = np.linspace(0.1, 0.9, 9) * two.max_kl
    gains = two.gain_at_kl(budgets)
    slopes = np.diff(gains) / np.diff(budgets)
    assert (slopes > 0.0).all()
    assert (np.diff(slopes) <= 1e-9 * slopes[:-1]).all()


def test_capacity_with_costs_and_repeated_rows() -> None:
    channel = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.4, 0.4], [0.3, 0.5, 0.2]])
    cost, dear = np.array([0.3, 1e-4, 1e-3, 0.2]), np.array([0.4, 0.5])
    for budget in (2e-4, 0.02, 0.1):
        plain = capacity(channel, cost=cost, budget=budget)
        repeated = capacity(np.vstack([channel, channel[[1, 3]]]), cost=np.append(cost, dear), budget=budget)
        assert repeated.value == pytest.approx(plain.value, abs=1e-9)


@pytest.mark.parametrize("below", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("scale", [1e-250, 1.0, 1e3])
def test_allocation_with_an_action_that_dominates(below: float, scale: float) -> None:
    uneven = RateDistortionTask(np.array([0.3, 0.7]), scale * np.array([[0.03, 0.0, 0.25], [0.29, 0.2, 0.0]]))
    loss = np.array([[1.0, 2.0, 1.5], [0.5, 3.0, 0.7]])
    loss[:, 0] = loss.min(axis=1) - below
    # Nothing is worth knowing of the second, so the first gets all.
    both = allocate([uneven, RateDistortionTask(np.array([0.6, 0.4]), scale * loss)], 0.05)
    alone = allocate([uneven], 0.1)
    assert both.distortion[0] == pytest.approx(alone.distortion[0], rel=1e-7)
    # A budget of 1e-6 nats lies where the rate of the first turns from flat to steep.
    assert allocate([uneven, RateDistortionTask(np.array([0.6, 0.4]), scale * loss)], 1e-6).gap <= 1e-8 * scale


def test_frontiers_are_compared_field_by_field() -> None:
    law = Gaussian()
    assert law.frontier([0.1, 0.2]) == law.frontier([0.1, 0.2])
    assert law.frontier([0.1, 0.2]) != law.frontier([0.1, 0.3])
    assert law.frontier([0.1]) != law.frontier([0.1, 0.2])
    assert law.frontier([0.1]) != 3


def test_a_divergence_by_an_unknown_name_is_refused_in_one_sentence() -> None:
    for rule in (BestOfN(2), BestOfPoisson(1.0)):
        with pytest.raises(InputError, match="divergence must be a Divergence or the name of one"):
            rule.spent_formula("kullback")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dist", "heavy"),
    [
        (stats.weibull_min(0.5), True),
        (stats.weibull_min(1.0), False),
        (stats.weibull_min(c=2.0), False),
        (stats.gennorm(0.7), True),
        (stats.gennorm(beta=1.5), False),
        (stats.genpareto(0.1), True),
        (stats.genpareto(0.0), False),
    ],
)
def test_shapes_decide_which_tails_are_heavy(dist: Any, heavy: bool) -> None:
    if heavy:
        assert HeavyTailed(dist).gain_at_kl(0.1) == math.inf
        return
    with pytest.raises(InputError, match="heavy upper tail"):
        HeavyTailed(dist)
