"""Powers of laws in log space: against exact integers at full length, each other, and the methods that fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.sequences.lattice_sums import (
    Lattice,
    log_convolve,
    log_power,
    power_by_recursion,
    power_by_squaring,
    recursion_has_no_subtraction,
)
from tests.exact_sums import log_integer_power

# Masses that are whole multiples of 1/16 or 1/1024 have no rounding of their own.
TERNARY, LENGTH = (8, 5, 3), 10_000


def _logs(weights: tuple[int, ...]) -> np.ndarray:
    total = sum(weights)
    return np.array([math.log(w / total) if w else -np.inf for w in weights])


def _worst(got: np.ndarray, want: np.ndarray, floor: float = -np.inf) -> float:
    assert (np.isfinite(got) == np.isfinite(want)).all()
    held = np.isfinite(want) & (want >= floor)
    return float(np.abs(got[held] - want[held]).max())


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return log_integer_power(TERNARY, LENGTH)


@pytest.mark.parametrize("method", [power_by_recursion, power_by_squaring])
def test_length_10000_against_exact_integers(method: object, exact: np.ndarray) -> None:
    """Relative accuracy 1e-10 of every mass down to e^-16740, the smallest there is."""
    got = method(_logs(TERNARY), LENGTH)  # type: ignore[operator]
    assert exact.min() < -16_000
    assert _worst(got, exact, -5000.0) <= 5e-11
    assert _worst(got, exact) <= 1e-10


def test_the_two_methods_agree_at_full_length() -> None:
    """Additions from both ends against tilted squaring: nothing in common but the law."""
    for weights in ((1, 1), (5, 3, 2), (1, 0, 6, 1), (2, 0, 0, 0, 0, 1, 0, 7)):
        logs = _logs(weights)
        assert _worst(power_by_recursion(logs, 3000), power_by_squaring(logs, 3000)) <= 5e-11, weights


@pytest.mark.parametrize(
    "weights",
    [
        (1, 1, 1, 1, 1, 1),
        (1, 5, 3, 1),
        (10, 1, 0, 5, 0, 2),
        (1, 0, 0, 0, 1, 1),
        (1, 10**30, 10**60),
        (10**60, 1, 0, 0, 10**60),
        (1, 10**100, 0, 1),
        (1,),
        (1, 0, 0, 1),
    ],
)
@pytest.mark.parametrize("length", [1, 2, 3, 61])
def test_many_letters_gaps_and_clusters_against_integers(weights: tuple[int, ...], length: int) -> None:
    got, want = log_power(_logs(weights), length), log_integer_power(weights, length)
    # A mass of 1e-200 has a logarithm that is known to 3e-14 only.
    assert _worst(got, want) <= 1e-12 * max(1.0, float(np.abs(want[np.isfinite(want)]).max()) / 100)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6), st.integers(1, 40))
def test_any_law_against_integers(weights: list[int], length: int) -> None:
    weights = [1 + weights[0], *weights[1:-1], 1 + weights[-1]]
    assert _worst(log_power(_logs(tuple(weights)), length), log_integer_power(weights, length)) <= 1e-11


def test_a_naive_fft_power_fails_where_this_does_not(exact: np.ndarray) -> None:
    """The FFT's error is 1e-16 of the largest mass: right in the middle, noise beyond, and negative 'masses'."""
    prob = np.array(TERNARY) / 16
    size = LENGTH * 2 + 1
    fft = np.fft.irfft(np.fft.rfft(prob, 1 << 15) ** LENGTH, 1 << 15)[:size]
    mode = int(np.argmax(exact))
    assert abs(math.log(fft[mode]) - exact[mode]) < 1e-9
    assert (fft <= 0).any()
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(fft)
    right = np.abs(logs - exact) < 1e-10
    assert right.mean() < 0.1  # fewer than a tenth of the masses
    far = exact < -100
    assert np.nanmin(np.abs(logs[far] - exact[far])) > 10
    assert np.abs(log_power(_logs(TERNARY), LENGTH) - exact).max() <= 1e-10


