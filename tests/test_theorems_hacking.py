"""Part *Hacking*, and the boxes of chapters 55 and 56: for each a search for a counterexample.

The names are those of the boxes. Where a box says that something does *not* hold in general, the counterexample must be
found.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.hacking import gold_range_at_kl
from alignlib.hacking.error_laws import GaussianPair
from alignlib.hacking.overoptimisation import rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.hacking.tie_breaking import tie_breaking
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, BestOfPoisson
from alignlib.tables import RewardTable
from alignlib.training.envelope import achieved_envelope
from alignlib.training.policy_kl.estimators import k1, k2, k3
from tests.searching import channel, law, positive, worst_case

ROUNDING = 1e-9
K = 4  # outcomes of the laws that are searched


def pair_of(z: FloatArray) -> tuple[ProxyPair, float]:
    """Any law of four outcomes, gold, error, and λ."""
    return ProxyPair(z[:K], z[:K] + z[K : 2 * K], law(z[2 * K : 3 * K])), positive(float(z[3 * K]), 0.05, 8.0)


def tilt(prob: FloatArray, reward: FloatArray, lam: float) -> FloatArray:
    return law(np.log(prob) + lam * reward)


def kl(one: FloatArray, other: FloatArray) -> float:
    return float(scipy.special.rel_entr(one, other).sum())


# ---------------------------------------------------------------- 40, the price of a proxy
def test_thm_proxy_gain() -> None:
    def excess(z: FloatArray) -> float:
        pair, lam = pair_of(z)
        p, r = pair.prob, pair.gold
        weight = np.exp(lam * (pair.proxy - pair.proxy.max()))
        covariance = p @ (weight * r) - (p @ weight) * (p @ r)
        star, hat = tilt(p, r, lam), tilt(p, pair.proxy, lam)
        regret = (star @ r - kl(star, p) / lam) - (hat @ r - kl(hat, p) / lam)
        size = 1.0 + np.ptp(r) + kl(hat, star) / lam
        off = abs(covariance / (p @ weight) - float(pair.gold_gain(lam)))
        return float(max(off, abs(regret - float(pair.regret(lam)))) / size)

    assert worst_case(excess, 3 * K + 1, starts=5).excess <= ROUNDING


def test_thm_proxy_gap() -> None:
    def excess(z: FloatArray) -> float:
        pair, lam = pair_of(z)
        price = pair.price([lam])
        star, hat = tilt(pair.prob, pair.gold, lam), tilt(pair.prob, pair.proxy, lam)
        jeffreys = float(price.jeffreys[0])
        size = 1.0 + jeffreys + float(np.ptp(pair.gold))
        return (
            max(
                abs(jeffreys - lam * float((hat - star) @ pair.error)),
                abs(float(price.gap[0] - price.gap_integral[0])),
                abs(jeffreys - float(price.jeffreys_integral[0])),
                jeffreys - float(price.jeffreys_bound[0]),
                abs(float(price.gap[0])) - float(price.gap_bound_jeffreys[0]),
                float(price.gap_bound_jeffreys[0] - price.gap_bound[0]),
            )
            / size
        )

    assert worst_case(excess, 3 * K + 1, starts=2, steps=30).excess <= 1e-7


def test_prop_negative_gap_spends_more() -> None:
    """Where the proxy policy has more gold at the same β, it spends at least that times λ more KL."""

    def excess(z: FloatArray) -> float:
        pair, lam = pair_of(z)
        return -lam * float(pair.gap(lam)) - (float(pair.kl(lam)) - float(pair.ideal.kl(lam)))

    assert worst_case(excess, 3 * K + 1, starts=5).excess <= ROUNDING

    def negative(z: FloatArray) -> float:
        pair, lam = pair_of(z)
        return -float(pair.gap(lam))

    assert worst_case(negative, 3 * K + 1, starts=2).excess > 0.1  # the size of the gap is not its sign


def test_prop_equal_kl_gap() -> None:
    def excess(z: FloatArray) -> float:
        pair, lam = pair_of(z)
        curve = tilting_curve(pair, [lam])
        return float(curve.gold_gain[0] - curve.limit_gain[0])

    assert worst_case(excess, 3 * K + 1, starts=2, steps=60).excess <= 1e-8


def turns(values: FloatArray) -> int:
    """Return how often a sequence turns, steps of rounding left out."""
    steps = np.diff(values)
    signs = np.sign(steps[np.abs(steps) > 1e-12 * max(float(np.ptp(values)), 1e-300)])
    return int((np.diff(signs) != 0).sum())


def fall_and_rise(values: FloatArray) -> float:
    """Return by how much a sequence falls and then rises again: 0 where it turns at most once, from up to down."""
    fall = np.maximum.accumulate(values) - values
    rise = np.maximum.accumulate(values[::-1])[::-1] - values
    return float(np.minimum(fall, rise).max())


def test_thm_one_turn() -> None:
    """g up to its largest value and down after it: gold along λ, N and μ does not fall and rise again."""
    grid = np.geomspace(1.0, 400.0, 60)
    lam = np.linspace(0.0, 12.0, 60)

    def excess(z: FloatArray) -> float:
        steps = np.exp(z[:5]) * np.where(np.arange(5) < 3, 1.0, -1.0)
        pair = ProxyPair(np.append(0.0, np.cumsum(steps)), np.append(0.0, np.cumsum(np.exp(z[5:10]))), law(z[10:]))
        curves = [np.asarray(pair.gold_gain(lam))]
        curves += [rule_curve(pair, rule.along(grid)).gold_gain for rule in (BestOfN, BestOfPoisson)]
        return max(fall_and_rise(curve) for curve in curves) / float(np.exp(z[:5]).sum())

    assert worst_case(excess, 16, starts=2, steps=12).excess <= 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_thm_one_turn_along_n_never_more_turns_than_g(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(3, 8))
    pair = ProxyPair(rng.standard_normal(k), np.arange(float(k)), rng.dirichlet(np.full(k, 0.4)))
    grid = np.geomspace(1.0, 1e6, 400)
    for rule in (BestOfN, BestOfPoisson):
        assert turns(rule_curve(pair, rule.along(grid)).gold_gain) <= turns(pair.gold_by_level)


# ---------------------------------------------------------------- 41, tails decide
def test_thm_light_tails() -> None:
    """An independent error leaves gold along λ as it is; the normal case is λ·Cov, by Gauss–Hermite quadrature."""

    def excess(z: FloatArray) -> float:
        gold, error, lam = z[:3], z[3:6], positive(float(z[12]), 0.05, 4.0)
        prob = np.outer(law(z[6:9]), law(z[9:12])).ravel()
        pair = ProxyPair(np.repeat(gold, 3), (gold[:, None] + error[None, :]).ravel(), prob)
        return abs(float(pair.gold_gain(lam)) - float(pair.ideal_gain(lam))) / (1.0 + float(np.ptp(gold)))

    assert worst_case(excess, 13, starts=5).excess <= ROUNDING
    x, w = np.polynomial.hermite_e.hermegauss(80)
    u, v = np.meshgrid(x, x, indexing="ij")
    weight = np.outer(w, w)
    for correlation, scale, lam in itertools.product((-0.9, 0.0, 0.6), (0.5, 2.0), (0.3, 1.0)):
        gold = u
        error = scale * (correlation * u + np.sqrt(1 - correlation**2) * v)
        tilted = weight * np.exp(lam * (gold + error))
        mean = float((tilted * gold).sum() / tilted.sum())
        assert mean == pytest.approx(GaussianPair(1.0, scale, correlation).gold_gain(lam), rel=1e-9, abs=1e-12)


def gold_given_proxy(log_density: FloatArray, at: FloatArray, v: FloatArray) -> FloatArray:
    """``E[r | r + e = v]`` for standard normal r, with e on the grid ``at``: an average over e of v - e."""
    weight = np.exp(log_density - 0.5 * (v[:, None] - at[None, :]) ** 2)
    return np.asarray((weight * (v[:, None] - at[None, :])).sum(axis=1) / weight.sum(axis=1))


def test_thm_gold_given_proxy_for_any_gold() -> None:
    """A log-concave error on a grid, gold of any law: the mean of gold given the proxy does not fall."""
    at = np.arange(-40, 41)

    def falls(z: FloatArray) -> float:
        gold, mass = np.round(8 * np.tanh(z[:5])).astype(int), law(z[5:10])
        slopes = np.sort(3.0 * z[10:15])[::-1]  # log-concave: the slope falls
        log_error = np.cumsum(np.repeat(slopes, 17)[: at.size]) * 0.2
        error = np.exp(log_error - log_error.max())
        v = np.arange(-30, 31)
        joint = np.array(
            [m * np.interp(v - r, at, error, left=0.0, right=0.0) for r, m in zip(gold, mass, strict=True)]
        )
        total = joint.sum(axis=0)
        mean = (joint * gold[:, None]).sum(axis=0)[total > 0] / total[total > 0]
        return -float(np.diff(mean).min(initial=0.0))

    assert worst_case(falls, 15, starts=4, steps=60).excess <= 1e-9


def test_thm_gold_given_proxy() -> None:
    at, v = np.linspace(-6.0, 6.0, 121), np.linspace(-5.0, 5.0, 41)

    def formula(z: FloatArray) -> float:
        log_density, h = np.interp(at, np.linspace(-6, 6, 8), z.clip(-8, 8)), 1e-4

        def log_f(x: FloatArray) -> FloatArray:
            return np.asarray(scipy.special.logsumexp(log_density - 0.5 * (x[:, None] - at) ** 2, axis=1))

        slope = (log_f(v + h) - log_f(v - h)) / (2 * h)
        return float(np.abs(gold_given_proxy(log_density, at, v) + slope).max())

    assert worst_case(formula, 8, starts=2, steps=30).excess < 1e-5

    def fall(log_density: FloatArray) -> float:
        return -float(np.diff(gold_given_proxy(log_density, at, v)).min())

    def log_concave(z: FloatArray) -> float:
        return fall(np.cumsum(3.0 - np.cumsum(np.exp(np.repeat(z, 10)[:120]), axis=0).clip(0, 40) * 0.2, axis=0))

    def any_density(z: FloatArray) -> float:
        return fall(np.interp(at, np.linspace(-6, 6, 12), z.clip(-12, 12)))

    at = np.linspace(-6.0, 6.0, 120)
    assert worst_case(log_concave, 12, starts=4).excess <= 1e-12
    assert worst_case(any_density, 12, starts=4).excess > 0.05  # without log-concavity gold does fall


# ---------------------------------------------------------------- 42, ensembles
def test_thm_ensemble() -> None:
    """The divergence of the mean is at most the mean divergence, and its average over subsets never rises with K."""

    def excess(z: FloatArray) -> float:
        gold, prob, lam = z[:K], law(z[K : 2 * K]), positive(float(z[2 * K]), 0.05, 8.0)
        errors = np.sinh(z[2 * K + 1 :].clip(-4, 4).reshape(4, K))  # some members with enormous errors
        each = [
            np.mean(
                [
                    float(ProxyPair(gold, gold + errors[list(chosen)].mean(axis=0), prob).divergence(lam))
                    for chosen in itertools.combinations(range(4), size)
                ]
            )
            for size in (1, 2, 3, 4)
        ]
        return float(np.diff(each).max())

    assert worst_case(excess, 6 * K + 1, starts=2, steps=30).excess <= 1e-8


def test_thm_ensemble_identity() -> None:
    """What the mean gains on its members' average is how far they are from it on average."""

    def excess(z: FloatArray) -> float:
        prob, lam = law(z[:K]), positive(float(z[K]), 0.05, 4.0)
        gold, members = z[K + 1 : 2 * K + 1], z[K + 1 : 2 * K + 1] + z[2 * K + 1 :].reshape(3, K)
        star, mean = tilt(prob, gold, lam), tilt(prob, members.mean(axis=0), lam)
        each = [tilt(prob, member, lam) for member in members]
        gained = np.mean([kl(star, one) - kl(mean, one) for one in each])
        return float(abs(kl(star, mean) - gained) / (1.0 + sum(kl(star, one) for one in each)))

    assert worst_case(excess, 5 * K + 1, starts=4).excess <= ROUNDING


