"""Containment, not closeness: balls proved to hold the exact values hold ours, widened by a stated number of ulps."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from flint import arb

from _pages import certified
from alignlib._core.errors import InputError
from alignlib.certified import balls, proved
from alignlib.laws import FiniteLaw
from tests import oracle


@pytest.mark.parametrize("group", certified.GROUPS)
def test_every_number_lies_in_its_ball_widened_by_the_units_stated(group: str) -> None:
    with balls.precision():
        numbers = list(certified.GROUPS[group](certified.some_laws()))
    assert len(numbers) > 5
    outside = [number for number in numbers if not number.units <= number.allowed]
    assert not outside, outside[:5]


def test_the_fewest_certain_digits_of_each_quantity_are_told() -> None:
    found = [certified.Number("a", "here", 1.0, units, 16.0) for units in (0.4, 900.0, 3.0)]
    found.append(certified.Number("b", "there", 0.0, 0.0, 16.0))
    assert certified.worst_of(found) == {"a": (3, found[1]), "b": (1, found[3])}
    assert certified.digits(found[1]) == pytest.approx(-math.log10(900 * 2.0**-52))
    assert certified.digits(found[3]) == 16.0


def test_a_wrong_number_is_found() -> None:
    with balls.precision():
        exact = balls.tilt([0.0, 1.0, 3.0], [0.2, 0.5, 0.3], 0.7)["kl"]
        ours = float(FiniteLaw([0.0, 1.0, 3.0], [0.2, 0.5, 0.3]).kl(0.7))
        assert balls.units_apart(ours, exact) < certified.UNITS
        assert balls.units_apart(ours * (1 + 1e-13), exact) > 100
        # What a formula without care gives at a small λ: two large numbers less each other.
        reward, prob, lam = np.array([0.0, 1.0, 3.0]), np.array([0.2, 0.5, 0.3]), 1e-6
        weight = prob * np.exp(lam * reward)
        plain = float(lam * (weight @ reward) / weight.sum() - math.log(weight.sum()))
        assert balls.units_apart(plain, balls.tilt(reward, prob, lam)["kl"]) > 1e8
        # On the wrong side of a bound by one unit.
        up = float(np.nextafter(1.0 - math.exp(-0.5), 0.0)) * (1 - 1e-15)
        assert balls.inverse_units(0.0, arb(0.5), up) == math.inf
        assert balls.units_apart(math.inf, arb(1)) == math.inf
        assert balls.units_apart(1.0, arb.nan()) == math.inf


def test_the_balls_agree_with_the_other_slow_truth() -> None:
    """Two independent evaluations of the definitions, by interval and by 700 digits."""
    reward, prob = [1e6, 1e6 + 1.0, 1e6 + 2.5], [0.3, 1e-200, 0.7]
    want = oracle.tilted(reward, prob, 0.3)
    _, kl, mean = oracle.transformed(reward, prob, lambda f: f**1000)
    with balls.precision():
        for name, ball in balls.tilt(reward, prob, 0.3).items():
            assert float(ball.mid()) == float(want[name])
            assert ball.rad() < abs(ball) * arb(2) ** -200
        best = balls.best_of_n(np.array(reward), np.array(prob), 1000.0)
        assert (float(best["kl"].mid()), float(best["mean_reward"].mid())) == (float(kl), float(mean))


def test_the_ball_of_a_frontier_is_narrow_and_refuses_a_budget_that_is_not_near() -> None:
    reward, prob = np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.3, 0.2])
    law = FiniteLaw(reward, prob)
    with balls.precision(400):
        ball = balls.frontier(reward, prob, 0.3, float(law.lam_at_kl(0.3)))
        assert ball.rad() < ball * arb(2) ** -80
        with pytest.raises(ValueError, match="encloses a budget"):
            balls.frontier(reward, prob, 0.3, 50.0)


def test_numbers_that_a_reader_names_are_enclosed() -> None:
    """Each against its definition by 60 digits of mpmath, which shares nothing with the balls."""
    mp.mp.dps = 60
    half = mp.mpf(1) / 2
    two = [mp.mpf(0.2), mp.mpf(0.5), mp.mpf(0.3)]
    weight = [p * mp.exp(mp.mpf(0.7) * r) for p, r in zip(two, (0, 1, 3), strict=True)]
    mean = sum(w * r for w, r in zip(weight, (0, 1, 3), strict=True)) / sum(weight)
    n, q, paid = mp.mpf(10) ** 12, mp.mpf(0.1), 5 - mp.log(mp.mpf(0.05))
    exact = {
        proved.certified_tilt([0, 1, 3], [0.2, 0.5, 0.3], 0.7)[1]: mean,
        proved.certified_best_of_n(1e12)[0]: mp.log(n) - (n - 1) / n,
        proved.certified_best_of_n(3.0, [0.0, 1.0])[2]: half - half**3,
        proved.certified_kl(0.1, 0.3)[0]: q * mp.log(q / mp.mpf(0.3)) + (1 - q) * mp.log((1 - q) / (1 - mp.mpf(0.3))),
        proved.certified_kl_inverse(0.0, 2.0)[0]: 1 - mp.exp(-2),
        proved.certified_kl_inverse(0.5, 0.1)[1]: mp.findroot(
            lambda x: x * mp.log(2 * x) + (1 - x) * mp.log(2 - 2 * x) - mp.mpf(0.1), 0.28
        ),
        proved.certified_limit([0, 1], None, 0.1)[0]: half
        - mp.findroot(lambda x: x * mp.log(2 * x) + (1 - x) * mp.log(2 - 2 * x) - mp.mpf(0.1), 0.28),
        proved.certified_limit([0, 1], None, 9.0)[0]: half,
        proved.certified_capacity([[1, 0, 0], [0, 1, 0], [0, 0, 1]])[0]: mp.log(3),
        proved.certified_capacity([[0, 0], [1, 0], [0, 1]])[0]: mp.log(2),  # an input that is never sent
        proved.certified_capacity([[0.1, 0.2, 0.7]] * 2)[0]: mp.mpf(0),
        proved.certified_kl_inverse(1.0 - 2.0**-53, 0.02)[0]: mp.mpf(1),  # less than a rounding below
        proved.certified_ceilings(0.1, 1e10, 10_000, 0.05)[1]: mp.mpf(1),
        proved.certified_capacity([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])[0]: mp.log(2),
        proved.certified_ceilings(0.1, 5.0, 10_000, 0.05)[0]: q + mp.sqrt((paid + mp.log(200)) / 20_000),
    }
    for found, value in exact.items():
        assert found.low <= value <= found.high, found
        assert found.high - found.low <= 2e-13 * found.high, found
        assert {"upper": found.value >= value, "lower": found.value <= value}.get(found.side, True), found
        assert abs(found.value - value) <= found.units * math.ulp(found.value) * (1 + 1e-9), found


def test_a_number_that_is_not_enclosed_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"kl must not be so near 0\.693147, where the best response has all mass"):
        proved.certified_limit([0, 1], None, math.log(2.0))
    with pytest.raises(InputError, match=r"channel must have rows that differ by more than the rounding"):
        proved.certified_capacity([[0.1, 0.9], [0.1 + 2.0**-56, 0.9]])
    monkeypatch.setattr(proved, "kl_inverse_upper", lambda q, kl: 0.6)
    with pytest.raises(ArithmeticError, match=r"largest p .* is not certified: the library has 0.6"):
        proved.certified_kl_inverse(0.0, 1.0)


def test_a_capacity_without_a_closed_form_is_known_as_such() -> None:
    """The best input law leaves a useless input out: then the formula does not hold."""
    with balls.precision(200):
        assert balls.capacity_of_square(np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]])) is None
        found = balls.capacity_of_square(np.array([[0.9, 0.1], [0.1, 0.9]]))
        assert found is not None
        assert balls.units_apart(math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9), found) < 8