def test_one_tilt_makes_the_fft_right_only_near_the_tilted_mean(exact: np.ndarray) -> None:
    size, theta = LENGTH * 2 + 1, 1.0
    prob = np.array(TERNARY) / 16 * np.exp(theta * np.arange(3))
    total = prob.sum()
    fft = np.fft.irfft(np.fft.rfft(prob / total, 1 << 15) ** LENGTH, 1 << 15)[:size]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(fft) + LENGTH * math.log(total) - theta * np.arange(size)
    mode = int(np.nanargmax(fft))
    assert exact[mode] < -1000  # far in the base law's tail
    assert abs(logs[mode] - exact[mode]) < 1e-8
    assert np.nanmax(np.abs(logs - exact)) > 100


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 16_000, reason="long doubles are doubles here")
def test_length_10000_against_direct_convolution_in_long_doubles() -> None:
    """Products of all masses, doubled from one token up, in the processor's extended precision as far as it reaches."""
    prob = (np.array(TERNARY) / 16).astype(np.longdouble)
    law = np.ones(1, dtype=np.longdouble)
    for bit in f"{LENGTH:b}":
        law = np.convolve(law, law)  # sums of positive products: nothing cancels
        if bit == "1":
            law = np.convolve(law, prob)
    with np.errstate(divide="ignore"):
        logs = np.log(law).astype(float)
    held = logs > -11_000  # below, long doubles lose digits and then vanish
    assert (logs[held] < -5000).any()
    assert np.abs(log_power(_logs(TERNARY), LENGTH)[held] - logs[held]).max() <= 2e-11


def test_miller_from_one_end_only_fails() -> None:
    """Past the middle the terms change sign and errors grow by e^hundreds: why both ends are used."""
    logs = _logs(TERNARY)
    length = 300
    want = log_integer_power(TERNARY, length)
    ratio = np.exp(logs - logs[0])
    a = [1.0]
    for n in range(1, 2 * length + 1):
        a.append(sum((k * (length + 1) - n) * ratio[k] * a[n - k] for k in (1, 2) if k <= n) / n)
    got = np.log(np.abs(np.array(a))) + length * logs[0]
    assert abs(got[length] - want[length]) < 1e-11
    assert abs(got[-1] - want[-1]) > 10


def test_recursion_is_used_for_three_letters_and_not_where_it_subtracts() -> None:
    assert recursion_has_no_subtraction(_logs((5, 3, 2)), 10_000)
    assert recursion_has_no_subtraction(_logs((5, 0, 0, 3, 2)), 10_000)
    assert not recursion_has_no_subtraction(_logs((1, 1, 1, 1)), 10_000)
    assert not recursion_has_no_subtraction(_logs((1, 10**200, 0, 0, 1)), 10_000)


@settings(max_examples=60)
@given(
    st.lists(st.floats(-2000, 0), min_size=1, max_size=12),
    st.lists(st.one_of(st.just(-math.inf), st.floats(-2000, 0)), min_size=1, max_size=12),
)
def test_convolution_against_the_definition(a: list[float], b: list[float]) -> None:
    """Rough laws far from concave: where no tilt helps the sum is done in log space."""
    want = np.full(len(a) + len(b) - 1, -np.inf)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            want[i + j] = np.logaddexp(want[i + j], x + y)
    got = log_convolve(np.array(a), np.array(b))
    # The tilt is up to 4000 per index and the index up to 22: a product of 1e5 is rounded to 1e-11.
    np.testing.assert_allclose(got, want, rtol=0, atol=4e-11)


@pytest.mark.parametrize(("log_mass", "length", "words"), [([0.0], 0, "length"), ([-np.inf, 0.0], 2, "both ends")])
def test_bad_input_is_named(log_mass: list[float], length: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        log_power(np.array(log_mass), length)


@settings(max_examples=100)
@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True),
    st.floats(-10, 10),
    st.sampled_from([0.1, 0.25, 1 / 3, 1e-6, 7.0]),
)
def test_lattices_are_found(index: list[int], start: float, step: float) -> None:
    rewards = start + step * np.array(index)
    lattice = Lattice.of(rewards)
    if lattice is None:  # allowed only where rounding of the start has eaten the steps
        assert abs(start) / (step * np.ptp(index)) > 1e6
        return
    np.testing.assert_allclose(lattice.start + lattice.step * lattice.index, rewards, rtol=0, atol=1e-13)
    common = math.gcd(*(i - min(index) for i in index))
    assert lattice.width == (max(index) - min(index)) // common


@pytest.mark.parametrize(
    "rewards", [[0.0, 1.0, math.pi], [0.0, 1.0, 0.5 + 1e-9], [0.0, 1.0, 1 / 10_007], [0.0, 1.0, 0.6180339887]]
)
def test_no_lattice_is_invented(rewards: list[float]) -> None:
    assert Lattice.of(rewards) is None


def test_a_constant_reward_is_a_lattice_of_one_point() -> None:
    lattice = Lattice.of([2.5, 2.5])
    assert lattice is not None
    assert lattice.width == 0
