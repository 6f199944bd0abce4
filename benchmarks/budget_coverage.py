"""How often intervals of win rates, and of limits in other divergences than KL, hold the truth.

``python -m benchmarks.budget_coverage [TABLES]``: laws and sizes of tables that had no part in making the intervals. A
row says of how many tables the samples supported the budget, how often the interval then held the truth, how often it
lay above and below, and its median width over the truth.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.stats
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib.divergences import (
    CHI_SQUARED,
    HELLINGER,
    JENSEN_SHANNON,
    KL,
    REVERSE_KL,
    TOTAL_VARIATION,
    Divergence,
    Renyi,
)
from alignlib.estimation import fit_frontier
from alignlib.estimation.prices import worth
from alignlib.laws import FiniteLaw, largest_win_rate, win_rates
from alignlib.laws.optima import optima
from alignlib.rules import BestOfN

__all__ = ["main"]

_BINS = 1500
_RANKS = (np.arange(_BINS) + 0.5) / _BINS


@dataclass(frozen=True)
class Kinds:
    """Kinds of prompts, equally likely: the laws of their rewards, and how rewards of each are drawn."""

    name: str
    laws: Sequence[FiniteLaw]
    draw: Callable[[Generator, int, int], FloatArray]  # of a kind, so many samples
    bounded: tuple[float, float] | None = None
    ties: bool = True

    def table(self, rng: Generator, prompts: int, samples: int) -> FloatArray:
        """Draw rewards, shape (prompts, samples)."""
        kinds = rng.integers(len(self.laws), size=prompts)
        return np.stack([self.draw(rng, int(kind), samples) for kind in kinds])

    def limit(self, budgets: FloatArray, divergence: Divergence, *, wins: bool = False) -> FloatArray:
        """Return the largest gain for the average over kinds: one law, its policy's ratio at one λ for all."""
        laws = [win_rates(law) if wins else law for law in self.laws] if self.ties or not wins else []
        if not laws:
            return np.asarray(largest_win_rate(budgets)) - 0.5
        return _limit(laws, budgets, divergence)


def _limit(laws: Sequence[FiniteLaw], budgets: FloatArray, divergence: Divergence) -> FloatArray:
    """By the dual, on a fine grid of λ: one λ for all kinds."""
    if divergence == TOTAL_VARIATION:
        top = max(law.max_reward for law in laws)  # of all kinds: their best outcomes are of one reward
        gap = np.concatenate([top - law.reward for law in laws])
        prob = np.concatenate([law.prob for law in laws]) / len(laws)
        return np.asarray(optima(-gap, prob, budgets, divergence)[0])
    lam = np.geomspace(1e-2, 1e3, 700) / np.sqrt(np.mean([law.variance(0.0) for law in laws]))
    psi = np.zeros(lam.size)
    for law in laws:
        start = None
        for j, value in enumerate(lam.tolist()):
            found = worth((law.max_reward - law.reward)[None], law.prob, value, divergence, start)
            psi[j] += found.psi[0] / len(laws)
            start = found.place
    return np.array([np.min((float(divergence.mean_of(np.array(b))) + psi) / lam) for b in budgets])


def _grades(rng: Generator, kind: int, samples: int, *, rows: FloatArray) -> FloatArray:
    return rng.choice(rows.shape[1], p=rows[kind], size=samples).astype(np.float64)


def _right(rng: Generator, kind: int, samples: int, *, chance: FloatArray) -> FloatArray:
    return (rng.random(samples) < chance[kind]).astype(np.float64)


def _scaled(rng: Generator, kind: int, samples: int, *, law: object, scale: FloatArray) -> FloatArray:
    return np.asarray(scale[kind] * law.rvs(size=samples, random_state=rng))  # type: ignore[attr-defined]


def _kinds() -> list[Kinds]:
    rng = np.random.default_rng(16)
    four = rng.dirichlet([2.0, 1.0, 1.0, 3.0], size=12)
    seven = rng.dirichlet([0.6] * 7, size=20)
    chance = scipy.stats.beta(0.7, 1.6).ppf((np.arange(15) + 0.5) / 15)
    gamma, logistic = scipy.stats.gamma(3.0), scipy.stats.logistic()
    scale = np.exp(0.8 * scipy.stats.norm.ppf((np.arange(9) + 0.5) / 9))
    triangle = scipy.stats.triang(0.8)
    one = np.ones(1)
    fours, sevens = ([FiniteLaw(np.arange(row.size), row) for row in rows] for rows in (four, seven))
    coins = [FiniteLaw([0.0, 1.0], [1.0 - c, c]) for c in chance]
    loud = [FiniteLaw(s * logistic.ppf(_RANKS)) for s in scale]
    drawn, loudly = partial(_scaled, scale=one), partial(_scaled, law=logistic, scale=scale)
    return [
        Kinds("grades of four", fours, partial(_grades, rows=four), (0.0, 3.0)),
        Kinds("grades of seven, uneven", sevens, partial(_grades, rows=seven), (0.0, 6.0)),
        Kinds("right or wrong", coins, partial(_right, chance=chance), (0.0, 1.0)),
        Kinds("gamma", [FiniteLaw(gamma.ppf(_RANKS))], partial(drawn, law=gamma), None, False),
        Kinds("logistic, scales 1:12", loud, loudly, None, False),
        Kinds("triangle", [FiniteLaw(triangle.ppf(_RANKS))], partial(drawn, law=triangle), (0.0, 1.0), False),
    ]


