"""Divergences and the frontiers of finite laws in them: duals, closed forms, and policies that do not do better."""

from __future__ import annotations

import math
import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize

from alignlib.divergences import KL, REVERSE_KL, Divergence
from alignlib.laws import FiniteLaw, Gaussian
from alignlib.laws.optima import optima

ALL = [KL, REVERSE_KL]
laws = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda rng, k: (rng.normal(size=k).round(2), rng.dirichlet(np.ones(k))))(
        np.random.default_rng(seed), int(np.random.default_rng(seed).integers(2, 9))
    )
)


@pytest.mark.parametrize("divergence", ALL)
def test_f_its_slope_and_its_conjugate_agree(divergence: Divergence) -> None:
    ratio = np.array([1e-3, 0.2, 0.9, 1.0, 1.5, 40.0])
    assert divergence.f(np.array(1.0)) == divergence.slope(np.array(1.0)) == 0.0
    step = 1e-6 * ratio
    secant = (divergence.f(ratio + step) - divergence.f(ratio - step)) / (2 * step)
    np.testing.assert_allclose(divergence.slope(ratio), secant, rtol=1e-6, atol=1e-9)
    price = divergence.slope(ratio)
    np.testing.assert_allclose(divergence.ratio_at(price), ratio, rtol=1e-12)
    np.testing.assert_allclose(divergence.conjugate(price), price * ratio - divergence.f(ratio), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        Divergence.conjugate(divergence, price), divergence.conjugate(price), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(divergence.f_of_log(np.log(ratio)), divergence.f(ratio), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("divergence", ALL)
def test_laws_that_hardly_differ_keep_their_digits(divergence: Divergence) -> None:
    tilt = FiniteLaw([0.0, 1.0, 4.0], [0.5, 0.3, 0.2])
    lam = 1e-9
    got = divergence.of_log_ratio(tilt.log_ratio(lam), tilt.prob)
    assert got == pytest.approx(tilt.kl(lam) if divergence is KL else tilt.reverse_kl(lam), rel=1e-9)


@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize("lam", [0.3, 2.0])
def test_closed_forms_of_a_tilt_are_the_definition(divergence: Divergence, lam: float) -> None:
    law = FiniteLaw([0.0, 1.0, 4.0], [0.5, 0.3, 0.2])
    closed = law.kl(lam) if divergence is KL else law.reverse_kl(lam)
    assert closed == pytest.approx(divergence.of_log_ratio(law.log_ratio(lam), law.prob), rel=1e-13)
    assert closed == pytest.approx(divergence.between(np.exp(law.log_policy(lam)), law.prob), rel=1e-12)


def test_divergences_are_equal_by_kind() -> None:
    """A frontier that was pickled is still one in KL."""
    curve = pickle.loads(pickle.dumps(FiniteLaw([0.0, 1.0]).frontier([0.1])))
    assert curve.divergence == KL != REVERSE_KL
    assert len({KL, curve.divergence, REVERSE_KL}) == 2


def test_between_two_laws() -> None:
    p, q = [0.5, 0.5, 0.0], [0.25, 0.75, 0.0]
    want = float(mp.mpf(1) / 4 * mp.log(mp.mpf(1) / 2) + mp.mpf(3) / 4 * mp.log(mp.mpf(3) / 2))
    assert KL.between(q, p) == pytest.approx(want, rel=1e-14)
    assert KL.between(p, q) == pytest.approx(REVERSE_KL.between(q, p), rel=1e-14)
    assert KL.between([0.5, 0.0, 0.5], p) == math.inf
    assert REVERSE_KL.between([0.4, 0.4, 0.2], p) == pytest.approx(-math.log(0.8), rel=1e-13)
    with pytest.raises(ValueError, match=r"policy must have the shape of prob, \(3,\)"):
        KL.between([1.0], p)
    with pytest.raises(ValueError, match="must not be negative"):
        KL.between([1.5, -0.5, 0.0], p)


@settings(max_examples=60)
@given(laws, st.floats(1e-6, 3.0))
def test_kl_by_the_general_dual_is_the_tilt(law: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    """The dual of any divergence, asked about KL, against Newton on the tilt."""
    finite = FiniteLaw(*law)
    gain, lam = optima(finite.reward, finite.prob, np.array([budget]), KL)
    assert gain[0] == pytest.approx(finite.gain_at_kl(budget), rel=1e-8, abs=1e-12)
    if budget < 0.99 * finite.max_kl:
        assert lam[0] == pytest.approx(finite.lam_at_kl(budget), rel=1e-6)


@settings(max_examples=60)
@given(laws, st.floats(1e-8, 8.0))
def test_reverse_kl_has_its_closed_form(law: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    """``φ ∝ p/(ν - r)``: some ν above all rewards spends the budget, and its policy gains what the frontier says."""
    finite = FiniteLaw(*law)
    if finite.max_reward == finite.min_reward:
        return
    gap = finite.max_reward - finite.reward

    def policy(log_margin: float) -> np.ndarray:
        mass = finite.prob / (math.exp(log_margin) + gap)
        return mass / mass.sum()

    def excess(log_margin: float) -> float:
        return float(finite.prob @ (np.log(finite.prob) - np.log(policy(log_margin)))) - budget

    assume(excess(-600.0) > 0.0)
    margin = optimize.brentq(excess, -600.0, 40.0, xtol=1e-13)
    want = float((policy(margin) - finite.prob) @ finite.reward)
    limit = finite.frontier([budget], REVERSE_KL)
    assert limit.gain[0] == pytest.approx(want, rel=1e-6, abs=1e-9)
    assert limit.divergence is REVERSE_KL


@settings(max_examples=40)
@given(laws, st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("divergence", ALL)
def test_no_policy_lies_above(divergence: Divergence, law: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    finite = FiniteLaw(*law)
    other = np.random.default_rng(seed).dirichlet(np.ones(finite.prob.size))
    spent = divergence.between(other, finite.prob)
    reward = float(other @ finite.reward)
    assert reward <= finite.frontier([spent], divergence).reward[0] + 1e-9


def test_a_budget_that_no_double_can_spend_buys_everything() -> None:
    """``φ(0) = e^{-800}``: the gain is the largest to the last digit."""
    limit = FiniteLaw([0.0, 1.0], [0.01, 0.99]).frontier([8.0], REVERSE_KL)
    assert limit.gain[0] == pytest.approx(0.01, rel=1e-12)


def test_ends_of_the_curve() -> None:
    law = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2])
    assert law.max_spent() == law.max_kl
    assert law.max_spent(REVERSE_KL) == math.inf
    curve = law.frontier(divergence=REVERSE_KL)
    assert (curve.spent[0], curve.spent[-1], curve.gain[0], curve.lam[0]) == (0.0, 8.0, 0.0, 0.0)
    assert (np.diff(curve.gain) > 0).all()
    assert curve.reward[-1] < 3.0
    flat = FiniteLaw([2.0, 2.0]).frontier([0.0, 1.0], REVERSE_KL)
    assert flat.gain.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="divergence must be KL for Gaussian; got 'reverse_kl'"):
        Gaussian().frontier([0.1], REVERSE_KL)


def test_a_divergence_whose_parts_disagree_is_found_out() -> None:
    class Wrong(type(KL)):  # type: ignore[misc]
        name = "wrong"

        def conjugate(self, price: np.ndarray) -> np.ndarray:
            return np.asarray(np.expm1(price) + 0.01)

    with pytest.raises(ArithmeticError, match=r"the optimum for 0\.1 of wrong is not certified"):
        FiniteLaw([0.0, 1.0]).frontier([0.1], Wrong())
