"""Old bounds: never below the exact frontier, equal to it where the theory says so."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, bounds
from tests.oracle import relative

BUDGETS = np.array([1e-6, 0.01, 0.1, 0.5, 2.0, 6.0])


@settings(max_examples=80)
@given(
    st.lists(st.floats(-3, 4).map(lambda x: round(x, 3)), min_size=3, max_size=8),
    st.lists(st.floats(1e-3, 1), min_size=8, max_size=8),
)
def test_no_bound_lies_below_the_exact_frontier(reward: list[float], masses: list[float]) -> None:
    prob = np.array(masses[: len(reward)]) / sum(masses[: len(reward)])
    family = FiniteLaw(reward, prob)
    low, high = family.min_reward, family.max_reward
    if high - low < 1e-2:
        return
    exact = family.frontier(BUDGETS).gain
    sd = math.sqrt(family.variance(0.0))
    binary = bounds.two_point(BUDGETS, family.base_reward, low, high)
    for bound in (
        bounds.hoeffding(BUDGETS, low, high),
        bounds.bennett(BUDGETS, sd, high - family.base_reward),
        bounds.sub_gamma(BUDGETS, sd, (high - family.base_reward) / 3),
        binary,
    ):
        assert (exact <= bound * (1 + 1e-7) + 1e-9).all()
    assert (binary <= bounds.hoeffding(BUDGETS, low, high) * (1 + 1e-9)).all()


def test_equality_cases() -> None:
    np.testing.assert_allclose(Gaussian(0, 1.7).gain_at_kl(BUDGETS), bounds.sub_gaussian(BUDGETS, 1.7), rtol=1e-14)
    np.testing.assert_allclose(Bernoulli(0.3).gain_at_kl(BUDGETS), bounds.two_point(BUDGETS, 0.3), rtol=1e-9)
    assert (Exponential().gain_at_kl(BUDGETS) <= bounds.sub_gamma(BUDGETS, 1.0, 1.0)).all()


def test_bennett_inverts_its_function_at_every_scale() -> None:
    for a in [1e-16, 1e-8, 0.9e-3, 1.1e-3, 0.5, 1.0, 30.0, 1e6]:
        x = mp.mpf(bounds.bennett(a, 1.0, 1.0))
        assert relative(a, (1 + x) * mp.log(1 + x) - x) < 1e-12


def test_binary_inverse_against_high_precision() -> None:
    for m, budget in [(0.3, 0.2), (1e-6, 1e-3), (0.5, 1e-8), (0.999, 5e-4)]:
        rise = mp.mpf(bounds.two_point(budget, m))
        q = m + rise
        spent = q * mp.log(q / mp.mpf(m)) + (1 - q) * mp.log((1 - q) / (1 - mp.mpf(m)))
        slope = mp.log(q * (1 - mp.mpf(m)) / ((1 - q) * m))
        assert abs(spent - budget) / slope <= 1e-13 + 1e-9 * float(rise)
    assert bounds.two_point(50.0, 0.3) == 0.7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bounds.sub_gaussian(1.0, 0.0), "sd must lie in"),
        (lambda: bounds.sub_gaussian(-1.0, 1.0), "kl must lie in"),
        (lambda: bounds.hoeffding(1.0, 2.0, 1.0), "high must exceed low"),
        (lambda: bounds.sub_gamma(1.0, 1.0, -1.0), "scale must lie in"),
        (lambda: bounds.bennett(1.0, 1.0, 0.0), "high must lie in"),
        (lambda: bounds.two_point(1.0, 2.0), "base_reward must lie strictly"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]
