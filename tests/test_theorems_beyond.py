"""The boxes of the part "Beyond": each is searched for a counterexample, over laws, rewards, policies and orders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from alignlib._core.checks import FloatArray
from alignlib.divergences import CHI_SQUARED, HELLINGER, JENSEN_SHANNON, REVERSE_KL, TOTAL_VARIATION
from alignlib.hacking import gold_range
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage, Uniform, win_rates
from alignlib.pass_at_k import (
    all_of_k,
    all_of_k_estimate,
    kl_of_success,
    majority_of_law,
    pass_at_k,
    pass_at_k_estimate,
    pass_frontier,
)
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


def test_thm_pass_at_k_unbiased() -> None:
    """Over the law of the number of right responses, for every k; of fewer than k no function has that mean."""

    def bias(z: FloatArray) -> float:
        s = positive(float(z[0]), 1e-6, 1.0 - 1e-6)
        off = 0.0
        for n, k in ((1, 1), (6, 4), (12, 3), (12, 12)):
            c = np.arange(n + 1)
            mass = scipy.stats.binom.pmf(c, n, s)
            off = max(off, abs(float(mass @ pass_at_k_estimate(n, c, k)) - pass_at_k(s, k)))
            off = max(off, abs(float(mass @ all_of_k_estimate(n, c, k)) - all_of_k(s, k)))
        return off

    assert worst_case(bias, 1, starts=3, steps=40).excess < 1e-12
    # Functions of 3 responses reach polynomials of degree 3: the best of them misses s⁴ somewhere.
    s = np.linspace(0.0, 1.0, 21)
    basis = scipy.stats.binom.pmf(np.arange(4), 3, s[:, None])
    fitted = basis @ np.linalg.lstsq(basis, s**4, rcond=None)[0]
    assert np.abs(fitted - s**4).max() > 1e-3


def test_thm_pass_frontier() -> None:
    """No rates of success have more pass@k at their KL, nor does any λ's bound lie below what is reached."""
    prompts = 3

    def beats_the_limit(z: FloatArray) -> float:
        q, s = (1.0 / (1.0 + np.exp(-3.0 * part.clip(-4, 4))) for part in (z[:prompts], z[prompts : 2 * prompts]))
        k = round(positive(float(z[-1]), 1.0, 9.0))
        spent = float(np.mean(kl_of_success(s, q)))
        return float(np.mean(pass_at_k(s, k))) - float(pass_frontier(q, k, spent).reward[0])

    assert -1e-2 < worst_case(beats_the_limit, 2 * prompts + 1, starts=3, steps=60).excess <= 1e-12
    q, k, grid = np.array([0.05, 0.3, 0.8]), 4, np.linspace(1e-9, 1.0 - 1e-9, 20_001)
    found = pass_frontier(q, k, 0.3)
    for lam in (0.1, 0.5, float(found.lam[0]), 3.0):
        cost = kl_of_success(grid, np.broadcast_to(q[:, None], (3, grid.size)))
        bound = 0.3 / lam + float(np.mean(np.max(pass_at_k(grid, k) - cost / lam, axis=1)))
        assert bound >= found.reward[0] - 1e-7
    odds = np.log(found.success[0] / (1.0 - found.success[0])) - np.log(q / (1.0 - q))
    np.testing.assert_allclose(odds, found.lam[0] * k * (1.0 - found.success[0]) ** (k - 1), rtol=1e-8)


def test_thm_majority_limit() -> None:
    """The exact vote of a law goes to 1 or 0, and nearer with more votes."""
    right = np.array([True, False, False])
    for prob, end in (([0.4, 0.3, 0.3], 1.0), ([0.4, 0.5, 0.1], 0.0)):
        far = [abs(majority_of_law(prob, right, k).value - end) for k in (25, 100, 400)]
        assert far[0] > far[1] > far[2]
        assert far[2] < 0.02


def test_thm_gold_from_correlation() -> None:
    """No gold, proxy, base model and policy leave the range that the correlation allows."""

    def leaves_the_range(z: FloatArray) -> float:
        gold, proxy = z[:SIZE], z[SIZE : 2 * SIZE]
        p, phi = law(z[2 * SIZE : 3 * SIZE].clip(-3, 3)), law(z[3 * SIZE :].clip(-3, 3))
        gold, proxy = (
            (one - p @ one) / math.sqrt(max(float(p @ (one - p @ one) ** 2), 1e-12)) for one in (gold, proxy)
        )
        spent = float(p @ (phi / p - 1.0) ** 2)
        rho = float(np.clip(p @ (gold * proxy), -1.0, 1.0))
        low, high = gold_range(rho, (phi - p) @ proxy, spent)
        gain = float((phi - p) @ gold)
        return max(float(low) - gain, gain - float(high)) / (1.0 + spent)

    assert -1e-2 < worst_case(leaves_the_range, 4 * SIZE, starts=3, steps=60).excess <= 1e-9

    def ends_missed(z: FloatArray) -> float:
        """How far the gold of the proof is from its correlation and from the end; with v = 0 it is none."""
        proxy, p, phi = z[:SIZE], law(z[SIZE : 2 * SIZE].clip(-3, 3)), law(z[2 * SIZE : 3 * SIZE].clip(-3, 3))
        rho = float(np.tanh(z[-1]))
        proxy = (proxy - p @ proxy) / math.sqrt(max(float(p @ (proxy - p @ proxy) ** 2), 1e-12))
        ratio = phi / p - 1.0
        v = ratio - (p @ (ratio * proxy)) * proxy
        length = math.sqrt(float(p @ v**2))
        if length < 1e-3 * (1.0 + math.sqrt(float(p @ ratio**2))):
            return -1.0
        ends = gold_range(rho, (phi - p) @ proxy, float(p @ ratio**2))
        missed = 0.0
        for sign, end in zip((-1.0, 1.0), ends, strict=True):
            gold = rho * proxy + sign * math.sqrt(1.0 - rho**2) * v / length
            missed = max(missed, abs(float(p @ (gold * proxy)) - rho), abs(float((phi - p) @ gold) - float(end)))
        return missed / (1.0 + float(p @ ratio**2)) - 1e-6

    assert -1e-6 <= worst_case(ends_missed, 3 * SIZE + 1, starts=3, steps=60).excess <= 0.0


def test_thm_gold_from_correlation_where_nothing_is_left_beside_the_proxy() -> None:
    """Two responses, or a proxy with two values and a policy by it: one point, which every gold is at."""
    rng = np.random.default_rng(0)
    for values in ([0.0, 1.0], [0.0, 1.0, 0.0, 1.0, 1.0]):
        proxy = np.array(values)
        p = rng.dirichlet(np.full(proxy.size, 3.0))
        phi = p * np.exp(0.8 * proxy)
        phi /= phi.sum()
        proxy = (proxy - p @ proxy) / math.sqrt(float(p @ (proxy - p @ proxy) ** 2))
        rhos = []
        for gold in rng.normal(size=(20, proxy.size)):
            gold = (gold - p @ gold) / math.sqrt(float(p @ (gold - p @ gold) ** 2))
            rhos.append(float(np.clip(p @ (gold * proxy), -1.0, 1.0)))
            low, high = gold_range(rhos[-1], (phi - p) @ proxy, float(p @ (phi / p - 1.0) ** 2))
            assert [low, high] == pytest.approx([float((phi - p) @ gold)] * 2, abs=1e-6)
        assert (np.abs(rhos) > 1.0 - 1e-9).all() == (proxy.size == 2)  # of two responses no other correlation exists
