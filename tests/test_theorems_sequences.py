"""The boxes of the part on long sequences: searched for counterexamples, exact laws against what the boxes say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.sequences import (
    MarkovModel,
    MemorylessModel,
    exact_asymptotics,
    nearest_tilt,
    power_by_recursion,
    renyi_cross_entropy,
)
from tests.searching import channel, law, positive, worst_case

K = 3  # letters
TOKENS = np.array(list(itertools.product(range(K), repeat=3)))


def kl(a: FloatArray, b: FloatArray) -> float:
    held = a > 0
    return float(a[held] @ np.log(a[held] / b[held]))


def letters(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A token law and its rewards on [0, 1]."""
    r = z[K : 2 * K]
    return law(z[:K]), (r - r.min()) / np.ptp(r)


def test_thm_memoryless_optimum() -> None:
    """Sequences of three tokens, any policy: never more than 3 R(KL/3), and the product of token tilts has that."""

    def off(z: FloatArray) -> float:
        p, r = letters(z)
        token, phi = FiniteLaw(r, p), law(z[2 * K : 2 * K + 27])
        base, reward = p[TOKENS].prod(axis=1), r[TOKENS].sum(axis=1)
        above = float(phi @ reward - base @ reward) - 3 * float(token.gain_at_kl(kl(phi, base) / 3))
        lam = positive(z[-1], 0.1, 5.0)
        tilt = np.exp(token.log_policy(lam))[TOKENS].prod(axis=1)
        whole = base * np.exp(lam * reward)
        return max(above, float(np.abs(tilt - whole / whole.sum()).max()))

    assert worst_case(off, 2 * K + 28, starts=3, steps=60).excess <= 1e-12


def test_thm_closeness_sequences() -> None:
    def off(z: FloatArray) -> float:
        p, r = letters(z)
        token, phi, lam = FiniteLaw(r, p), law(z[2 * K : 2 * K + 27]), positive(z[-1], 0.1, 5.0)
        base, reward = p[TOKENS].prod(axis=1), r[TOKENS].sum(axis=1)
        pi = np.exp(token.log_policy(lam))[TOKENS].prod(axis=1)
        missed = 3 * float(token.mean_reward(lam)) - float(phi @ reward)
        return abs(kl(phi, pi) - (kl(phi, base) - 3 * float(token.kl(lam)) + lam * missed))

    assert worst_case(off, 2 * K + 28, starts=3, steps=40).excess <= 1e-10


def test_thm_ldp() -> None:
    """Chernoff above at every length; below, within the correction of Bahadur and Rao; the rate is a divergence."""

    def off(z: FloatArray) -> float:
        p = law(np.clip(z[:K], -1.5, 1.5))
        m, lam, up = 60, positive(z[K], 0.02, 0.8), 0.1 + 0.8 / (1 + math.exp(-z[K + 1]))
        model = MemorylessModel(p, [0.0, 1.0, 2.0], m)
        token = model.token
        mean = float(token.mean_reward(lam))
        x = math.ceil(m * (mean + up * (2.0 - mean))) / m
        rate = float(model.rate(x, lam))
        left = -float(model.sum_law().tilted(lam).log_tail(m * x)) - m * rate
        tilt = FiniteLaw([0.0, 1.0, 2.0], p)
        theta = 500.0 if x >= 2.0 else float(tilt.lam_at_kl(tilt.kl_at_gain(x - tilt.base_reward)))
        divergence = kl(np.exp(tilt.log_policy(theta)), np.exp(tilt.log_policy(lam)))
        return max(-left, left - 0.5 * math.log(m) - 6.0, abs(divergence - rate) - 1e-7)

    assert worst_case(off, K + 2, starts=3, steps=25).excess <= 1e-9


