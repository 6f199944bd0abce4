"""The rule for what samples support."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.estimation.support import excess_bias, first_strained, remaining_bias, strain


@given(st.floats(0.3, 1.0), st.floats(0.01, 1.0))
def test_remaining_bias_is_exact_for_a_power(a: float, size: float) -> None:
    """Plug-in bias c n^-a: to leading order the jackknives leave (1-a) and (1-a)(2-a)/2 of it."""
    plug_in, first, second = (np.array([-size * left]) for left in (1.0, 1.0 - a, (1.0 - a) * (2.0 - a) / 2.0))
    assert remaining_bias(plug_in, first, second)[0] == pytest.approx(abs(second[0]), rel=1e-9, abs=1e-12)


def test_corrections_that_do_not_shrink_are_no_bound() -> None:
    assert np.isinf(remaining_bias(np.array([0.0]), np.array([1.0]), np.array([1.6]))[0])
    assert remaining_bias(np.array([0.0]), np.array([1.0]), np.array([1.0]))[0] == 0.0


def points(**changes: float) -> dict[str, object]:
    values = {"lam": 1.0, "bias": 0.0, "value": 1.0, "standard_error": 0.1, "ess": 50.0} | changes
    scalars = {"n_prompts": values.pop("n_prompts", 100), "tail_scale": values.pop("tail_scale", 0.0)}
    return {name: np.array([value]) for name, value in values.items()} | scalars


@pytest.mark.parametrize(
    ("changes", "supported"),
    [
        ({}, True),
        ({"bias": 0.02}, True),
        ({"bias": 0.03}, False),
        ({"bias": 0.009, "standard_error": 0.0}, True),
        ({"bias": 0.011, "standard_error": 0.0}, False),
        ({"ess": 4.9}, False),
        ({"ess": 19.0, "n_prompts": 5}, False),
        ({"tail_scale": 0.33}, True),
        ({"tail_scale": 0.34}, False),
        ({"bias": 0.0, "value": 0.0, "standard_error": 0.0}, True),
        ({"bias": np.inf}, False),
    ],
)
def test_each_condition(changes: dict[str, float], *, supported: bool) -> None:
    assert (strain(**points(**changes))[0] <= 1.0) is np.bool_(supported)  # type: ignore[arg-type]


def test_support_ends_at_the_first_strained_point() -> None:
    kl = np.array([0.1, 0.2, 0.4, 0.8])
    assert first_strained(kl, np.array([0.1, 0.5, 2.0, 0.1])) == pytest.approx(0.2 * np.sqrt(2.0))
    assert first_strained(kl, np.array([0.1, 0.5, np.inf, 0.1])) == 0.2
    assert first_strained(kl, np.array([3.0, 0.5, 0.5, 0.1])) == 0.0
    assert first_strained(kl, np.zeros(4)) == np.inf


def test_intervals_widen_by_no_more_than_is_let_pass() -> None:
    value, error = np.ones(3), np.full(3, 0.02)
    np.testing.assert_allclose(excess_bias(np.array([0.004, 0.008, np.inf]), value, error), [0.0, 0.003, 0.005])
