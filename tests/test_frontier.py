"""The frontier: primal against dual, against a general convex solver, and its theorems as properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, Laplace, Uniform, dual_gain, kl_to_optimum

laws = st.integers(2, 7).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=k, max_size=k),
        st.lists(st.floats(1e-3, 1), min_size=k, max_size=k),
    )
)


@settings(max_examples=50)
@given(laws, st.floats(1e-4, 5))
def test_primal_equals_dual(law: tuple[list[float], list[float]], kl: float) -> None:
    family = FiniteLaw(law[0], np.array(law[1]) / sum(law[1]))
    width = np.ptp(law[0])
    assert family.frontier(kl).gain[0] == pytest.approx(dual_gain(family, kl), rel=1e-10, abs=1e-9 * width + 1e-12)


@pytest.mark.parametrize("law", [Gaussian(0, 2), Uniform(), Exponential(), Laplace(0.5), Bernoulli(0.2)])
@pytest.mark.parametrize("kl", [1e-6, 0.1, 1.0, 4.0])
def test_primal_equals_dual_on_every_family(law: Gaussian, kl: float) -> None:
    assert law.gain_at_kl(kl) == pytest.approx(dual_gain(law, kl), rel=1e-11)


@settings(max_examples=50)
@given(laws, st.lists(st.floats(1e-3, 1), min_size=7, max_size=7))
def test_no_policy_lies_above_the_frontier(law: tuple[list[float], list[float]], other: list[float]) -> None:
    reward, prob = np.array(law[0]), np.array(law[1]) / sum(law[1])
    phi = np.array(other[: reward.size]) / sum(other[: reward.size])
    spent = float(phi @ np.log(phi / prob))
    assert phi @ reward <= FiniteLaw(reward, prob).frontier(max(spent, 0.0)).reward[0] + 1e-9


@settings(max_examples=40)
@given(laws)
def test_frontier_is_concave_with_slope_beta(law: tuple[list[float], list[float]]) -> None:
    family = FiniteLaw(law[0], np.array(law[1]) / sum(law[1]))
    if family.max_kl == 0 or family.max_reward - family.min_reward < 0.01:
        return
    kl = family.max_kl * np.linspace(0.05, 0.9, 60)
    curve = family.frontier(kl)
    slopes = np.diff(curve.gain) / np.diff(kl)
    assert (slopes > 0).all()
    assert (np.diff(slopes) <= 1e-9 * slopes[0]).all()
    # Each chord's slope lies between the slopes β = 1/λ at its ends.
    assert (slopes <= 1 / curve.lam[:-1] * (1 + 1e-9)).all()
    assert (slopes >= 1 / curve.lam[1:] * (1 - 1e-9)).all()


def test_against_a_general_solver() -> None:
    rng = np.random.default_rng(5)
    reward, prob = rng.normal(size=6), rng.dirichlet(np.ones(6))
    solved = optimize.minimize(
        lambda q: -q @ reward,
        prob,
        method="SLSQP",
        bounds=[(1e-12, 1)] * 6,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "ineq", "fun": lambda q: 0.4 - q @ np.log(q / prob)},
        ],
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert FiniteLaw(reward, prob).frontier(0.4).reward[0] == pytest.approx(-solved.fun, rel=1e-7)


def test_default_budgets_cover_the_curve() -> None:
    curve = FiniteLaw([0.0, 1.0, 2.0], [0.7, 0.2, 0.1]).frontier()
    assert curve.spent[0] == 0.0
    assert curve.gain[0] == 0.0
    assert curve.spent[-1] == pytest.approx(math.log(10))
    assert curve.reward[-1] == pytest.approx(2.0)
    assert Gaussian().frontier().spent[-1] == 8.0
    assert FiniteLaw([1.0]).frontier().gain.max() == 0.0


@settings(max_examples=50)
@given(laws, st.floats(0.05, 5), st.lists(st.floats(1e-3, 1), min_size=7, max_size=7))
def test_methods_near_the_frontier_are_near_the_optimum_y24(
    law: tuple[list[float], list[float]], lam: float, other: list[float]
) -> None:
    """Within ε of the budget and δ of the reward means within ε + λδ of the optimum in KL."""
    reward, prob = np.array(law[0]), np.array(law[1]) / sum(law[1])
    phi = np.array(other[: reward.size]) / sum(other[: reward.size])
    family = FiniteLaw(reward, prob)
    kl, gain = float(phi @ np.log(phi / prob)), float(phi @ reward) - family.base_reward
    distance = kl_to_optimum(family, lam, max(kl, 0.0), gain)
    direct = float(phi @ (np.log(phi) - family.log_policy(lam)))
    assert distance == pytest.approx(direct, rel=1e-8, abs=1e-10)
    eps, delta = max(kl - family.kl(lam), 0.0), max(family.gain(lam) - gain, 0.0)
    assert direct <= eps + lam * delta + 1e-9


def test_bad_input_is_named() -> None:
    family = FiniteLaw([0.0, 1.0])
    with pytest.raises(ValueError, match=r"budgets must lie in \[0, ∞\)"):
        family.frontier([-0.1])
    with pytest.raises(ValueError, match=r"kl must lie in \(0, ∞\)"):
        dual_gain(family, 0.0)
    with pytest.raises(ValueError, match="lam must be finite"):
        kl_to_optimum(family, math.inf, 1.0, 0.1)