def test_thm_ldp_constant() -> None:
    """-log P - m I tends to ½ log m plus the constant of Bahadur and Rao."""
    p = np.array([0.5, 0.3, 0.2])
    left = []
    for m in (400, 1600):
        model = MemorylessModel(p, [0.0, 1.0, 2.0], m)
        exact = float(model.sum_law().log_tail(m * 1.25))
        left.append(exact - float(exact_asymptotics(model.token, 1.25, m, step=1.0)))
    assert abs(left[1]) < 0.3 * abs(left[0]) < 0.01  # the rest falls like 1/m


@pytest.mark.parametrize("x", [0.9, 1.3, 1.5])
def test_prop_ldp_best_of_n(x: float) -> None:
    """Above R the rate I - δ, which is I_λ + λ(x - R); below, the exponent itself grows exponentially."""
    p, delta, found = np.array([0.5, 0.3, 0.2]), 0.2, []
    token = FiniteLaw([0.0, 1.0, 2.0], p)
    lam = float(token.lam_at_kl(delta))
    mean = float(token.mean_reward(lam))
    for m in (50, 100, 200):
        model = MemorylessModel(p, [0.0, 1.0, 2.0], m)
        best, rate = model.sum_law().best_of_n(m * delta), float(model.rate(x))
        if x > mean:
            assert rate - delta == pytest.approx(float(model.rate(x, lam)) + lam * (x - mean), abs=1e-9)
            found.append(abs(-float(best.log_tail(m * x)) / m - (rate - delta)))
        else:
            found.append(-abs(math.log(-float(best.log_head(m * x))) / m - (delta - rate)) + 1.0)
    gaps = found if x > mean else [1.0 - f for f in found]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.03


def test_thm_scaled_cumulants() -> None:
    """The Rényi form is exact at every length, here on all sequences of three tokens."""

    def off(z: FloatArray) -> float:
        z = np.clip(z, -3.0, 3.0)
        p, q = law(z[:K]), law(z[K : 2 * K])
        lam, s = positive(z[2 * K], 0.1, 3.0), z[2 * K + 1]
        pi = p * q**lam / (p * q**lam).sum()
        if abs(s) < 1e-3:
            return -1.0
        generated = math.log(float(pi[TOKENS].prod(axis=1) @ q[TOKENS].prod(axis=1) ** s)) / 3
        renyi = -s * float(renyi_cross_entropy(pi, q, 1 + s))
        partition = math.log(float((p * q ** (lam + s)).sum())) - math.log(float((p * q**lam).sum()))
        return float(max(abs(generated - renyi), abs(generated - partition)))

    assert worst_case(off, 2 * K + 2, starts=6).excess <= 1e-9


def test_prop_cgf_best_of_n() -> None:
    """A line up to s = λ, then the base's curve shifted by δ; approached from growing lengths."""
    p, delta = np.array([0.5, 0.3, 0.2]), 0.2
    token = FiniteLaw([0.0, 1.0, 2.0], p)
    lam = float(token.lam_at_kl(delta))
    mean = float(token.mean_reward(lam))
    for s in (-0.5, 0.5 * lam, 2 * lam):
        limit = s * mean if s <= lam else float(token.log_partition(s)) + delta
        gaps = [
            abs(
                float(MemorylessModel(p, [0.0, 1.0, 2.0], m).sum_law().best_of_n(m * delta).log_partition(s)) / m
                - limit
            )
            for m in (50, 200, 800)
        ]
        assert gaps[0] >= gaps[1] >= gaps[2]  # above λ to the last digit
        assert gaps[2] < 0.01


