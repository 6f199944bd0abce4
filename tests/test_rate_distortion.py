"""Rate–distortion and budgets: closed forms, convexity, and certificates recomputed from the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from alignlib.bottleneck import (
    RateDistortionTask,
    allocate,
    mutual_information,
    optimal_judge,
    rate_distortion,
    reverse_water_filling,
)


def binary_entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log1p(-p)


@pytest.mark.parametrize("bias", [0.5, 0.3, 0.05])
@pytest.mark.parametrize("slope", [0.5, 3.0, 8.0])
def test_binary_source_closed_form(bias: float, slope: float) -> None:
    """Hamming loss: R(D) = h(p) - h(D) at D = 1/(1 + e^s), and nothing once D reaches p."""
    point = rate_distortion([1 - bias, bias], 1 - np.eye(2), slope)
    distortion = 1 / (1 + math.exp(slope))
    if distortion >= bias:
        assert (point.rate, point.distortion) == pytest.approx((0.0, bias), abs=1e-10)
    else:
        assert point.distortion == pytest.approx(distortion, abs=1e-9)
        assert point.rate == pytest.approx(binary_entropy(bias) - binary_entropy(distortion), abs=1e-9)


@pytest.mark.parametrize("size", [2, 5, 40])
def test_uniform_source_closed_form(size: int) -> None:
    """M equally likely values, error counted: R(D) = log M - h(D) - D log(M-1), Fano again."""
    point = rate_distortion(np.full(size, 1 / size), 1 - np.eye(size), 3.0)
    d = point.distortion
    assert point.rate == pytest.approx(math.log(size) - binary_entropy(d) - d * math.log(size - 1), abs=1e-11)


def test_no_judge_does_better() -> None:
    """Random judges lie on or above the supporting line of every slope."""
    rng = np.random.default_rng(0)
    prob, loss = rng.dirichlet(np.ones(5)), rng.random((5, 4))
    for slope in (0.5, 3.0, 20.0):
        point = rate_distortion(prob, loss, slope)
        for _ in range(100):
            judge = rng.dirichlet(np.full(4, 0.3), size=5)
            rate = mutual_information(prob, judge)
            distortion = prob @ (judge * loss).sum(axis=1)
            assert rate + slope * distortion >= point.rate + slope * point.distortion - point.gap - 1e-12
            assert distortion >= (point.dual - rate) / point.slope - 1e-12


def test_infinite_slope_is_the_least_information_at_the_least_loss() -> None:
    # Two targets may share the middle judgement: one bit becomes zero.
    loss = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    point = rate_distortion([0.5, 0.5], loss, math.inf)
    assert (point.distortion, point.rate) == pytest.approx((0.0, 0.0), abs=1e-12)


@st.composite
def tasks(draw: st.DrawFn) -> list[RateDistortionTask]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
        loss = rng.integers(0, 3, shape).astype(float) if draw(st.booleans()) else rng.random(shape)
        found.append(RateDistortionTask(rng.dirichlet(np.ones(shape[0])), loss))
    return found


@settings(max_examples=80)
@given(tasks(), st.one_of(st.just(0.0), st.floats(0.01, 2.0)), st.integers(0, 2**32 - 1))
def test_property_allocation(contexts: list[RateDistortionTask], budget: float, seed: int) -> None:
    """The budget is kept by the judges themselves, the gap closes, and random splits do not do better."""
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(len(contexts)))
    found = allocate(contexts, budget, weight)
    used = np.array([mutual_information(t.prob, j) for t, j in zip(contexts, found.judges, strict=True)])
    lost = np.array([t.prob @ (j * t.loss).sum(axis=1) for t, j in zip(contexts, found.judges, strict=True)])
    assert weight @ used <= budget + 1e-9
    assert weight @ lost == pytest.approx(found.loss, abs=1e-12)
    assert found.gap <= 1e-8
    share = rng.dirichlet(np.ones(len(contexts)))
    others = [
        optimal_judge(t.prob, t.loss, budget * part / w).loss if w > 1e-9 else t.blind_loss
        for t, part, w in zip(contexts, share, weight, strict=True)
    ]
    assert weight @ np.array(others) >= found.loss - found.gap - 1e-9


def test_one_judgement_is_best_for_every_target() -> None:
    """Then blind and least loss are one sum, whose two roundings differ either way: nothing may be read into that."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        prob, loss = rng.dirichlet(np.ones(5)), rng.random((5, 4))
        loss[:, 0] = loss.min(axis=1)
        found = optimal_judge(prob, loss, 0.5)
        assert found.gap == 0.0
        assert found.loss == pytest.approx(prob @ loss[:, 0], rel=1e-14)