def test_thm_ensemble_regret_is_not_convex() -> None:
    def excess(z: FloatArray) -> float:
        gold, errors = z[:K], np.sinh(z[K:].clip(-4, 4).reshape(2, K))
        members = np.mean([float(ProxyPair(gold, gold + e).regret(2.0)) for e in errors])
        return float(ProxyPair(gold, gold + errors.mean(axis=0)).regret(2.0)) - float(members)

    assert worst_case(excess, 3 * K, starts=3).excess > 0.1


def test_thm_ensemble_small() -> None:
    """What the leading order leaves is of third order; the own error is ±a, so that its mean is a finite sum."""

    def excess(z: FloatArray) -> float:
        gold, lam, size = z[:K], positive(float(z[K]), 0.1, 4.0), 1e-3
        shared, own = size * np.tanh(z[K + 1 : 2 * K + 1]), size * np.tanh(z[2 * K + 1 : 3 * K + 1])
        star = tilt(np.full(K, 1 / K), gold, lam)

        def spread(e: FloatArray) -> float:
            return float(star @ np.square(e - star @ e))

        worst = 0.0
        for members in (1, 2, 3):
            regrets = [
                float(ProxyPair(gold, gold + shared + np.mean(signs) * own).regret(lam))
                for signs in itertools.product((-1.0, 1.0), repeat=members)
            ]
            leading = lam / 2 * (spread(shared) + spread(own) / members)
            worst = max(worst, abs(float(np.mean(regrets)) - leading))
        return worst / (lam**2 * float(np.ptp(shared + own) + np.ptp(shared - own)) ** 3 + 1e-16)

    assert worst_case(excess, 3 * K + 1, starts=3, steps=30).excess < 1.0


