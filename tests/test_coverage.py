"""Coverage of the frontier's intervals, in a simulation small enough for every run; the book shows a larger one."""

import numpy as np
import pytest

from alignlib.estimation.coverage import simulate_coverage
from alignlib.laws import Bernoulli, Exponential, Gaussian, Laplace, Uniform

KL = [0.02, 0.05, 0.1, 0.2, 0.5]


def test_intervals_cover_on_every_family() -> None:
    """Pooled over five laws, 40 tables each: 93 to 97 %, give or take two standard errors; the plug-in fails."""
    laws = [Gaussian(), Uniform(), Exponential(), Laplace(), Bernoulli(0.3)]
    found = [
        simulate_coverage(law, 32, 60, KL, 40, np.random.default_rng([1, i]), n_boot=300) for i, law in enumerate(laws)
    ]
    covered = np.concatenate([one.covered[one.supported >= 0.5] for one in found])
    # The budgets of a table rise and fall together: one coverage per table is what counts, 200 in all.
    error = np.sqrt(0.95 * 0.05 / 200)
    assert 0.93 - 2 * error < covered.mean() < 0.97 + 2 * error
    assert covered.min() > 0.8


def test_support_reaches_where_the_samples_do() -> None:
    """Light tails are followed past half a nat, exponential ones no further than their weights have moments."""
    gaussian = simulate_coverage(Gaussian(), 64, 200, [0.5, 0.75, 2.5], 10, np.random.default_rng(2), n_boot=200)
    assert gaussian.supported[1] > 0.8
    assert gaussian.supported[2] == 0.0
    exponential = simulate_coverage(Exponential(), 64, 200, [0.05, 0.5], 10, np.random.default_rng(3), n_boot=200)
    assert exponential.supported[0] == 1.0
    assert exponential.supported[1] < 0.2


def test_plug_in_intervals_fail() -> None:
    plain = simulate_coverage(
        Gaussian(), 16, 200, [0.5], 20, np.random.default_rng(4), bias_correction=False, n_boot=200
    )
    assert plain.covered[0] < 0.3
    assert plain.bias[0] < 0.0


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="n_rep must be at least 1"):
        simulate_coverage(Gaussian(), 16, 10, [0.1], 0, np.random.default_rng(0))
