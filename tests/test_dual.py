"""The minimum of the dual on a grid of λ, against laws whose frontier is known."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alignlib.estimation.dual import lam_grid, minimise_dual
from alignlib.laws import Bernoulli, Exponential, Gaussian, Laplace, Uniform

BUDGETS = np.geomspace(1e-4, 3.0, 60)


@pytest.mark.parametrize("law", [Gaussian(), Uniform(), Bernoulli(0.3), Bernoulli(0.05)])
def test_gain_and_lam(law: Gaussian | Uniform) -> None:
    lam = lam_grid(float(np.sqrt(law.variance(0.0))))
    limit = np.array(law.gain_at_kl(1e3) if np.isfinite(law.max_kl) else np.inf)
    gain, best = minimise_dual(lam, np.asarray(law.reverse_kl(lam)), limit, BUDGETS)
    np.testing.assert_allclose(gain, np.asarray(law.gain_at_kl(BUDGETS)), rtol=5e-6)  # least smooth for rare success
    below = 0.9 * law.max_kl > BUDGETS
    np.testing.assert_allclose(best[below], np.asarray(law.lam_at_kl(BUDGETS))[below], rtol=1e-3)


@pytest.mark.parametrize("law", [Laplace(), Exponential()])
def test_up_to_the_edge_of_a_finite_range(law: Laplace | Exponential) -> None:
    """Λ is singular at λ = 1; the grid ends short of it, and polynomials lose digits on the way."""
    lam = lam_grid(1.0)
    lam = lam[lam < law.lam_max]
    kl = BUDGETS[np.asarray(law.lam_at_kl(BUDGETS)) < 0.4]
    gain, _ = minimise_dual(lam, np.asarray(law.reverse_kl(lam)), np.array(np.inf), kl)
    np.testing.assert_allclose(gain, law.gain_at_kl(kl), rtol=1e-5)


def test_atom_is_reached_at_infinite_lam() -> None:
    law = Bernoulli(0.3)
    lam = lam_grid(0.5)
    gain, best = minimise_dual(lam, np.asarray(law.reverse_kl(lam)), np.array(0.7), np.array([0.5, 1.3, 4.0]))
    np.testing.assert_allclose(gain, law.gain_at_kl([0.5, 1.3, 4.0]), rtol=1e-6)
    assert np.isfinite(best[0])
    assert np.isinf(best[1:]).all()


@pytest.mark.parametrize("law", [Gaussian(), Exponential(), Bernoulli(0.05)])
def test_budgets_below_the_grid(law: Gaussian | Exponential) -> None:
    lam = lam_grid(float(np.sqrt(law.variance(0.0))))
    lam = lam[lam < law.lam_max] if isinstance(law, Exponential) else lam
    kl = np.array([0.0, 1e-12, 1e-9, 1e-6, 4e-5])
    gain, best = minimise_dual(lam, np.asarray(law.reverse_kl(lam)), np.array(np.inf), kl)
    np.testing.assert_allclose(gain, law.gain_at_kl(kl), rtol=1e-4)
    np.testing.assert_allclose(best, law.lam_at_kl(kl), rtol=1e-3)


@settings(max_examples=50)
@given(st.floats(0.1, 10.0), st.lists(st.floats(1e-4, 2.0), min_size=2, max_size=6))
@example(4.078203182210583, [0.0019088522085687636, 0.001908852208568764, 0.0019088522085687645])
def test_scale_of_reward_only_scales(scale: float, budgets: list[float]) -> None:
    kl = np.sort(np.array(budgets))
    unit, _ = minimise_dual(lam_grid(1.0), lam_grid(1.0) ** 2 / 2, np.array(np.inf), kl)
    scaled, _ = minimise_dual(lam_grid(scale), (scale * lam_grid(scale)) ** 2 / 2, np.array(np.inf), kl)
    np.testing.assert_allclose(scaled, scale * unit, rtol=1e-9)
    # More budget buys no less, but for rounding: of budgets a few ulp apart each gain is rounded on its own.
    assert (np.diff(scaled) >= -4 * np.spacing(scaled[1:])).all()
