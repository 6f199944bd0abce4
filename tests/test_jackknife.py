"""The closed-form jackknives against deleting samples one and two at a time."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.estimation.jackknife import doubling_grid, in_logarithms, jackknife_log_partition


def log_mean_exp(rewards: np.ndarray, lam: float) -> float:
    return float(np.logaddexp.reduce(lam * rewards) - np.log(len(rewards)))


def brute_force(rewards: np.ndarray, statistic: Callable[[np.ndarray], float]) -> tuple[float, float, float]:
    n = len(rewards)
    whole = statistic(rewards)
    one = np.mean([statistic(np.delete(rewards, i)) for i in range(n)])
    two = np.mean([statistic(np.delete(rewards, pair)) for pair in itertools.combinations(range(n), 2)])
    second = 0.5 * (n * n * whole - 2 * (n - 1) ** 2 * one + (n - 2) ** 2 * two)
    return whole, n * whole - (n - 1) * one, second


def descending(rewards: np.ndarray) -> np.ndarray:
    return -np.sort(-rewards)[None, :]


@pytest.mark.parametrize("rewards", [np.eye(1, 64)[0], np.r_[1.0, 0.9, np.zeros(30)], np.r_[1.0, 1.0, np.zeros(14)]])
def test_one_sample_that_outweighs_the_rest_keeps_the_digits(rewards: np.ndarray) -> None:
    lam = doubling_grid(0.25, 400.0)
    found = jackknife_log_partition(descending(rewards), lam)
    for j, value in enumerate(lam.tolist()):
        expected = in_logarithms(descending(rewards), value)[:3, 0] + value * rewards.max()
        got = [found.plug_in[j, 0], found.first_order[j, 0], found.second_order[j, 0]]
        assert got == pytest.approx(expected, rel=2e-12, abs=2e-12), value


@given(
    st.lists(st.integers(-20, 20).map(lambda k: k / 8), min_size=3, max_size=12),
    st.sampled_from([1e-6, 0.3, 2.0, 40.0, 3000.0]),
)
def test_closed_form_is_deletion(rewards: list[float], lam: float) -> None:
    row = descending(np.array(rewards))
    estimate = jackknife_log_partition(row, lam)
    expected = brute_force(row[0], lambda part: log_mean_exp(part, lam))
    got = (estimate.plug_in[0], estimate.first_order[0], estimate.second_order[0])
    # The brute force itself subtracts numbers of size n² λ max|r|.
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13 * 144 * max(1.0, lam * np.abs(row).max()))


def test_weights_that_underflow_stay_finite() -> None:
    row = np.array([[1.0, 0.0, -1.0, -2.0]])
    estimate = jackknife_log_partition(row, 1e5)
    assert estimate.ess[0] == pytest.approx(1.0)
    assert estimate.largest_weight[0] == pytest.approx(1.0)
    np.testing.assert_allclose(estimate.second_order / 1e5, brute_force(row[0], np.max)[2], rtol=1e-3)


def test_bias_falls_order_by_order() -> None:
    """Gaussian reward, λ = 1, n = 16: plug-in, first and second order against Λ = 1/2."""
    rows = -np.sort(-np.random.default_rng(3).standard_normal((200_000, 16)), axis=1)
    estimate = jackknife_log_partition(rows, 1.0)
    bias = [abs(part.mean() - 0.5) for part in (estimate.plug_in, estimate.first_order, estimate.second_order)]
    assert bias[0] > 5 * bias[1] > 10 * bias[2]


def test_two_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 samples"):
        jackknife_log_partition(np.array([[1.0, 0.0]]), 1.0)


@pytest.mark.parametrize("kind", ["normal", "exponential", "ties", "constant"])
@pytest.mark.parametrize("n", [3, 4, 12, 64])
def test_squared_weights_agree_with_logarithms(kind: str, n: int) -> None:
    """All of the grid, from λ ≈ 0 to where the weights of all but one sample underflow."""
    rng = np.random.default_rng(n)
    draw = {
        "normal": lambda: rng.standard_normal((50, n)) * rng.gamma(2.0, 1.0, (50, 1)),
        "exponential": lambda: rng.standard_exponential((50, n)),
        "ties": lambda: rng.integers(0, 3, (50, n)).astype(float),
        "constant": lambda: np.ones((3, n)),
    }
    rows = -np.sort(-draw[kind](), axis=1)
    lam = doubling_grid(1e-3, 3000.0)
    found = jackknife_log_partition(rows, lam)
    for j in range(0, lam.size, 4):
        expected = in_logarithms(rows, float(lam[j]))
        got = np.array([found.plug_in[j], found.first_order[j], found.second_order[j]]) - lam[j] * rows[:, 0]
        np.testing.assert_allclose(got, expected[:3], rtol=2e-12, atol=1e-12 * max(10.0, float(lam[j]) * rows.max()))
        np.testing.assert_allclose(found.ess[j], expected[3], rtol=1e-10)
        np.testing.assert_allclose(found.largest_weight[j], expected[4], rtol=1e-11, atol=1e-300)


def test_one_lam_is_one_of_many() -> None:
    rows = -np.sort(-np.random.default_rng(0).standard_normal((3000, 40)), axis=1)
    lam = doubling_grid(0.5, 2.0)
    many, one = jackknife_log_partition(rows, lam), jackknife_log_partition(rows, lam[7])
    np.testing.assert_allclose(many.second_order[7], one.second_order, rtol=1e-12)