# ---------------------------------------------------------------- 43 and 44
@pytest.mark.parametrize("k", [3, 5, 10])
def test_best_of_k_checkpoints_is_inside_by_chance(k: int) -> None:
    """Of k exchangeable scores the largest is neither first nor last with probability (k-2)/k."""
    best = np.random.default_rng(0).standard_normal((40_000, k)).argmax(axis=1)
    inside = float(((best > 0) & (best < k - 1)).mean())
    assert inside == pytest.approx((k - 2) / k, abs=4 * 0.5 / 200)


def test_def_ties() -> None:
    """Averaged over all orders of a table's rows, taking the first of the tied is worth their mean."""
    rng = np.random.default_rng(1)
    proxy, gold = rng.integers(0, 2, (3, 4)).astype(float), rng.standard_normal((3, 4))
    first = []
    for order in itertools.permutations(range(4)):
        table = RewardTable.from_arrays(proxy=proxy[:, order], gold=gold[:, order])
        found = tie_breaking(table, "proxy", "gold", n_boot=100, rng=0)
        first.append(found.first)
    assert np.mean(first) == pytest.approx(found.averaged, rel=1e-12)


# ---------------------------------------------------------------- 55, training on the frontier
def test_thm_envelope() -> None:
    """No point between policies lies above the frontier."""

    def excess(z: FloatArray) -> float:
        base = FiniteLaw(z[:K], law(z[K : 2 * K]))
        policies = channel(z[2 * K :], 3)
        spent = np.array([kl(policy, base.prob) for policy in policies])
        envelope = achieved_envelope(spent, policies @ z[:K], base.base_reward)
        at = np.linspace(0.0, envelope.kl[-1], 9)
        return float((envelope.reward_at(at) - base.base_reward - base.gain_at_kl(at)).max())

    assert worst_case(excess, 5 * K, starts=3, steps=50).excess <= 1e-8


