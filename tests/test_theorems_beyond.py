"""The boxes of the part "Beyond": each is searched for a counterexample, over laws, rewards, policies and orders."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib.divergences import CHI_SQUARED, HELLINGER, JENSEN_SHANNON, REVERSE_KL, TOTAL_VARIATION
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage, Uniform, win_rates
from alignlib.rules import BestOfN
from tests.searching import law, positive, worst_case

SIZE = 4


def kl(a: FloatArray, b: FloatArray) -> float:
    held = a > 0
    return float(a[held] @ np.log(a[held] / b[held]))


def wins(r: FloatArray, p: FloatArray, phi: FloatArray) -> float:
    """Win rate of φ over p, every pair of outcomes compared."""
    ahead = (r[:, None] > r[None, :]) + 0.5 * (r[:, None] == r[None, :])
    return float(phi @ ahead @ p)


def with_ties(z: FloatArray) -> FloatArray:
    return np.asarray(np.round(z))


def test_thm_win_rate_curve() -> None:
    """No policy wins more often than the uniform law's frontier says at its KL, ties or not."""
    universal = Uniform()

    def beats_the_curve(z: FloatArray) -> float:
        r, p, phi = with_ties(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE :])
        return wins(r, p, phi) - 0.5 - float(universal.gain_at_kl(kl(phi, p)))

    assert -0.1 < worst_case(beats_the_curve, 3 * SIZE, starts=3, steps=60).excess <= 1e-12

    def beats_the_limit_with_ties(z: FloatArray) -> float:
        r, p, phi = with_ties(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE :])
        return wins(r, p, phi) - 0.5 - float(win_rates(FiniteLaw(r, p)).gain_at_kl(kl(phi, p)))

    assert -1e-3 < worst_case(beats_the_limit_with_ties, 3 * SIZE, starts=3, steps=60).excess <= 1e-12
    # Attained without ties, by the tilt of the win rate.
    lam = 3.0
    assert universal.mean_reward(lam) == pytest.approx(1.0 / -math.expm1(-lam) - 1.0 / lam, rel=1e-13)
    assert universal.kl(lam) == pytest.approx(
        lam * universal.mean_reward(lam) - math.log(math.expm1(lam) / lam), rel=1e-12
    )


def test_win_rates_are_those_of_every_pair() -> None:
    r, p = np.array([2.0, 0.0, 2.0, 5.0]), np.array([0.1, 0.2, 0.3, 0.4])
    want = [wins(r, p, phi) for phi in np.eye(4)]
    np.testing.assert_allclose(win_rates(FiniteLaw(r, p)).reward, want, rtol=1e-14)
    best = BestOfN(3).on(FiniteLaw(r, p))
    assert wins(r, p, best.policy) == pytest.approx(best.win_rate, rel=1e-13)
    assert win_rates(Gaussian(2.0, 3.0)) == Uniform()
    with pytest.raises(ValueError, match="law must be a FiniteLaw or a law without ties; got PromptAverage"):
        win_rates(PromptAverage([Gaussian()]))


@pytest.mark.parametrize("divergence", [CHI_SQUARED, HELLINGER, JENSEN_SHANNON, REVERSE_KL, TOTAL_VARIATION])
def test_thm_divergence_dual(divergence: object) -> None:
    """Any λ and ν bound the gain of any policy by its divergence, and the frontier is the least of the bounds."""

    def crosses(z: FloatArray) -> float:
        r, p, phi = z[:SIZE], law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE : 3 * SIZE])
        lam, nu = positive(z[-2], 0.05, 5.0), float(z[-1])
        most = divergence.slope_at_infinity  # type: ignore[attr-defined]
        if math.isfinite(most):  # then prices stay below it, and so ν above some reward
            nu = float(r.max()) - (most - math.exp(min(nu, 3.0))) / lam
        spent = divergence.between(phi, p)  # type: ignore[attr-defined]
        dual = nu + (spent + float(p @ divergence.conjugate(lam * (r - nu)))) / lam  # type: ignore[attr-defined]
        return float(phi @ r) - dual

    assert -0.2 < worst_case(crosses, 3 * SIZE + 2, starts=2, steps=80).excess <= 1e-12


def test_thm_chi_squared_gain() -> None:
    """``gain <= σ √χ²``, and no λ of the unclipped policy misses it."""

    def exceeds(z: FloatArray) -> float:
        r, p, phi = z[:SIZE], law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE :])
        sd = math.sqrt(p @ (r - p @ r) ** 2)
        return float((phi - p) @ r) - sd * math.sqrt(float(p @ (phi / p - 1.0) ** 2))

    assert -1e-3 < worst_case(exceeds, 3 * SIZE, starts=3).excess <= 1e-12


def test_thm_renyi_best_of_n() -> None:
    """``E_φ w <= (N+1)^{-1/N} e^{D/N}``, D of order N/(N-1), for every policy, with ties too; best-of-N attains it."""

    def exceeds(z: FloatArray) -> float:
        r, p, phi = with_ties(z[:SIZE]), law(z[SIZE : 2 * SIZE]), law(z[2 * SIZE : 3 * SIZE])
        n = positive(z[-1], 1.05, 40.0)
        order = n / (n - 1.0)
        renyi = math.log(float(p @ (phi / p) ** order)) / (order - 1.0)
        return wins(r, p, phi) - (n + 1.0) ** (-1.0 / n) * math.exp(renyi / n)

    assert -0.2 < worst_case(exceeds, 3 * SIZE + 1, starts=4).excess <= 1e-12
    for n in (1.5, 2.0, 16.0):
        renyi = n * math.log(n) - (n - 1.0) * math.log(n + 1.0)
        assert (n + 1.0) ** (-1.0 / n) * math.exp(renyi / n) == pytest.approx(n / (n + 1.0), rel=1e-13)