@pytest.mark.parametrize("reward", [[0.0, 1.0, 2.0], [0.0, 1.0, math.sqrt(2)]], ids=["lattice", "no lattice"])
def test_thm_asymptotic_equivalence_and_prop_half_log(reward: list[float]) -> None:
    """Per token all gaps vanish; in total the divergence grows by ½ log 2 a doubling, and log N - KL stays bounded."""
    p, share = np.array([0.5, 0.3, 0.2]), 0.3
    delta = share * MemorylessModel(p, reward, 1).token.max_kl
    rows = [MemorylessModel(p, reward, m).best_of_n(delta) for m in (75, 150, 300, 600)]
    totals = [row.kl_to_optimum for row in rows]
    growth = np.diff(totals)
    assert growth == pytest.approx(0.5 * math.log(2), abs=0.08)
    assert all(0.5 < row.log_n - row.kl_to_base < 1.6 for row in rows)
    assert rows[-1].reward_gap < rows[0].reward_gap / 5
    scaled = [row.lam * row.length * row.reward_gap for row in rows]
    assert np.diff(scaled) == pytest.approx(0.5 * math.log(2), abs=0.08)


def test_prop_half_log_constant() -> None:
    """Off a lattice: ½ log(2π m λ² Λ'') - 1 - γ nats, also where one letter is rare; the rest falls with m."""
    for p, reward in (([0.9, 0.09, 0.01], [0.0, 1.0, math.pi]), ([0.5, 0.3, 0.2], [0.0, 1.0, math.sqrt(2)])):
        rests = []
        for m in (60, 400):
            model = MemorylessModel(p, reward, m)
            found = model.best_of_n(0.4 * model.token.max_kl)
            scale = 2 * math.pi * m * found.lam**2 * float(model.token.variance(found.lam))
            rests.append(found.kl_to_optimum - 0.5 * math.log(scale) + 1 + np.euler_gamma)
        assert abs(rests[1]) < min(abs(rests[0]), 0.03)


def test_with_more_draws_than_one_over_the_top_mass_best_of_n_reaches_the_top() -> None:
    """N p_k > 1: the distance of best-of-N^m to the tilts vanishes; N p_k < 1: it grows."""
    for p, n, grows in (([0.2, 0.1, 0.7], 2, False), ([0.15, 0.7, 0.15], 16, False), ([0.4, 0.4, 0.2], 2, True)):
        reward = np.log(np.diff(np.append(0.0, np.cumsum(p)) ** n) / np.array(p))  # the one that fits a single token
        reward = (reward - reward[0]) / np.ptp(reward)
        near = [nearest_tilt(MemorylessModel(p, reward, m).sum_law(), m * math.log(n)).distance for m in (1, 2, 8, 16)]
        assert near[0] < 1e-12 < 1e-6 < near[1]
        assert near[3] > near[2] > near[1] if grows else near[3] < 1e-3 * near[1]


def test_prop_half_log_unspent_budget_is_bounded_by_ties() -> None:
    """log N - (N-1)/N - KL <= E log(1 + N P_i / F_i) on the law of a sum, where it is bounded over lengths."""
    p = np.array([0.5, 0.3, 0.2])
    unspent, bound = [], []
    for m in (20, 80, 320):
        log_n = 0.2 * m
        sums = MemorylessModel(p, [0.0, 1.0, 2.0], m).sum_law()
        best = sums.best_of_n(log_n)
        unspent.append(log_n - 1.0 - float(best.kl_to(sums)))
        head = np.logaddexp.accumulate(np.asarray(sums.log_prob))
        bound.append(float(np.exp(best.log_prob) @ np.logaddexp(0.0, log_n + np.asarray(sums.log_prob) - head)))
    assert (np.array(unspent) <= np.array(bound)).all()
    assert max(bound) < 1.5


