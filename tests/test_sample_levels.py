"""KL and win rate from tied samples: the closed form against deletion, the estimate against the law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.divergences import REVERSE_KL
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, BestOfPoisson
from alignlib.rules.samples import SampleLevels


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.floats(1.0, 9.0))
def test_closed_form_is_deletion(rewards: list[int], n: float) -> None:
    row = -np.sort(-np.array([rewards], dtype=float))
    levels = SampleLevels.of(row)
    m = len(rewards)
    for found, exact in (
        (levels.spent(lambda f: f**n), lambda r: BestOfN(n).on(FiniteLaw(r)).kl),
        (levels.spent(lambda f: f**n, REVERSE_KL), lambda r: BestOfN(n).on(FiniteLaw(r)).spent(REVERSE_KL)),
        (levels.win_rate(lambda f: f**n), lambda r: BestOfN(n).on(FiniteLaw(r)).win_rate),
    ):
        left = np.mean([exact(np.delete(row[0], i)) for i in range(m)])
        assert found[0] == pytest.approx(m * exact(row[0]) - (m - 1) * left, abs=1e-11, rel=1e-11)


@pytest.mark.parametrize(("levels", "prob"), [([0.0, 1.0], [0.7, 0.3]), ([0.0, 1.0, 2.0, 3.0, 4.0], [0.2] * 5)])
@pytest.mark.parametrize("n", [2.0, 4.5, 8.0])
def test_mean_over_prompts_is_the_law(levels: list[float], prob: list[float], n: float) -> None:
    rows = np.random.default_rng(0).choice(levels, p=prob, size=(20_000, 32))
    found = SampleLevels.of(-np.sort(-rows, axis=1))
    exactly = BestOfN(n).on(FiniteLaw(levels, prob))
    for values, exact in (
        (found.spent(lambda f: f**n), exactly.kl),
        (found.win_rate(lambda f: f**n), exactly.win_rate),
    ):
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - exact) < 4 * error + 0.004 * exact  # O(1/m²) bias is left


def test_best_of_poisson_ranks() -> None:
    rows = (np.random.default_rng(1).random((20_000, 32)) < 0.3).astype(float)
    values = SampleLevels.of(-np.sort(-rows, axis=1)).spent(BestOfPoisson(2.0).cdf)
    assert values.mean() == pytest.approx(BestOfPoisson(2.0).on(FiniteLaw([0.0, 1.0], [0.7, 0.3])).kl, rel=0.01)


def test_one_level_spends_nothing_and_ties() -> None:
    levels = SampleLevels.of(np.ones((2, 6)))
    np.testing.assert_allclose(levels.spent(lambda f: f**4), 0.0, atol=1e-15)
    np.testing.assert_allclose(levels.win_rate(lambda f: f**4), 0.5, atol=1e-15)
