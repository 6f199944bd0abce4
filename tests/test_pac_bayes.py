"""The kl inverse is rounded outward, and the ceilings hold: against 50 digits, each other, and simulated learners."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.bottleneck import (
    binary_kl,
    catoni,
    expected_ceiling,
    kl_inverse_first,
    kl_inverse_upper,
    mcallester,
    probable_ceiling,
    seeger,
)

mp.mp.dps = 50


def exact_kl(q: float | mp.mpf, p: float | mp.mpf) -> mp.mpf:
    q, p = mp.mpf(q), mp.mpf(p)
    first = q * mp.log(q / p) if q > 0 else mp.mpf(0)
    second = (1 - q) * mp.log((1 - q) / (1 - p)) if q < 1 else mp.mpf(0)
    return first + second


probabilities = st.one_of(st.floats(0.0, 1.0), st.floats(-300, 0).map(lambda x: 10**x), st.sampled_from([0.0, 1.0]))
divergences = st.one_of(st.floats(1e-12, 40.0), st.floats(-18, 1).map(lambda x: 10**x))


@settings(max_examples=150)
@given(probabilities, st.floats(1e-300, 1 - 2**-53))
def test_binary_kl_keeps_its_digits(q: float, p: float) -> None:
    # 50 digits are not enough for a difference of 1e-300 against 1: take what cancellation can cost.
    with mp.workdps(700):
        exact = exact_kl(q, p)
        # 1 - q is rounded once when q is tiny; that alone costs an ulp of the smaller term.
        assert abs(mp.mpf(float(binary_kl(q, p))) - exact) <= 2e-14 * exact + mp.mpf(10) ** -300


@settings(max_examples=150)
@given(probabilities, divergences)
def test_upper_inverse_is_rounded_up_and_tight(q: float, c: float) -> None:
    p = kl_inverse_upper(q, c)
    with mp.workdps(700):
        assert p == 1.0 or exact_kl(q, p) >= mp.mpf(c)  # never below the exact inverse
        assert q <= p <= 1.0
        # Tight: 2e-13 of the way back, or a few neighbouring doubles, it is inside.
        inside = mp.mpf(p) - max((mp.mpf(p) - mp.mpf(q)) * mp.mpf("2e-13"), 8 * mp.mpf(float(np.spacing(p))))
        assert inside <= q or exact_kl(q, inside) <= c


@settings(max_examples=100)
@given(st.floats(0.5, 1 - 1e-9), divergences)
def test_inverse_in_the_first_argument(p: float, c: float) -> None:
    q = kl_inverse_first(p, c)
    with mp.workdps(100):
        assert 0 <= q <= p
        assert q == 0.0 or exact_kl(q, p) >= mp.mpf(c)
        if 0 < q < p:
            # Near q = 0 the divergence moves by log(1/q) per unit, so its ulp costs more of q there.
            assert exact_kl(q + mp.mpf(2e-13) * (q + (p - q)), p) <= c


def test_arrays_go_through() -> None:
    q, c = np.array([0.0, 0.1, 0.5]), np.array([[0.1], [1.0]])
    found = kl_inverse_upper(q, c)
    assert found.shape == (2, 3)
    assert found[1, 2] == kl_inverse_upper(0.5, 1.0)
    assert isinstance(kl_inverse_upper(0.5, 1.0), float)
    assert kl_inverse_upper(0.3, math.inf) == 1.0


@settings(max_examples=100)
@given(st.floats(0, 1), st.floats(0, 1e4), st.integers(1, 10**6), st.floats(1e-6, 0.5))
def test_property_order_of_the_forms(risk: float, kl: float, m: int, delta: float) -> None:
    """Pinsker: Seeger is never above McAllester; every form grows with the divergence and is at least the risk."""
    tight = seeger(risk, kl, m, delta)
    assert risk <= tight <= 1
    assert tight <= mcallester(risk, kl, m, delta) * (1 + 1e-12)
    assert tight <= seeger(risk, kl + 1, m, delta)
    assert probable_ceiling(risk, kl, m, delta, 0.1) >= tight
    assert expected_ceiling(risk, kl, m, "mcallester") <= mcallester(risk, kl, m, delta)


def test_against_fifty_digits() -> None:
    risk, kl, m, delta, rate = 0.12, 7.5, 500, 0.05, 0.8
    exact = mp.mpf(risk) + mp.sqrt((mp.mpf(kl) + mp.log(2 * mp.sqrt(m) / mp.mpf(delta))) / (2 * m))
    assert 0 <= mcallester(risk, kl, m, delta) - exact <= 1e-14
    exact = (1 - mp.exp(-(mp.mpf(rate) * risk + (mp.mpf(kl) - mp.log(delta)) / m))) / (1 - mp.exp(-mp.mpf(rate)))
    assert 0 <= catoni(risk, kl, m, delta, rate) - exact <= 1e-14


def test_maurers_constant() -> None:
    """The constant 2√m in both forms: Σ_k P(k) e^{m kl(k/m‖p)} does not exceed it, for any p."""
    for m in range(1, 200):
        k = np.arange(m + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_term = np.where(k > 0, k * np.log(k / m), 0) + np.where(k < m, (m - k) * np.log1p(-k / m), 0)
        log_choose = np.array([math.lgamma(m + 1) - math.lgamma(i + 1) - math.lgamma(m - i + 1) for i in k])
        assert np.exp(log_choose + log_term).sum() <= 2 * math.sqrt(m) * (1 + 1e-12)


def test_ceilings_hold_for_a_gibbs_learner() -> None:
    """Coverage of each high-probability form, and the expected forms, on exact risks of a finite class."""
    rng = np.random.default_rng(0)
    true = rng.random(50)
    m, delta, runs = 60, 0.1, 400
    empirical = rng.binomial(m, true, size=(runs, true.size)) / m
    posterior = np.exp(-30 * empirical)
    posterior /= posterior.sum(axis=1, keepdims=True)
    kl = (posterior * np.log(posterior * true.size)).sum(axis=1)
    risk, seen = posterior @ true, (posterior * empirical).sum(axis=1)
    for ceiling in (mcallester(seen, kl, m, delta), seeger(seen, kl, m, delta), catoni(seen, kl, m, delta, 1.0)):
        assert (risk <= ceiling).mean() >= 1 - delta
    for form in ("mcallester", "seeger", "catoni"):
        assert risk.mean() <= expected_ceiling(seen.mean(), kl.mean(), m, form)  # type: ignore[arg-type]
    # A control that must fail: without its divergence the same expression is no bound.
    selected = empirical.min(axis=1)
    assert (true[empirical.argmin(axis=1)] <= selected + 0.01).mean() < 1 - delta


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mcallester(0.1, 1.0, 10, 0.0), r"delta must lie in \(0, 1\); got 0"),
        (lambda: seeger(0.1, 1.0, 10, 1.0), r"delta must lie in \(0, 1\); got 1"),
        (
            lambda: mcallester(1.2, 1.0, 10, 0.1),
            r"risk must lie in \[0, 1\]; got 1.2; divide a loss by its range first",
        ),
        (lambda: mcallester(0.1, -1.0, 10, 0.1), r"kl must lie in \[0, ∞\); got -1"),
        (lambda: mcallester(0.1, 1.0, 0, 0.1), r"m must lie in \[1, ∞\); got 0"),
        (lambda: probable_ceiling(0.1, 1.0, 10, 0.1, 0.0), r"eta must lie in \(0, 1\); got 0"),
        (lambda: probable_ceiling(0.1, 1.0, 10, 0.6, 0.5), r"delta \+ eta must be less than 1"),
        (lambda: catoni(0.1, 1.0, 10, 0.1, 0.0), "rate must be a positive number; got 0"),
        (lambda: expected_ceiling(0.1, 1.0, 10, "hoeffding"), "form must be one of mcallester, catoni, seeger"),  # type: ignore[arg-type]
        (lambda: kl_inverse_upper(0.1, -1.0), r"divergence must lie in \[0, ∞\); got -1"),
        (lambda: binary_kl(1.1, 0.5), r"q must lie in \[0, 1\]"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
