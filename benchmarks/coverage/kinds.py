"""Kinds of prompts, equally likely, each with a law of finitely many rewards, so that every truth is a sum.

Fewer than half of them were chosen when the intervals were made or soon after; the others follow a rule from fixed
seeds, or were added later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.stats
from numpy.random import Generator

from alignlib._core.checks import FloatArray, IntArray
from alignlib.estimation import few_prompts
from alignlib.laws import FiniteLaw
from benchmarks.coverage.study import Shape
from benchmarks.coverage.topics import Trial

__all__ = ["KINDS", "PIECE", "REPLICATES", "SHAPES", "TRIED", "Kinds", "of_each"]

PIECE, REPLICATES = 10, 400  # tables of a piece; of the bootstrap

_BINS = 1500
_RANKS = (np.arange(_BINS) + 0.5) / _BINS
# Those of the study of limits in KL and one more; where n is unequal, prompts that vary more have fewer samples.
SHAPES = {
    one.name: one
    for one in (
        Shape(25, 16),
        Shape(100, 16),
        Shape(30, 64),
        Shape(40, 40, tied=True),
        Shape(1, 2000),
        Shape(400, 8),
        Shape(10, 1000),
        Shape(2000, 8),
    )
}
TRIED = tuple(SHAPES)


@dataclass(frozen=True)
class Kinds:
    """The laws, and the known least and largest reward where there are."""

    laws: tuple[FiniteLaw, ...]
    bounded: tuple[float, float] | None = None

    def table(self, rng: Generator, shape: str) -> tuple[IntArray, list[FloatArray]]:
        """Draw the kinds of prompts, and rewards of each prompt."""
        size = SHAPES[shape]
        kinds = rng.integers(len(self.laws), size=size.prompts)
        spread = np.sqrt([law.variance(0.0) for law in self.laws])
        counts = size.counts(spread[kinds])
        return kinds, [self.draw(rng, kind, n) for kind, n in zip(kinds.tolist(), counts.tolist(), strict=True)]

    def meant(self, kinds: IntArray, rows: list[FloatArray]) -> tuple[int, ...]:
        """Return the kinds that statements on a table are averages over: all, or of few prompts the table's own."""
        sizes = np.array([len(row) for row in rows])
        return tuple(sorted(kinds.tolist())) if few_prompts(sizes) else tuple(range(len(self.laws)))

    def draw(self, rng: Generator, kind: int, samples: int) -> FloatArray:
        """Draw rewards of one prompt."""
        law = self.laws[kind]
        place = np.searchsorted(np.cumsum(law.prob), rng.random(samples))
        return np.asarray(law.reward[np.minimum(place, law.reward.size - 1)])


def _grades(rows: FloatArray) -> Kinds:
    return Kinds(tuple(FiniteLaw(np.arange(row.size), row) for row in rows), (0.0, float(rows.shape[1] - 1)))


def _four() -> Kinds:
    return _grades(np.random.default_rng(16).dirichlet([2.0, 1.0, 1.0, 3.0], size=12))


def _seven() -> Kinds:
    return _grades(np.random.default_rng(17).dirichlet([0.6] * 7, size=20))


def _right_or_wrong() -> Kinds:
    chance = scipy.stats.beta(0.7, 1.6).ppf((np.arange(15) + 0.5) / 15)
    return _grades(np.stack([1.0 - chance, chance], axis=1))


def _gamma() -> Kinds:
    return Kinds((FiniteLaw(scipy.stats.gamma(3.0).ppf(_RANKS)),))


def _loud() -> Kinds:
    scale = np.exp(0.8 * scipy.stats.norm.ppf((np.arange(9) + 0.5) / 9))
    return Kinds(tuple(FiniteLaw(s * scipy.stats.logistic().ppf(_RANKS)) for s in scale))


def _triangle() -> Kinds:
    law = FiniteLaw(scipy.stats.triang(0.8).ppf(_RANKS))
    return Kinds((law,), (0.0, law.max_reward))


def _rare_bonus() -> Kinds:
    """Skewed to the left, with a bonus that one response in fifty or in ten gets."""
    common = scipy.stats.skewnorm(-4.0).ppf(_RANKS[::3])
    each = np.full(common.size, 1.0 / common.size)
    return Kinds(
        tuple(
            FiniteLaw(np.append(common, common.max() + 2.0), np.append((1.0 - q) * each, q)) for q in (0.02, 0.05, 0.1)
        )
    )


def _graded_by_rule(number: int) -> Kinds:
    """Grades whose number, unevenness and kinds of prompts are drawn."""
    rng = np.random.default_rng([16, number])
    grades, kinds = int(rng.integers(2, 10)), int(rng.integers(5, 31))
    weight = rng.gamma(2.0, size=grades) * 10.0 ** rng.uniform(-0.4, 0.6)
    rows = np.maximum(rng.dirichlet(weight, size=kinds), 1e-4)
    return _grades(rows / rows.sum(axis=1, keepdims=True))


def _graded_finely_by_rule(number: int) -> Kinds:
    """One family of laws with a drawn shape, and scales of prompts with a drawn spread."""
    rng = np.random.default_rng([61, number])
    shape, spread = float(10.0 ** rng.uniform(-0.3, 0.7)), float(rng.uniform(0.0, 0.9))
    family = (scipy.stats.gamma(shape), scipy.stats.weibull_min(1.0 + shape), scipy.stats.beta(shape, 2.0))[number % 3]
    rank = scipy.stats.norm.ppf((np.arange(9) + 0.5) / 9)
    return Kinds(tuple(FiniteLaw(np.exp(spread * z) * family.ppf(_RANKS)) for z in rank))


KINDS: dict[str, Callable[[], Kinds]] = {
    "grades of four": _four,
    "grades of seven, uneven": _seven,
    "right or wrong, from rare to likely": _right_or_wrong,
    "gamma 3": _gamma,
    "logistic, scales over 12x": _loud,
    "triangle on [0, 1]": _triangle,
    **{f"blind by rule: grades {k}": partial(_graded_by_rule, k) for k in range(1, 4)},
    **{f"blind by rule: scales {k}": partial(_graded_finely_by_rule, k) for k in range(1, 4)},
    "skewed to the left, a rare bonus": _rare_bonus,  # this and the next after all intervals were fixed
    "blind by rule: scales 4": partial(_graded_finely_by_rule, 4),
}


def of_each(what: str, trial: Callable[[Callable[[], Kinds]], Trial]) -> dict[str, Callable[[], Trial]]:
    """Return a law of each kind of prompts with one question."""
    return {f"{name}, {what}": partial(trial, make) for name, make in KINDS.items()}
