"""Sentences of pages that stand in no box, and that were wrong once: each with what would have shown it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.bottleneck import reverse_water_filling
from alignlib.estimation import fit_frontier
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, PromptAverage
from alignlib.tables import RewardTable
from benchmarks.public_table import FOLDER


@pytest.mark.parametrize("success", [0.001, 0.01, 0.1, 0.2, 0.28, 0.3, 0.4])
def test_03_a_rare_success_beats_the_square_root_until_it_is_exhausted(success: float) -> None:
    law, spread = Bernoulli(success), math.sqrt(success * (1 - success))
    kl = np.linspace(0.0, 1.0, 400)[1:] * law.max_kl
    ratio = np.asarray(law.gain_at_kl(kl)) / (spread * np.sqrt(2 * kl))
    assert bool((ratio >= 1.0 - 1e-12).all()) == (success <= 0.28)
    beyond = (1 - success) ** 2 / (2 * spread**2)
    assert float(law.gain_at_kl(beyond * 1.001)) < spread * math.sqrt(2 * beyond * 1.001)


def weights(rng: np.random.Generator, kl: float, shape: tuple[int, int]) -> FloatArray:
    return np.exp(math.sqrt(2 * kl) * rng.standard_normal(shape))


def test_05_the_effective_sample_size_of_64_is_not_its_limit() -> None:
    rng = np.random.default_rng(0)
    for kl, size in ((0.5, 28), (1.0, 16.5)):
        w = weights(rng, kl, (4000, 64))
        assert float((w.sum(1) ** 2 / (w**2).sum(1)).mean()) == pytest.approx(size, abs=0.7)
    w = weights(rng, 0.25, (200, 20_000))  # far more samples than e^{2D}: there the limit holds
    assert float((w.sum(1) ** 2 / (w**2).sum(1)).mean()) == pytest.approx(20_000 * math.exp(-0.5), rel=0.02)


def test_05_only_reweighting_ends_at_log_n() -> None:
    """An estimate that assumes a normal law goes on, and is right on a normal law."""
    rewards = np.random.default_rng(0).standard_normal((4000, 64))
    assert float(rewards.std(axis=1, ddof=1).mean() * math.sqrt(12.0)) == pytest.approx(math.sqrt(12.0), rel=0.01)


def test_05_an_exponential_reward_needs_far_more_than_a_normal_one() -> None:
    law, rng = Exponential(), np.random.default_rng(0)
    for kl in (1.0, 3.0):
        lam, n = float(law.lam_at_kl(kl)), int(8 * math.exp(kl))
        rewards = rng.exponential(size=(2000, n))
        w = np.exp(lam * (rewards - rewards.max(1, keepdims=True)))
        seen = float(((w * rewards).sum(1) / w.sum(1)).mean()) - 1.0
        normal = rng.standard_normal((2000, n))
        v = np.exp(math.sqrt(2 * kl) * (normal - normal.max(1, keepdims=True)))
        of_normal = float(((v * normal).sum(1) / v.sum(1)).mean()) / math.sqrt(2 * kl)
        assert seen / float(law.gain(lam)) < 0.55 < 0.78 < of_normal


def test_66_a_context_may_get_capacity_though_its_first_whole_nat_saves_less_than_the_price() -> None:
    """What counts is the slope at the start, twice the variance, not what a whole nat saves."""
    found = reverse_water_filling(np.array([1.4, 0.30, 0.1]), 0.35)
    price = 2 * found.level
    assert 0.30 * (1 - math.exp(-2.0)) < price < 2 * 0.30
    given = np.log(np.array([1.4, 0.30, 0.1]) / np.asarray(found.distortion)) / 2
    assert given[1] > 0.05
    assert given[2] == pytest.approx(0.0, abs=1e-12)
    assert price > 2 * 0.1


def test_30_one_more_sample_of_the_largest_reward_bounds_the_log_partition_function_and_not_quite_the_frontier() -> (
    None
):
    """One prompt, 0/1 rewards, all numbers of successes among n samples."""
    n, kl = 8, 1.0
    p = math.exp(-kl)
    k = np.arange(n + 1)
    chance = scipy.stats.binom.pmf(k, n, p)
    for lam in (0.3, 1.0, 4.0):
        assert chance @ np.log1p((k + 1) / (n + 1) * math.expm1(lam)) > math.log1p(p * math.expm1(lam))
        assert chance @ np.log1p(k / n * math.expm1(lam)) < math.log1p(p * math.expm1(lam))
    tops = [float(Bernoulli(q).gain_at_kl(kl)) + q if q < 1 else 1.0 for q in (k + 1) / (n + 1)]
    assert chance @ np.array(tops) == pytest.approx(0.975, abs=0.001)  # the truth is 1


def test_25_without_a_tilt_of_the_same_mean_the_nearest_one_is_the_last() -> None:
    """Density e^-r (1+r)^-4 up to a constant: λ* = 1, and Λ'(1) = 1/2 is less than what best-of-10 earns."""
    r = np.append(np.linspace(0.0, 60.0, 6001), np.geomspace(60.5, 1e5, 4000))
    step = np.gradient(r)
    with np.errstate(under="ignore"):
        base = step * np.exp(-r) / (1 + r) ** 4
        last = step / (1 + r) ** 4
    base, last = base / base.sum(), last / last.sum()
    cdf = np.cumsum(base)
    best = np.diff(np.append(0.0, cdf**10))
    assert float(last @ r) == pytest.approx(0.5, abs=0.01)
    assert float(best @ r) == pytest.approx(0.89, abs=0.01)


@pytest.mark.parametrize("reward", ["vader", "people"])
def test_32_a_finite_review_is_another_law_than_the_reviewer(reward: str) -> None:
    """The limit over the written sentences is known exactly, and lies below what is estimated for the reviewer."""
    table = RewardTable.read(FOLDER / "review_sentences.csv", prompt="review", reward=reward)
    written = [table.column(reward)[a:b] for a, b in itertools.pairwise(table.offsets)]
    exact = float(PromptAverage([FiniteLaw(one) for one in written]).gain_at_kl(0.5))
    plug_in = fit_frontier(table, reward, bias_correction=False, n_boot=100, rng=0).at(0.5).gain[0]
    assert plug_in == pytest.approx(exact, rel=1e-4)  # the plug-in is that law, up to its grid
    assert fit_frontier(table, reward, n_boot=100, rng=0).at(0.5).gain[0] > 1.03 * exact
