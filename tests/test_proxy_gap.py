"""The price of a proxy on finite laws: theorems as properties, fifty digits, Gaussian closed forms."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.laws import FiniteLaw
from tests import oracle

VALUES = st.floats(-5, 5, allow_subnormal=False).map(lambda v: round(v, 6))


@st.composite
def pairs(draw: st.DrawFn) -> ProxyPair:
    size = draw(st.integers(2, 8))
    gold, error = (draw(hnp.arrays(np.float64, size, elements=VALUES)) for _ in range(2))
    prob = draw(hnp.arrays(np.float64, size, elements=st.floats(0.01, 1)))
    return ProxyPair(gold, gold + error, prob / prob.sum())


LAMS = st.floats(1e-3, 20)


@settings(max_examples=60)
@given(pairs(), LAMS)
def test_covariance_form_of_the_gold_gain_p26(pair: ProxyPair, lam: float) -> None:
    weight = np.exp(lam * (pair.proxy - pair.proxy.max()))
    p, r = pair.prob, pair.gold
    covariance = p @ (weight * r) - (p @ weight) * (p @ r)
    assert pair.gold_gain(lam) == pytest.approx(covariance / (p @ weight), rel=1e-9, abs=1e-12)


@settings(max_examples=60)
@given(pairs(), LAMS)
def test_gap_identity_and_bounds_of_the_theory(pair: ProxyPair, lam: float) -> None:
    price = pair.price([lam])
    gap = price.gap[0]
    assert gap == pytest.approx(pair.ideal_gain(lam) - pair.gold_gain(lam), rel=1e-9, abs=1e-11)
    assert gap == pytest.approx(price.gap_integral[0], rel=1e-6, abs=1e-9)
    assert abs(gap) <= price.gap_bound_jeffreys[0] * (1 + 1e-12) + 1e-15
    assert price.gap_bound_jeffreys[0] <= price.gap_bound[0] * (1 + 1e-9) + 1e-12


@settings(max_examples=60)
@given(pairs(), LAMS)
def test_jeffreys_between_the_policies_identity_and_bound(pair: ProxyPair, lam: float) -> None:
    price = pair.price([lam])
    star, hat = (np.exp(f.log_policy(lam)) for f in (pair.ideal, pair.proxied))
    lift = lam * (hat @ pair.error - star @ pair.error)
    assert price.jeffreys[0] == pytest.approx(lift, rel=1e-9, abs=1e-11)
    assert price.jeffreys[0] == pytest.approx(price.jeffreys_integral[0], rel=1e-6, abs=1e-9)
    assert 0 <= price.jeffreys[0] <= price.jeffreys_bound[0] * (1 + 1e-9) + 1e-15


@settings(max_examples=60)
@given(pairs(), LAMS)
def test_regularised_regret_is_beta_times_kl(pair: ProxyPair, lam: float) -> None:
    lost = pair.ideal_gain(lam) - pair.ideal.kl(lam) / lam - (pair.gold_gain(lam) - pair.kl(lam) / lam)
    assert pair.regret(lam) == pytest.approx(lost, rel=1e-8, abs=1e-10 * (1 + 1 / lam))
    assert pair.regret(lam) >= 0


def test_the_bounds_are_reached_to_first_order() -> None:
    """Two outcomes of mass ½, error on gold's own axis: λ osc osc/4 is the slope of the gap at λ = 0."""
    price = ProxyPair([0.0, 1.0], [0.0, 1.5]).price([1e-4])
    assert price.gap[0] == pytest.approx(-price.gap_bound[0], rel=1e-4)
    assert price.jeffreys[0] == pytest.approx(price.jeffreys_bound[0], rel=1e-4)


