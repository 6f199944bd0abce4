"""Channels: closed forms to 1e-12, the certificate against brute force, and every size and degeneracy."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from alignlib.bottleneck import (
    CapacityError,
    Cascade,
    binary_erasure_channel,
    binary_symmetric_channel,
    blahut_arimoto,
    capacity,
    channels,
    mutual_information,
    symmetric_channel,
    z_channel,
)

ERRORS = [0.0, 1e-300, 1e-20, 1e-6, 0.01, 0.1, 0.3, 0.49, 0.5 - 1e-6, 0.5, 0.9, 1.0]


def entropy(prob: list[mp.mpf]) -> mp.mpf:
    return -mp.fsum(p * mp.log(p) for p in prob if p > 0)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("size", [2, 3, 17])
def test_m_ary_symmetric_closed_form(size: int, error: float) -> None:
    e = mp.mpf(error)
    exact = mp.log(size) - entropy([1 - e, e]) - e * mp.log(size - 1)
    found = capacity(symmetric_channel(size, error))
    assert abs(found.value - exact) <= 1e-12
    assert found.gap <= 1e-12


@pytest.mark.parametrize("error", ERRORS)
def test_binary_closed_forms(error: float) -> None:
    e = mp.mpf(error)
    assert abs(capacity(binary_symmetric_channel(error)).value - (mp.log(2) - entropy([e, 1 - e]))) <= 1e-12
    assert abs(capacity(binary_erasure_channel(error)).value - (1 - e) * mp.log(2)) <= 1e-12
    exact = mp.log(1 + (1 - e) * e ** (e / (1 - e))) if error < 1 else mp.mpf(0)
    assert abs(capacity(z_channel(error)).value - exact) <= 1e-12


@pytest.mark.parametrize("error", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_z_channel_input_law(error: float) -> None:
    e = error
    exact = 1 / ((1 - e) * (1 + math.exp(-(e * math.log(e) + (1 - e) * math.log1p(-e)) / (1 - e))))
    # The value is flat at its maximum, so a gap of 1e-13 fixes the law to its root only.
    assert capacity(z_channel(e)).input_prob[1] == pytest.approx(exact, abs=1e-6)


def test_a_nearly_useless_channel_keeps_its_digits() -> None:
    # log 2 - h(1/2 - x) = 2x² + 4x⁴/3 + …
    for x in (1e-5, 1e-8, 1e-12):
        half = 0.5 - x
        true_x = 0.5 - half  # exact
        assert capacity(binary_symmetric_channel(half)).value == pytest.approx(2 * true_x**2, rel=1e-9)


@pytest.mark.parametrize("size", [2, 64, 300])
def test_noiseless_and_useless(size: int) -> None:
    assert capacity(np.eye(size)).value == pytest.approx(math.log(size), abs=1e-12)
    row = np.random.default_rng(size).dirichlet(np.ones(size))
    assert capacity(np.tile(row, (5, 1))).value == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_input_or_one_output_carries_nothing(shape: tuple[int, int]) -> None:
    assert capacity(np.full(shape, 1 / shape[1])).value == 0.0


@pytest.mark.parametrize(
    "shape", [(2, 2), (2, 1000), (1000, 2), (8, 3), (64, 64), (256, 256), (300, 10), (10, 300), (1000, 1000)]
)
@pytest.mark.parametrize("concentration", [0.3, 2.0])
def test_certified_gap_at_every_size(shape: tuple[int, int], concentration: float) -> None:
    rows = np.random.default_rng(3).dirichlet(np.full(shape[1], concentration), size=shape[0])
    found = capacity(rows)
    check_certificate(rows, found)
    assert found.gap <= 1e-11
    assert found.n_iter <= 40  # Newton steps; plain steps would take thousands


def check_certificate(rows: np.ndarray, found: channels.CapacityResult) -> None:
    """Recompute both ends of the bracket from the definitions."""
    p = found.input_prob
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    q = p @ rows
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(rows > 0, rows * np.log(rows / q), 0.0).sum(axis=1)
    assert p @ divergence == pytest.approx(found.value, abs=1e-12)
    assert divergence[rows.sum(axis=1) > 0].max() <= found.upper + 1e-12


def test_zero_rows_and_columns_change_nothing() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=5)
    padded = np.zeros((8, 7))
    padded[np.ix_([0, 2, 3, 5, 7], [1, 2, 4, 6])] = rows
    found, plain = capacity(padded), capacity(rows)
    assert found.value == pytest.approx(plain.value, abs=1e-13)
    assert found.input_prob[[1, 4, 6]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("tiny", [1e-6, 1e-30, 1e-300])
def test_an_output_of_tiny_mass(tiny: float) -> None:
    # The third input only adds a rare output to a mixture of the first two.
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5 - tiny, tiny]])
    found = capacity(rows)
    assert math.log(2) - 1e-12 <= found.upper <= math.log(2) + 1e-5
    assert found.gap <= 1e-12


def test_against_plain_blahut_arimoto() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        rows = rng.dirichlet(np.full(6, 0.5), size=5)
        fast, plain = capacity(rows), blahut_arimoto(rows)
        assert plain.value - 1e-13 <= fast.upper
        assert fast.value <= plain.upper + 1e-13


def test_against_brute_force() -> None:
    """A grid over all laws of three inputs never beats the capacity and comes within its own spacing."""
    steps = 200
    grid = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
    rng = np.random.default_rng(11)
    for _ in range(5):
        rows = rng.dirichlet(np.full(4, 0.7), size=3)
        q = grid @ rows
        with np.errstate(divide="ignore"):
            value = grid @ (rows * np.log(rows)).sum(axis=1) - np.where(q > 0, q * np.log(q), 0).sum(axis=1)
        found = capacity(rows)
        assert value.max() <= found.upper + 1e-13
        assert value.max() >= found.value - 1e-3


@st.composite
def random_channels(draw: st.DrawFn) -> np.ndarray:
    inputs, outputs = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    concentration = 10 ** draw(st.floats(-1.5, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = rng.gamma(concentration, size=(inputs, outputs)) + 1e-300
    rows /= rows.sum(axis=1, keepdims=True)
    return np.vstack([rows, rows]) if draw(st.booleans()) else rows


@settings(max_examples=150)
@given(random_channels())
def test_property_certificate(rows: np.ndarray) -> None:
    found = capacity(rows)
    assert found.gap <= 1e-9
    check_certificate(rows, found)
    assert 0 <= found.value <= math.log(min(rows.shape)) + 1e-12


@settings(max_examples=60)
@given(random_channels(), st.integers(0, 2**32 - 1))
def test_property_data_processing(rows: np.ndarray, seed: int) -> None:
    """A second channel after the first, or fewer inputs, never raises the capacity."""
    after = np.random.default_rng(seed).dirichlet(np.ones(4), size=rows.shape[1])
    whole = capacity(rows)
    assert capacity(rows @ after).value <= whole.upper + 1e-12
    assert capacity(rows[: max(1, len(rows) // 2)]).value <= whole.upper + 1e-12


@settings(max_examples=60)
@given(random_channels(), st.integers(0, 2**32 - 1))
def test_property_no_law_beats_the_capacity(rows: np.ndarray, seed: int) -> None:
    prob = np.random.default_rng(seed).dirichlet(np.full(len(rows), 0.5))
    assert mutual_information(prob, rows) <= capacity(rows).upper + 1e-12


@settings(max_examples=100)
@given(random_channels(), st.integers(0, 2**32 - 1), st.floats(0.001, 1.0))
def test_property_costs(rows: np.ndarray, seed: int, share: float) -> None:
    """The budget is kept, more of it never hurts, and the dual price closes the gap."""
    cost = np.random.default_rng(seed).normal(size=len(rows))
    budget = float(cost.min() + share**2 * np.ptp(cost))
    found = capacity(rows, cost=cost, budget=budget)
    assert cost @ found.input_prob <= budget + 1e-12
    assert found.gap <= 1e-9
    more = capacity(rows, cost=cost, budget=budget + 0.1 * float(np.ptp(cost)))
    assert found.value <= more.upper + 1e-12
    assert more.value <= capacity(rows).upper + 1e-12


def test_costs_against_a_general_solver() -> None:
    rng = np.random.default_rng(2)
    rows, cost, budget = rng.dirichlet(np.ones(4), size=4), np.array([0.0, 1.0, 2.0, 3.0]), 0.6

    def negative(p: np.ndarray) -> float:
        return -mutual_information(p / p.sum(), rows)

    peer = minimize(
        negative,
        np.full(4, 0.25),
        method="SLSQP",
        bounds=[(1e-12, 1)] * 4,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1},
            {"type": "ineq", "fun": lambda p: budget - cost @ p},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert capacity(rows, cost=cost, budget=budget).value == pytest.approx(-peer.fun, abs=1e-8)


def test_budget_at_its_ends() -> None:
    rows, cost = symmetric_channel(3, 0.1), np.array([1.0, 1.0, 2.0])
    cheapest = capacity(rows, cost=cost, budget=1.0)
    assert cheapest.input_prob[2] == 0
    assert cheapest.value == pytest.approx(capacity(rows[:2]).value, abs=1e-12)
    assert capacity(rows, cost=cost, budget=5.0).value == pytest.approx(capacity(rows).value, abs=1e-12)


def test_mutual_information_against_fifty_digits() -> None:
    rng = np.random.default_rng(8)
    for scale in (1.0, 1e-3, 1e-7):
        base = rng.dirichlet(np.ones(4))
        rows = base + scale * (rng.dirichlet(np.ones(4), size=3) - base) * base.min()
        rows /= rows.sum(axis=1, keepdims=True)
        prob = rng.dirichlet(np.ones(3))
        exact_rows = [[mp.mpf(x) for x in row] for row in rows]
        sums = [mp.fsum(row) for row in exact_rows]
        exact_rows = [[x / total for x in row] for row, total in zip(exact_rows, sums, strict=True)]
        p = [mp.mpf(x) / mp.fsum(map(mp.mpf, prob)) for x in prob]
        q = [mp.fsum(p[u] * exact_rows[u][y] for u in range(3)) for y in range(4)]
        exact = mp.fsum(p[u] * exact_rows[u][y] * mp.log(exact_rows[u][y] / q[y]) for u in range(3) for y in range(4))
        # Entries are given to 1e-16, so differences of size `scale` carry 1e-16/scale; the square doubles it.
        assert mutual_information(prob, rows) == pytest.approx(float(exact), rel=1e-14 + 1e-14 / scale)


def test_an_unreached_gap_carries_the_best_bracket() -> None:
    rows = np.random.default_rng(1).dirichlet(np.full(30, 0.3), size=30)
    with pytest.raises(CapacityError, match="was not reached: the capacity lies in") as caught:
        capacity(rows, tol=1e-18)
    best = caught.value.best
    true = capacity(rows)
    assert best.value <= true.upper
    assert true.value <= best.upper
    assert best.gap < 1e-12  # the best, not the last
    with pytest.raises(CapacityError) as plain:
        blahut_arimoto(rows, max_iter=10)
    assert plain.value.best.value <= true.value <= plain.value.best.upper
    with pytest.raises(CapacityError) as ended:
        blahut_arimoto([[0.9, 0.1], [0.3, 0.7]], tol=5e-324)  # below rounding: no million steps that change nothing
    assert ended.value.best.n_iter < 200


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (
            [[0.5, 0.4], [0.5, 0.5]],
            "channel must have rows that sum to one; 1 of 2 do not, the first is row 0 with sum 0.9",
        ),
        ([[3, 1], [2, 2]], "2 of 2 do not.*Divide counts by their row sums"),
        ([[1.5, -0.5], [0.5, 0.5]], r"must not be negative; entry \(0, 1\) is -0.5"),
        ([[np.nan, 1], [0.5, 0.5]], "channel must be finite"),
        ([0.5, 0.5], "array of 2 dimensions"),
        ([[0.0, 0.0]], "only rows of zeros"),
        ([["a", "b"]], "must hold numbers"),
    ],
)
def test_bad_channels_are_named(channel: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        capacity(channel)  # type: ignore[arg-type]


def test_bad_costs_are_named() -> None:
    rows = np.eye(2)
    with pytest.raises(ValueError, match="belong together"):
        capacity(rows, cost=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"at least the smallest cost of a usable input, 1; got 0\.5"):
        capacity(rows, cost=[1.0, 2.0], budget=0.5)
    with pytest.raises(ValueError, match="one entry per input, 2; got 3"):
        capacity(rows, cost=[1.0, 2.0, 3.0], budget=2)
    with pytest.raises(ValueError, match="tol must be positive"):
        capacity(rows, tol=0)
    with pytest.raises(ValueError, match=r"error must lie in \[0, 1\]"):
        symmetric_channel(3, 1.5)


def test_cascade_bounds() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        cascade = Cascade(
            rng.dirichlet(np.ones(3)),
            rng.dirichlet(np.full(4, 0.3), size=(3, 6)),
            rng.dirichlet(np.full(5, 0.3), size=(3, 4)),
        )
        found = cascade.capacities()
        assert (found.total <= found.smaller + 1e-9).all()
        assert found.shortfall >= -1e-9
        assert cascade.information(rng.dirichlet(np.ones(6))) <= found.mean_total + 1e-9
        assert found.mean_smaller <= min(found.mean_cognitive, found.mean_articulation) + 1e-12


def test_cascade_min_bound_is_attained_by_a_perfect_stage() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(3), size=3)
    assert Cascade([1.0], [np.eye(3)], [rows]).capacities().shortfall == pytest.approx(0.0, abs=1e-12)
    assert Cascade([1.0], [rows], [np.eye(3)]).capacities().shortfall == pytest.approx(0.0, abs=1e-12)


def test_cascade_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="one entry per context; got 2, 1, 1"):
        Cascade([0.5, 0.5], [np.eye(2)], [np.eye(2)])
    with pytest.raises(ValueError, match="must end in the judgements that report starts from"):
        Cascade([1.0], [np.eye(2)], [np.eye(3)])
    with pytest.raises(ValueError, match=r"judge must have rows that sum to one; .* row \(0, 1\)"):
        Cascade([1.0], [[[1.0, 0.0], [0.2, 0.2]]], [np.eye(2)])
