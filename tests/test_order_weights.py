"""Weights of the order statistics: against rationals, enumeration and deletion one by one."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib import InputError
from alignlib.rules.order_weights import jackknifed_weights, subset_means, subset_weights


@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 2), (300, 37), (300, 300), (1000, 999), (4000, 64)])
def test_subset_weights_against_rationals(m: int, n: int) -> None:
    weights = subset_weights(m, n)
    for k in {0, 1, len(weights) // 2, len(weights) - 1} & set(range(len(weights))):
        exact = Fraction(math.comb(m - k - 1, n - 1), math.comb(m, n))
        assert weights[k] == pytest.approx(float(exact), rel=1e-12, abs=1e-300)
    assert 1 - math.fsum(weights) <= 1e-12


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7), st.data())
def test_subset_means_enumerate_subsets(rewards: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rewards)))
    best = [max(s) for s in itertools.combinations(rewards, n)]
    got = subset_means(-np.sort(-np.array([rewards], dtype=float)), np.array([n]))
    assert got[0, 0] == pytest.approx(sum(best) / len(best), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("n", [np.array([1, 4]), np.array([0]), np.array([2**63], dtype=np.uint64)], ids=str)
def test_a_size_that_no_subset_has_is_refused(n: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"n must lie between 1 and 3, the samples; got \[\d+\]"):
        subset_means(np.array([[3.0, 2.0, 1.0]]), n)


def test_blocks_agree_with_exact_weights_for_many_samples() -> None:
    """Against the recurrence in extended precision at full length, for n that use blocks and n that do not."""
    rng = np.random.default_rng(0)
    rewards = -np.sort(-rng.normal(size=(2, 100_037)))
    m = rewards.shape[1]
    ns = np.array([1, 2, 3, 8, 17, 64, 128, 129, 1000, m])
    got = subset_means(rewards, ns)
    for j, n in enumerate(ns.tolist()):
        k = np.arange(1, m - n + 1, dtype=np.longdouble)
        ratios = np.concatenate([[np.longdouble(n) / m], (m - n + 1 - k) / (m - k)])
        exact = rewards[:, : m - n + 1].astype(np.longdouble) @ np.cumprod(ratios)
        np.testing.assert_allclose(got[:, j], exact.astype(float), rtol=1e-12, atol=1e-12)


@settings(max_examples=40)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=9), st.floats(1, 6))
def test_jackknifed_weights_delete_one_by_one(rewards: list[float], power: float) -> None:
    def plug_in(values: list[float]) -> float:
        ordered = sorted(values)
        m = len(ordered)
        return sum(((i + 1) / m) ** power * x - (i / m) ** power * x for i, x in enumerate(ordered))

    m = len(rewards)
    left = [plug_in(rewards[:i] + rewards[i + 1 :]) for i in range(m)]
    direct = m * plug_in(rewards) - (m - 1) * sum(left) / m
    weights = jackknifed_weights(m, lambda f: f**power)
    assert weights @ np.sort(rewards)[::-1] == pytest.approx(direct, rel=1e-10, abs=1e-10)


def test_jackknife_is_nearly_the_unbiased_weight() -> None:
    """For whole n the subset weights are unbiased; the jackknife of the plug-in agrees to second order."""
    exact = np.zeros(400)
    exact[: subset_weights(400, 5).size] = subset_weights(400, 5)
    assert np.abs(jackknifed_weights(400, lambda f: f**5) - exact).sum() < 1e-4
