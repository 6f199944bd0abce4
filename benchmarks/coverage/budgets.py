"""Limits in other divergences and of win rates, of tables of rewards whose kinds of prompts are those of `kinds`.

A law here is a kind of prompts with a question; each statement is counted as what its command says of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np
import scipy.optimize
from numpy.random import Generator

from alignlib._core.errors import InputError
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
from alignlib.laws import FiniteLaw, win_rates
from alignlib.laws.optima import optima
from alignlib.rules import BestOfN
from benchmarks.coverage.kinds import KINDS, PIECE, REPLICATES, TRIED, Kinds
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPIC", "limit_of_kinds"]

Question = tuple[str, Divergence, bool, tuple[float, ...]]  # name, divergence, of win rates, budgets


def limit_of_kinds(laws: Sequence[FiniteLaw], budgets: Sequence[float], divergence: Divergence) -> list[float]:
    """Return the largest mean gain over kinds for each mean budget, by the dual: one λ for all, the best of all λ."""
    if divergence == TOTAL_VARIATION:
        gap = np.concatenate([law.max_reward - law.reward for law in laws])
        prob = np.concatenate([law.prob for law in laws]) / len(laws)
        return [float(one) for one in optima(-gap, prob, np.array(budgets), divergence)[0]]
    gaps = [(law.max_reward - law.reward)[None] for law in laws]
    spread = math.sqrt(np.mean([law.variance(0.0) for law in laws]))

    def psi(lam: float) -> float:
        return float(
            np.mean([worth(gap, law.prob, lam, divergence).psi[0] for gap, law in zip(gaps, laws, strict=True)])
        )

    def dual(log_lam: float, mean: float) -> float:
        lam = math.exp(log_lam)
        return (mean + psi(lam)) / lam

    grid = np.log(np.geomspace(2e-2, 3e2, 33) / spread)
    coarse = np.array([psi(math.exp(x)) for x in grid])
    found = []
    for budget in budgets:
        mean = float(divergence.mean_of(np.array(budget)))
        k = int(np.clip(np.argmin((mean + coarse) / np.exp(grid)), 1, grid.size - 2))
        best = scipy.optimize.minimize_scalar(
            dual, bounds=(grid[k - 1], grid[k + 1]), args=(mean,), method="bounded", options={"xatol": 1e-5}
        )
        found.append(float(best.fun))
    return found


def _limits(make: Callable[[], Kinds], question: Question) -> Trial:
    kinds = make()
    _, divergence, wins, budgets = question
    laws = [win_rates(law) for law in kinds.laws] if wins else list(kinds.laws)
    four = np.array([BestOfN(4).on(law).win_rate for law in kinds.laws])
    bounded = kinds.bounded if not math.isinf(divergence.slope_at_infinity) and not wins else None
    what = "largest win rate" if wins else "limit"

    @lru_cache(maxsize=64)
    def limits(meant: tuple[int, ...]) -> list[float]:
        some = [law for law in (laws[k] for k in meant) if isinstance(law, FiniteLaw)]
        return limit_of_kinds(some, budgets, divergence)

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, shape)
        meant = kinds.meant(which, rows)
        said: dict[str, Said] = {}
        try:
            fit = fit_frontier(rows, divergence=divergence, win_rate=wins, bounded=bounded, n_boot=REPLICATES, rng=rng)
        except InputError:  # rewards that do not vary
            return said
        if wins:
            best = fit.share([BestOfN(4)])
            ends = float(best.gain_low[0]) + 0.5, float(best.gain_high[0]) + 0.5
            said["win rate of best-of-4"] = Said(*ends, float(four[list(meant)].mean()))
        at = fit.at(list(budgets), strict=False) if fit.supported_end > 0.0 else None
        truth = limits(meant) if at is not None else [0.0] * len(budgets)
        for k, budget in enumerate(budgets):
            name = f"{what} in {divergence.name} at {budget:g}"
            if at is None:
                said[name] = Said(0.0, 0.0, truth[k], False)
                continue
            # Where a top reward is presumed that not every prompt shows, only the upper end is claimed.
            low = min(float(at.gain_low[k]), truth[k]) if at.unseen_top else float(at.gain_low[k])
            said[name] = Said(low, float(at.gain_high[k]), truth[k], bool(at.supported[k]))
        return said

    return trial


def _questions(kinds: Kinds) -> list[Question]:
    found: list[Question] = [
        ("chi2", CHI_SQUARED, False, (0.05, 0.2, 0.6)),
        ("renyi:1.5", Renyi(1.5), False, (0.05, 0.2, 0.6)),
        ("renyi:3", Renyi(3.0), False, (0.05, 0.2, 0.6)),
        ("win rates", KL, True, (0.05, 0.2, 0.6)),
        ("win rates in chi2", CHI_SQUARED, True, (0.05, 0.2, 0.6)),
    ]
    if kinds.bounded is not None:
        found += [
            ("reverse-kl", REVERSE_KL, False, (0.02, 0.1, 0.3)),
            ("hellinger", HELLINGER, False, (0.01, 0.05, 0.1)),
            ("js", JENSEN_SHANNON, False, (0.01, 0.05, 0.1)),
            ("tv", TOTAL_VARIATION, False, (0.05, 0.2)),
        ]
    return found


def _by_question() -> dict[str, Callable[[], Trial]]:
    found: dict[str, Callable[[], Trial]] = {}
    for name, make in KINDS.items():
        for question in _questions(make()):
            found[f"{name}, {question[0]}"] = partial(_limits, make, question)
    return found


TOPIC = Topic("budgets", _by_question(), TRIED, PIECE)
