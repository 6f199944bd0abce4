"""The many-λ kernel against one exponential per λ, and its extremes."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.estimation._weights import plug_in_curves


def one_by_one(rewards: np.ndarray, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_partition, mean = np.empty((2, len(rewards), len(lam)))
    for i, row in enumerate(rewards):
        for j, value in enumerate(lam):
            top = (value * row).max()
            weight = np.exp(value * row - top)
            log_partition[i, j] = top + np.log(weight.mean())
            mean[i, j] = weight @ row / weight.sum()
    return log_partition, mean


GRIDS = {
    "equal": np.linspace(0.05, 3.2, 64),
    "equal, from 0": np.linspace(0.0, 4.0, 17),
    "equal, falling": np.linspace(2.0, 0.5, 31),
    "equal, negative": np.linspace(-3.0, -0.1, 30),
    "equal, negative, falling": np.linspace(-0.1, -3.0, 30),
    "geometric": np.geomspace(0.01, 10.0, 24),
    "few": np.array([0.3, 0.6]),
}


@pytest.mark.parametrize("shape", [(3, 5), (40, 64), (1, 20_001), (3, 9000)])
@pytest.mark.parametrize("grid", GRIDS)
def test_against_one_exponential_per_lam(grid: str, shape: tuple[int, int]) -> None:
    rewards = np.random.default_rng(0).standard_normal(shape)
    got, expected = plug_in_curves(rewards, GRIDS[grid]), one_by_one(rewards, GRIDS[grid])
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-12, atol=1e-13)


@settings(max_examples=40)
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=12),
    st.floats(1e-6, 30),
    st.integers(8, 40),
    st.floats(-1e6, 1e6),
)
def test_offset_only_shifts(rewards: list[float], top: float, count: int, offset: float) -> None:
    row = np.round(np.array([rewards]), 2)
    lam = np.linspace(top / count, top, count)
    base, moved = plug_in_curves(row, lam), plug_in_curves(row + offset, lam)
    scale = np.abs(offset) + 50.0
    np.testing.assert_allclose(moved[0] - lam * offset, base[0], rtol=0, atol=4e-15 * scale * top + 1e-12)
    np.testing.assert_allclose(moved[1] - offset, base[1], rtol=1e-11, atol=1e-13 * scale * (1 + top * 50.0))


def test_weights_that_underflow() -> None:
    """λ r down to -1e5: against 50 digits."""
    rewards = np.array([[-1000.0, -3.0, -2.5, 0.0, 0.0]])
    lam = np.linspace(1.0, 100.0, 34)
    log_partition, mean = plug_in_curves(rewards, lam)
    with mpmath.workdps(50):
        for j, value in enumerate(lam):
            weights = [mpmath.exp(mpmath.mpf(float(value)) * mpmath.mpf(r)) for r in rewards[0].tolist()]
            total = mpmath.fsum(weights)
            first = mpmath.fsum(w * r for w, r in zip(weights, rewards[0].tolist(), strict=True))
            assert log_partition[0, j] == pytest.approx(float(mpmath.log(total / 5)), rel=1e-13)
            assert mean[0, j] == pytest.approx(float(first / total), rel=1e-12, abs=1e-300)


def test_threads_do_not_change_a_digit() -> None:
    rewards = np.random.default_rng(1).standard_normal((1, 100_000))
    lam = np.linspace(0.1, 2.0, 20)
    first = plug_in_curves(rewards, lam)
    for _ in range(5):
        again = plug_in_curves(rewards, lam)
        assert (again[0] == first[0]).all()
        assert (again[1] == first[1]).all()
