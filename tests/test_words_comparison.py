"""A policy beside the limit and best-of-N, from samples: where the truth is known, and where it must not be."""

from __future__ import annotations

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.estimation import Fit, fit_frontier
from alignlib.lm.words.comparison import BestCurve, compare
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

PROMPTS, SAMPLES = 60, 64


@pytest.fixture(name="rows", scope="module")
def _rows() -> FloatArray:
    rng = np.random.default_rng(3)
    values = rng.normal(rng.normal(0.0, 0.5, PROMPTS)[:, None], 1.0, (PROMPTS, SAMPLES))
    return np.where(rng.random(values.shape) < 0.3, 0.0, values)  # ties, as a lexicon has


@pytest.fixture(name="fit", scope="module")
def _fit(rows: FloatArray) -> Fit:
    return fit_frontier(RewardTable.from_arrays({"reward": rows}), "reward", n_boot=200, rng=0)


def test_best_of_n_itself_is_level_with_best_of_n(fit: Fit, rows: FloatArray) -> None:
    best = BestCurve.of(fit)
    column = list(best.n).index(4.0)
    kl, reward = np.tile(best.kl[:, column], (3, 1)), np.tile(best.gain[:, column], (3, 1)) + rows.mean(axis=1)
    found = compare(fit, best, kl, reward)
    assert found.over_gain.mean == pytest.approx(0.0, abs=1e-12)
    assert found.over_gain.high - found.over_gain.low < 1e-9
    rules = fit.share(BestOfN.along([4]))
    assert rules.share is not None
    assert found.share.mean == pytest.approx(float(rules.share[0]), rel=1e-6)
    assert found.kl.mean == pytest.approx(float(rules.spent[0]), rel=1e-9)
    assert found.supported
    assert found.n_seeds == 3


def test_differences_are_paired_and_have_a_side(fit: Fit, rows: FloatArray) -> None:
    best = BestCurve.of(fit)
    column = list(best.n).index(4.0)
    rng = np.random.default_rng(0)
    kl = np.tile(best.kl[:, column], (3, 1))
    reward = np.tile(best.gain[:, column], (3, 1)) + rows.mean(axis=1) + rng.normal(-0.1, 0.05, (3, PROMPTS))
    found = compare(fit, best, kl, reward)
    assert found.over_gain.side == -1
    assert found.over_gain.low < -0.1 < found.over_gain.high
    # The gain alone is much less sure: prompts differ, and that cancels in the difference.
    assert found.gain.high - found.gain.low > 2.0 * (found.over_gain.high - found.over_gain.low)


def test_past_the_support_it_says_so(fit: Fit, rows: FloatArray) -> None:
    best = BestCurve.of(fit)
    kl = np.full((1, PROMPTS), fit.supported_end + 1.0)
    assert not compare(fit, best, kl, rows.mean(axis=1)[None] + 1.0).supported


def test_other_prompts_are_refused(fit: Fit) -> None:
    with pytest.raises(InputError, match="must be on the 60 prompts"):
        compare(fit, BestCurve.of(fit), np.ones((2, 5)), np.ones((2, 5)))