@dataclass
class Row:
    """What tables showed at one budget."""

    tried: int = 0
    supported: int = 0
    held: int = 0
    above: int = 0
    below: int = 0

    def add(self, supported: bool, low: float, high: float, truth: float) -> None:
        """Count one table."""
        self.tried += 1
        if supported:
            self.supported += 1
            self.held += low - 1e-9 <= truth <= high + 1e-9
            self.above += low > truth + 1e-9
            self.below += high < truth - 1e-9

    def shown(self) -> str:
        """Return the counts as text."""
        share = self.held / self.supported if self.supported else float("nan")
        return f"{self.supported:>5}/{self.tried:<5} held {share:6.1%}  too high {self.above}, too low {self.below}"


def study(tables: int, shapes: Sequence[tuple[int, int]] = ((150, 24), (40, 64), (600, 8))) -> dict[str, Row]:
    """Count over ``tables`` tables of every kind and shape; the keys name kind, shape, divergence and budget."""
    found: dict[str, Row] = {}
    for kinds in _kinds():
        for divergence, win_rate, budgets in _questions(kinds):
            truth = kinds.limit(np.array(budgets), divergence, wins=win_rate)
            for prompts, samples in shapes:
                rng = np.random.default_rng(0)
                for _ in range(tables):
                    rows = kinds.table(rng, prompts, samples)
                    bounded = kinds.bounded if not np.isinf(divergence.slope_at_infinity) and not win_rate else None
                    fit = fit_frontier(
                        rows, divergence=divergence, win_rate=win_rate, bounded=bounded, n_boot=400, rng=rng
                    )
                    if fit.supported_end == 0.0:
                        continue
                    at = fit.at(budgets, strict=False)
                    best = fit.share([BestOfN(4)]) if win_rate else None
                    for j, budget in enumerate(budgets):
                        asked = f"{'win rate, ' if win_rate else ''}{divergence.name}"
                        key = f"{kinds.name} | {prompts} × {samples} | {asked} | {budget:g}"
                        row = found.setdefault(key, Row())
                        row.add(bool(at.supported[j]), at.gain_low[j], at.gain_high[j], float(truth[j]))
                    if best is not None:
                        key = f"{kinds.name} | {prompts} × {samples} | win rate of best-of-4 | {divergence.name}"
                        exact = np.mean([BestOfN(4).on(law).win_rate for law in kinds.laws]) if kinds.ties else 0.8
                        found.setdefault(key, Row()).add(True, best.gain_low[0], best.gain_high[0], float(exact) - 0.5)
    return found


def _questions(kinds: Kinds) -> list[tuple[Divergence, bool, list[float]]]:
    free: list[tuple[Divergence, bool, list[float]]] = [
        (CHI_SQUARED, False, [0.05, 0.2, 0.6]),
        (Renyi(1.5), False, [0.05, 0.2, 0.6]),
        (Renyi(3.0), False, [0.05, 0.2, 0.6]),
    ]
    if kinds.ties:
        free += [(KL, True, [0.05, 0.2, 0.6]), (CHI_SQUARED, True, [0.05, 0.2, 0.6])]
    if kinds.bounded is not None:
        free += [
            (REVERSE_KL, False, [0.02, 0.1, 0.3]),
            (HELLINGER, False, [0.01, 0.05, 0.1]),
            (JENSEN_SHANNON, False, [0.01, 0.05, 0.1]),
        ]
        if all(law.max_reward == kinds.bounded[1] for law in kinds.laws):
            free.append((TOTAL_VARIATION, False, [0.05, 0.2]))
    return free


def main(tables: int) -> None:
    """Print a line for every kind, shape, question and budget."""
    found = study(tables)
    for key, row in found.items():
        print(f"{key:<70} {row.shown()}")
    held, supported = sum(row.held for row in found.values()), sum(row.supported for row in found.values())
    print(f"all: {held} of {supported} held, {held / supported:.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
