"""Rules that draw several responses and keep one, evaluated from the samples of each prompt.

Each rule gives, for every prompt, its KL to the base, the mean of a reward over what it keeps, and its win rate
over one base draw, with the O(1/n) bias of the sample removed, or none where an unbiased form exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.rules import best_of_n, best_of_poisson, soft_best_of_n
from alignlib.rules.level_jackknife import SampleLevels, Transform
from alignlib.rules.order_weights import jackknifed_weights, subset_means

__all__ = ["BestOfN", "BestOfPoisson", "PromptValues", "SamplingRule", "SoftBestOfN", "prepare"]

_SOFT_GROUPS = 16


@dataclass(frozen=True)
class Prepared:
    """Samples of prompts sorted by the reward that picks, shape (prompts, n), best first.

    ``values`` is the reward that counts, averaged over ties of the picking one; ``tied`` marks prompts with ties.
    """

    picking: FloatArray
    values: FloatArray
    tied: FloatArray
    levels: SampleLevels


@dataclass(frozen=True)
class PromptValues:
    """What a rule does on each prompt, arrays of shape (prompts,)."""

    kl: FloatArray
    mean: FloatArray
    win_rate: FloatArray


class SamplingRule(Protocol):
    """A rule with a mean number of draws."""

    @property
    def draws(self) -> float: ...  # noqa: D102
    @property
    def needs(self) -> int: ...  # noqa: D102
    def evaluate(self, samples: Prepared) -> PromptValues: ...  # noqa: D102


def prepare(picking: FloatArray, values: FloatArray | None = None) -> Prepared:
    """Sort each prompt's samples by ``picking`` (prompts, n); ``values`` go along, averaged over its ties."""
    if (np.diff(picking, axis=1) > 0.0).any():
        order = np.argsort(-picking, axis=1, kind="stable")
        picking = np.take_along_axis(picking, order, axis=1)
        values = None if values is None else np.take_along_axis(values, order, axis=1)
    tied = (np.diff(picking, axis=1) == 0.0).any(axis=1)
    levels = SampleLevels.of(picking[tied])
    if values is None:
        return Prepared(picking, picking, tied, levels)
    values = values.copy()
    level_size = (levels.upto - levels.below).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(level_size)[:-1]]).astype(np.int64)
    flat = values[tied].reshape(-1)
    if flat.size:
        means = np.add.reduceat(flat, starts) / level_size
        values[tied] = np.repeat(means, level_size).reshape(-1, picking.shape[1])
    return Prepared(picking, values, tied, levels)


def _by_rank(samples: Prepared, mean: FloatArray, transform: Transform, kl: float, win_rate: float) -> PromptValues:
    """Fill in KL and win rate of a rule that sees ranks only: the given ones without ties, estimates with them."""
    kls, wins = np.full(len(mean), kl), np.full(len(mean), win_rate)
    if samples.tied.any():
        kls[samples.tied] = samples.levels.kl(transform)
        wins[samples.tied] = samples.levels.win_rate(transform)
    return PromptValues(kls, mean, wins)


@dataclass(frozen=True)
class BestOfN:
    """Keep the best of n draws, n real and at least 1."""

    n: float

    @property
    def draws(self) -> float:
        """n itself."""
        return self.n

    @property
    def needs(self) -> int:
        """Samples per prompt that the estimate takes."""
        return math.ceil(self.n)

    def evaluate(self, samples: Prepared) -> PromptValues:
        """Whole n by the unbiased mean over subsets, others by the jackknifed V-statistic."""
        m = samples.values.shape[1]
        if self.n == round(self.n):
            mean = subset_means(samples.values, np.array([round(self.n)]))[:, 0]
        else:
            mean = samples.values @ jackknifed_weights(m, lambda f: f**self.n)
        formula = float(best_of_n.kl_upper_bound(self.n))
        return _by_rank(samples, mean, lambda f: f**self.n, formula, self.n / (self.n + 1.0))


@dataclass(frozen=True)
class BestOfPoisson:
    """Keep the best of ``1 + Poisson(μ)`` draws (K25)."""

    mu: float

    @property
    def draws(self) -> float:
        """``1 + μ``."""
        return 1.0 + self.mu

    @property
    def needs(self) -> int:
        """Samples per prompt that the estimate takes."""
        return math.ceil(self.draws)

    def evaluate(self, samples: Prepared) -> PromptValues:
        """All by the jackknifed V-statistic."""
        mean = samples.values @ jackknifed_weights(samples.values.shape[1], self._transform)
        small = self.mu < 1e-3
        lost = 0.5 - self.mu / 6.0 if small else (1.0 - -math.expm1(-self.mu) / self.mu) / self.mu
        formula = float(best_of_poisson.kl_upper_bound(self.mu))
        return _by_rank(samples, mean, self._transform, formula, 1.0 - lost)

    def _transform(self, f: FloatArray) -> FloatArray:
        return np.asarray(f * np.exp(-self.mu * (1.0 - f)))


@dataclass(frozen=True)
class SoftBestOfN:
    """Draw n, keep one with probability ∝ ``e^{λ r}`` (V25)."""

    n: float
    lam: float

    @property
    def draws(self) -> float:
        """n itself."""
        return self.n

    @property
    def needs(self) -> int:
        """Samples per prompt that the estimate takes."""
        return math.ceil(self.n)

    def evaluate(self, samples: Prepared) -> PromptValues:
        """By the exact policy on the empirical law, jackknifed over groups of samples."""
        m = samples.values.shape[1]
        groups = min(_SOFT_GROUPS, m)
        label = np.random.default_rng(0).permutation(np.arange(m) % groups)  # ranks fall into groups at random
        rows = [
            self._jackknife(picking, values, label, groups)
            for picking, values in zip(samples.picking, samples.values, strict=True)
        ]
        return PromptValues(*np.array(rows).T)

    def _jackknife(self, picking: FloatArray, values: FloatArray, label: FloatArray, groups: int) -> FloatArray:
        whole = self._plug_in(picking, values)
        left = np.zeros(3)
        for group in range(groups):
            kept = label != group
            left += kept.mean() * self._plug_in(picking[kept], values[kept])
        return np.asarray(groups * whole - left)  # groups of unequal size: Busing, Meijer and van der Leeden

    def _plug_in(self, picking: FloatArray, values: FloatArray) -> FloatArray:
        log_policy = soft_best_of_n.log_policy(picking, None, self.n, self.lam)
        policy = np.exp(log_policy)
        below = np.searchsorted(picking[::-1], picking, side="left")
        upto = np.searchsorted(picking[::-1], picking, side="right")
        beaten = (below + upto) / (2.0 * len(picking))
        return np.array([policy @ (log_policy + math.log(len(picking))), policy @ values, policy @ beaten])