# ---------------------------------------------------------------- 56, the KL of a trained policy
def two_tokens(z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Policy and base over two tokens of three: first laws (3,) and second laws (3, 3)."""
    return law(z[:3]), channel(z[3:12], 3), law(z[12:15]), channel(z[15:24], 3)


def test_thm_kl_estimators() -> None:
    def excess(z: FloatArray) -> float:
        first, second, base_first, base_second = two_tokens(z.clip(-4, 4))
        joint, base = first[:, None] * second, base_first[:, None] * base_second
        one, two = np.log(first / base_first)[:, None], np.log(second / base_second)
        whole = one + two
        truth = kl(joint.ravel(), base.ravel())
        token_kl = kl(first, base_first) + scipy.special.rel_entr(second, base_second).sum(axis=1)[:, None]
        estimates = (k1(whole), k3(whole), k3(one) + k3(two), token_kl + 0 * two)
        unbiased = max(abs(float((joint * value).sum()) - truth) for value in estimates)
        h = np.exp(whole) * (0.5 * whole**2 - whole + 1.0) - 1.0
        of_k2 = abs(float((joint * k2(whole)).sum()) - truth - float((base * h).sum()))
        second_moment = abs(float((joint * np.exp(-2 * whole)).sum()) / float((base * base / joint).sum()) - 1.0)
        return float(max(unbiased, of_k2, second_moment) / (1.0 + truth))

    assert worst_case(excess, 24, starts=6).excess <= ROUNDING


def test_prop_kl_gradients() -> None:
    """Gradients in the logits, by central differences of the estimators at responses held fixed."""

    def excess(z: FloatArray) -> float:
        z = z.clip(-3, 3)
        logits, base, h = z[:4], law(z[4:]), 1e-5
        policy = law(logits)

        def gradient(of: Callable[[FloatArray], float]) -> FloatArray:
            steps = h * np.eye(4)
            return np.array([(of(law(logits + s)) - of(law(logits - s))) / (2 * h) for s in steps])

        def fixed(estimator: Callable[[FloatArray], FloatArray | float]) -> FloatArray:
            return gradient(lambda moved: float(policy @ np.asarray(estimator(np.log(moved / base)))))

        return float(
            max(
                np.abs(fixed(k1)).max(),
                np.abs(fixed(k2) - gradient(lambda moved: kl(moved, base))).max(),
                np.abs(fixed(k3) - gradient(lambda moved: kl(base, moved))).max(),
            )
        )

    assert worst_case(excess, 8, starts=3, steps=40).excess < 1e-6


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_thm_kl_estimators_bias_of_k2_has_either_sign(sign: float) -> None:
    def excess(z: FloatArray) -> float:
        policy, base = law(z[:3].clip(-3, 3)), law(z[3:].clip(-3, 3))
        return sign * (float(policy @ np.asarray(k2(np.log(policy / base)))) - kl(policy, base))

    assert worst_case(excess, 6, starts=3).excess > 0.01


def test_thm_kl_estimators_out_of_reach() -> None:
    """Where the policy cannot say what the base can, k3 falls short by the base mass out of its reach."""

    def excess(z: FloatArray) -> float:
        base, policy = law(z[:4]), np.append(law(z[4:7]), 0.0)
        mean = float(policy[:3] @ np.asarray(k3(np.log(policy[:3] / base[:3]))))
        return abs(kl(policy, base) - mean - float(base[3]))

    assert worst_case(excess, 7, starts=6).excess <= ROUNDING
    # The variance is finite all the same: it is E_p[p/π] within reach that counts, not over all that the base can say.
    base, policy = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    assert float(k3(np.log(policy[0] / base[0]))) == pytest.approx(kl(policy, base) - 0.5)
    assert float((base**2 / np.maximum(policy, 1e-300)).sum()) > 1e200


def test_exa_conditioned_policy() -> None:
    """A policy that conditions the base on a set: k1 is one number, Rao–Blackwell varies."""
    base_first, base_second = np.array([0.5, 0.5]), np.array([[0.1, 0.9], [0.6, 0.4]])
    joint = (base_first[:, None] * base_second) * np.array([0.0, 1.0])
    mass = joint.sum()
    first = joint.sum(axis=1) / mass
    token_kl = kl(first, base_first) - np.log(base_second[:, 1])
    whole = np.log(first / base_first) - np.log(base_second[:, 1])
    np.testing.assert_allclose(whole, -np.log(mass), rtol=1e-12)
    assert float(first @ token_kl) == pytest.approx(-np.log(mass), rel=1e-12)
    assert np.ptp(token_kl) > 0.5


def test_prop_gold_light_tail() -> None:
    """Random laws, golds, proxies and policies; the rest's sub-Gaussian size from half its range (Hoeffding)."""
    rng = np.random.default_rng(6)
    for _ in range(300):
        k = int(rng.integers(3, 9))
        p, phi = rng.dirichlet(np.ones(k)), rng.dirichlet(np.full(k, 0.4))
        both = rng.normal(size=(2, k))
        both -= (both @ p)[:, None]
        both /= np.sqrt(both**2 @ p)[:, None]
        rho = float(p @ (both[0] * both[1]))
        if abs(rho) > 0.999:
            continue
        rest = (both[0] - rho * both[1]) / math.sqrt(1.0 - rho**2)
        gains, kl = both @ (phi - p), float(scipy.special.rel_entr(phi, p).sum())
        low, high = gold_range_at_kl(rho, gains[1], kl, rest_tail=0.5 * float(np.ptp(rest)))
        assert low - 1e-12 <= gains[0] <= high + 1e-12