def test_thm_twisted_chain() -> None:
    """Λ is the log Perron root: m-step partition functions grow by it; reward and KL rates are Λ' and λΛ' - Λ."""

    def off(z: FloatArray) -> float:
        base, r, lam = channel(np.clip(z[:9], -1.5, 1.5), 3), np.tanh(z[9:18]).reshape(3, 3), positive(z[18], 0.1, 3.0)
        model = MarkovModel(base, r, np.full(3, 1 / 3), 60)
        tilted = base * np.exp(lam * r)
        values, vectors = np.linalg.eig(tilted)
        top = int(np.argmax(values.real))
        root, h = float(values[top].real), np.abs(vectors[:, top].real)
        twisted = tilted * h / (root * h[:, None])
        power = np.linalg.matrix_power(twisted, 200)
        stationary = power[0]
        spent = float((stationary[:, None] * twisted * np.log(twisted / base)).sum())
        earned = float((stationary[:, None] * twisted * r).sum())
        grown = np.linalg.matrix_power(tilted / root, 41).sum() / np.linalg.matrix_power(tilted / root, 40).sum()
        return float(
            max(
                abs(float(model.token.log_partition(lam)) - math.log(root)),
                abs(float(model.token.kl(lam)) - spent),
                abs(float(model.token.mean_reward(lam)) - earned),
                abs(grown - 1.0) - 1e-2,
            )
        )

    assert worst_case(off, 19, starts=2, steps=20).excess <= 1e-8


def test_thm_equivalence_memory() -> None:
    """A chain that likes to stay: per token the gaps to its optimum fall, in total the divergence grows by ½ log 2."""
    base, r = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    rows = [MarkovModel(base, r, np.array([0.6, 0.4]), m).best_of_n(0.1) for m in (100, 200, 400)]
    assert np.diff([row.kl_to_optimum for row in rows]) == pytest.approx(0.5 * math.log(2), abs=0.1)
    assert rows[2].reward_gap < 0.45 * rows[0].reward_gap


def test_prop_nearest_tilt() -> None:
    """No tilt is nearer to best-of-N than the one that earns the same, and the distance is what is overspent."""

    def nearer(z: FloatArray) -> float:
        p, n, lam = law(z[:4]), 1.0 + positive(z[4], 0.2, 30.0), positive(z[5], 0.05, 30.0)
        r = np.cumsum(np.exp(z[6:10]))
        family = FiniteLaw(r / r[-1], p)
        found = BestOfN(n).on(family)
        wasted = found.kl - float(family.kl_at_gain(found.gain))
        return wasted - kl(found.policy, np.exp(family.log_policy(lam)))

    assert -1e-2 < worst_case(nearer, 10, starts=4, steps=60).excess <= 1e-10


def test_prop_nearest_tilt_of_the_library() -> None:
    base, reward = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.0, 0.2, 0.5, 1.0])
    family, found = FiniteLaw(reward, base), BestOfN(4).on(FiniteLaw(reward, base))
    nearest = nearest_tilt(MemorylessModel(base, reward, 1).sum_law(), math.log(4))
    assert nearest.distance == pytest.approx(found.kl - float(family.kl_at_gain(found.gain)), abs=1e-12)


def test_prop_miller() -> None:
    """The recursion against repeated convolution, and the signs of its terms."""
    for p in ([0.5, 0.3125, 0.1875], [0.05, 0.9, 0.05], [0.3, 0.0, 0.7]):
        m, exact = 12, np.ones(1)
        for _ in range(m):
            exact = np.convolve(exact, p)
        if p[1] > 0:
            np.testing.assert_allclose(np.exp(power_by_recursion(np.log(p), m)), exact, rtol=1e-12)
    for top, m in itertools.product((2, 3, 5), (1, 4, 12)):
        for j in range(1, top):
            mass = np.zeros(top + 1)
            mass[[0, j, top]] = 0.5, 0.3, 0.2
            exact = np.ones(1)
            for _ in range(m):
                exact = np.convolve(exact, mass)
            for low, first, letters in ((mass, exact, (j, top)), (mass[::-1], exact[::-1], (top - j, top))):
                last = min(letters[0] * (m + 1), top * m)
                for n in range(1, last + 1):  # the recursion, its signs, from either end
                    terms = [(k * (m + 1) - n) * low[k] * first[n - k] for k in letters if k <= n]
                    assert min(terms, default=0.0) >= 0
                    assert n * low[0] * first[n] == pytest.approx(sum(terms), rel=1e-12, abs=1e-300)
            assert j * (m + 1) + (top - j) * (m + 1) > top * m  # both ends together reach every sum