@pytest.mark.parametrize("mass", [1e-12, 1e-100, 5e-324])
@pytest.mark.parametrize("budget", [0.0, 0.3])
def test_targets_that_hardly_ever_occur(mass: float, budget: float) -> None:
    """A range that the losses cannot show, and masses whose reciprocal overflows, are answered all the same."""
    task = RateDistortionTask([mass, 1.0 - mass], [[0.0, 1.0, 0.5], [0.75, 0.25, 0.5]])
    found = allocate([task, RateDistortionTask([1.0], [[0.75, 0.25]])], budget, [0.5, 0.5])
    assert found.loss == pytest.approx(0.25, abs=1e-11)
    assert found.gap <= 1e-8 * mass + 1e-14


def test_optimal_judge_at_the_ends() -> None:
    rng = np.random.default_rng(2)
    task = RateDistortionTask(rng.dirichlet(np.ones(4)), rng.random((4, 5)))
    assert optimal_judge(task.prob, task.loss, 0.0).loss == pytest.approx(task.blind_loss, abs=1e-9)
    assert optimal_judge(task.prob, task.loss, 10.0).loss == pytest.approx(task.least_loss, abs=1e-12)


def test_optimal_judge_attains_the_fano_floor() -> None:
    """For M equally likely values the best judge of capacity C errs exactly as often as Fano's floor says."""
    from alignlib.bottleneck import fano_floor

    for budget in (0.1, 0.7, 1.5):
        assert optimal_judge(np.full(6, 1 / 6), 1 - np.eye(6), budget).loss == pytest.approx(
            fano_floor(budget, 6), abs=1e-9
        )


@settings(max_examples=100)
@given(
    st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=6),
    st.floats(0.0, 5.0),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_property_reverse_water_filling(variance: list[float], budget: float, seed: int, equal: bool) -> None:
    rng = np.random.default_rng(seed)
    weight = np.full(len(variance), 1 / len(variance)) if equal else rng.dirichlet(np.ones(len(variance)))
    split = reverse_water_filling(variance, budget, weight)
    assert split.gap <= 1e-12 * max(variance)
    assert weight @ split.rate == pytest.approx(budget, abs=1e-9)
    assert split.distortion == pytest.approx(np.array(variance) * np.exp(-2 * split.rate), rel=1e-9)
    assert ((split.rate == 0) | np.isclose(split.distortion, split.level)).all()


def test_reverse_water_filling_against_a_general_solver() -> None:
    variance, weight, budget = np.array([4.0, 1.0, 0.1, 2.0]), np.array([0.1, 0.4, 0.3, 0.2]), 0.4
    peer = minimize(
        lambda r: float(weight @ (variance * np.exp(-2 * r))),
        np.full(4, budget),
        method="SLSQP",
        bounds=[(0, None)] * 4,
        constraints=[{"type": "eq", "fun": lambda r: weight @ r - budget}],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert reverse_water_filling(variance, budget, weight).loss == pytest.approx(peer.fun, abs=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate_distortion([0.5, 0.5], 1 - np.eye(2), -1.0), "slope must not be negative; got -1"),
        (lambda: rate_distortion([0.5, 0.4], 1 - np.eye(2), 1.0), "prob must sum to one; it sums to 0.9"),
        (lambda: rate_distortion([0.5, 0.5], np.eye(3), 1.0), "loss must have one row per target, 2"),
        (lambda: allocate([], 1.0), "tasks must hold at least one context"),
        (lambda: optimal_judge([1.0], [[0.0]], -0.1), "budget must be a number >= 0 in nats; got -0.1"),
        (lambda: reverse_water_filling([1.0, 0.0], 1.0), r"variance must lie in \(0, ∞\); got 0"),
        (lambda: reverse_water_filling([1.0], 1.0, [0.5, 0.5]), "one entry per context, 1; got 2"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
