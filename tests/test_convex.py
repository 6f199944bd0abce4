"""Corrected log-partition functions made possible again, and arms of intervals stretched where few prompts count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.estimation import fit_frontier
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.curve import made_convex


@given(st.lists(st.integers(0, 8), min_size=6, max_size=12), st.lists(st.integers(0, 8), min_size=6, max_size=12))
def test_curves_are_convex_and_no_steeper_than_the_largest_sample(one: list[int], two: list[int]) -> None:
    """Whatever ties there are among the samples of the prompts."""
    rows = [np.array(one, dtype=float), np.array(two, dtype=float)]
    if all(np.ptp(row) == 0.0 for row in rows):
        return
    curve = fit_frontier(rows, n_boot=100).curve
    largest = curve.cells.whole @ curve.cell_limit
    for cells in curve.cell_bounds:
        values = made_convex(curve.lam, curve.cells.whole @ cells, curve.cells.whole @ curve.cell_plug_in, largest)[0]
        slope = np.diff(values, prepend=0.0) / np.diff(curve.lam, prepend=0.0)
        assert (np.diff(slope) >= -1e-9 * (1.0 + largest)).all()
        assert slope[-1] <= largest[0] * (1.0 + 1e-9) + 1e-12
        assert (values >= (curve.cells.whole @ curve.cell_plug_in)[0] - 1e-12).all()


def test_what_is_convex_is_left_alone() -> None:
    lam = np.geomspace(0.01, 3.0, 30)
    np.testing.assert_allclose(made_convex(lam, lam**2 / 2, lam**2 / 4, np.array(99.0)), lam**2 / 2, rtol=1e-12)


def test_arms_are_stretched_where_few_cells_count() -> None:
    rng = np.random.default_rng(0)
    for values, least, most in (
        (np.ones(100) + 0.1 * rng.random(100), 1.0, 1.01),
        (np.r_[np.ones(99), 200.0], 2.9, 3.0),
    ):
        cells = Cells.of(np.full(100, 8), rng)
        weights = cells.resample(200, rng)
        mean, error = weights @ values[:, None], cells.standard_error(weights, values[:, None])
        factor = cells.stretch(mean[0], error[0])[0]
        assert least <= factor <= most
        low, high = studentised_interval(mean, error, 0.95, len(cells.size), up=factor)
        plain = studentised_interval(mean, error, 0.95, len(cells.size))
        assert (low, high >= plain[1]) == (plain[0], True)
        mirrored = studentised_interval(-mean, error, 0.95, len(cells.size), up=factor)
        assert (-mirrored[1][0], -mirrored[0][0]) == pytest.approx((low[0], high[0]))


def test_sensitivity_is_what_one_more_sample_does_to_the_plug_in() -> None:
    rows = [*np.random.default_rng(1).standard_normal((30, 40))]
    fit = fit_frontier(rows, bias_correction=False, n_boot=100)
    found = fit.sensitivity(0.3)
    assert found is not None
    gains = [row.max() - row.mean() for row in rows]
    k = int(np.argmax(gains))
    assert found.largest_gain == pytest.approx(gains[k])
    more = [np.r_[row, row.mean() + 2.0 * gains[k]] if i == k else row for i, row in enumerate(rows)]
    after = fit_frontier(more, bias_correction=False, n_boot=100).at(0.3).gain[0]
    # To first order in the change: λ is held.
    assert found.raised_by == pytest.approx(after - fit.at(0.3).gain[0], rel=0.2)
    assert 20.0 < found.prompts_that_count <= 30.0
    assert fit_frontier(rows, bounded=(-9.0, 9.0), n_boot=100).sensitivity(0.3) is None
