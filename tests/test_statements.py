"""Sentences of pages that stand in no box, and that were wrong once: each with what would have shown it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib.bottleneck import reverse_water_filling
from alignlib.laws import Bernoulli, Exponential


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