@pytest.mark.parametrize("lam", [1e-8, 1e-3, 0.5, 7.0, 300.0, 5000.0])
@pytest.mark.parametrize(("size", "offset"), [(1e-12, 0.0), (1e-3, 0.0), (1.0, 0.0), (1e-3, 1e6), (1.0, 1e6)])
def test_against_fifty_digits(lam: float, size: float, offset: float) -> None:
    gold = np.array([0.0, 1.0, 1.0, 2.5, -1.0])
    error = size * np.array([0.5, -0.25, 2.0, -0.4, 3.0])
    prob = np.array([0.1, 0.2, 0.3, 0.4 - 1e-9, 1e-9])
    pair = ProxyPair(gold, gold + error + offset, prob)
    r, e = ([mp.mpf(float(v)) for v in values] for values in (pair.gold, pair.proxy - pair.gold))
    p = oracle.normalised(pair.prob)
    with mp.workdps(400):
        x = [mp.mpf(lam) * v for v in r]
        y = [a + mp.mpf(lam) * b for a, b in zip(x, e, strict=True)]
        star, hat = ([m * mp.exp(v) for m, v in zip(p, z, strict=True)] for z in (x, y))
        star, hat = ([v / mp.fsum(w) for v in w] for w in (star, hat))
        t = [mp.log(a / b) for a, b in zip(star, hat, strict=True)]
        gap = mp.fsum((a - b) * v for a, b, v in zip(star, hat, r, strict=True))
        forward = mp.fsum(a * v for a, v in zip(star, t, strict=True))
        backward = -mp.fsum(b * v for b, v in zip(hat, t, strict=True))
        gain = mp.fsum((b - m) * v for b, m, v in zip(hat, p, r, strict=True))
    tiny = 1e-285  # values below 1e-300 underflow
    assert oracle.relative(pair.gap(lam), gap, tiny) <= 1e-10
    assert oracle.relative(pair.divergence(lam), forward, tiny) <= 1e-10
    assert oracle.relative(pair.regret(lam), backward / mp.mpf(lam), tiny) <= 1e-10
    assert oracle.relative(pair.gold_gain(lam), gain) <= 1e-9


def test_naive_difference_loses_what_the_pair_keeps() -> None:
    """The subtraction of two gains has no digit left where the error is 1e-12; the identity has."""
    gold = np.array([0.0, 1.0, 3.0])
    pair = ProxyPair(gold, gold + 1e-12 * np.array([1.0, -1.0, 0.5]))
    naive = pair.ideal_gain(0.7) - pair.gold_gain(0.7)
    assert abs(naive / pair.gap(0.7) - 1) > 1e-6
    assert pair.gap(0.7) == pytest.approx(pair.price([0.7]).gap_integral[0], rel=1e-9)


def test_the_gap_grows_with_the_error_and_as_beta_falls_p26() -> None:
    rng = np.random.default_rng(3)
    gold, error = rng.normal(size=(2, 40))
    sizes, lams = [0.1, 0.3, 1.0], np.array([0.1, 0.3, 1.0])
    gaps = np.array([ProxyPair(gold, gold + size * error).jeffreys(lams) for size in sizes])
    assert (np.diff(gaps, axis=0) > 0).all()
    assert (np.diff(gaps, axis=1) > 0).all()


def test_a_perfect_proxy_costs_nothing_and_an_infinite_lam_is_the_top() -> None:
    gold = [0.0, 1.0, 3.0, 3.0]
    pair = ProxyPair(gold, gold)
    assert pair.gap(2.0) == pair.jeffreys(2.0) == pair.regret(2.0) == pair.regret(0.0) == 0.0
    assert pair.gold_gain(np.inf) == pytest.approx(1.25)
    assert pair.gold_gain(2.0) == FiniteLaw(gold).gain(2.0)


def test_zero_mass_is_left_out() -> None:
    one, other = ProxyPair([0.0, 1.0, 9.0], [0.0, 2.0, 9.0], [0.5, 0.5, 0.0]), ProxyPair([0.0, 1.0], [0.0, 2.0])
    assert one.price([1.0]).gap_bound == other.price([1.0]).gap_bound
    assert one.gap(1.0) == other.gap(1.0)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"same outcomes; gold has 2 values and proxy 3. Keep the outcomes"):
        ProxyPair([0.0, 1.0], [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="gold must be finite; 1 of 2"):
        ProxyPair([0.0, np.nan], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"lam must lie in \[0, ∞\); got -1"):
        ProxyPair([0.0, 1.0], [0.0, 1.0]).gap(-1.0)
    with pytest.raises(ValueError, match="lam must be finite"):
        ProxyPair([0.0, 1.0], [0.0, 1.0]).gap(np.inf)
