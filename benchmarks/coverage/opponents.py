"""Wins over another model, of tables of rewards whose kinds of prompts are those of `kinds`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.estimation import few_prompts, fit_frontier
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable, against_opponent
from benchmarks.coverage.kinds import PIECE, REPLICATES, TRIED, Kinds, of_each
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPIC"]

_RESPONSES = 3  # of an opponent, to each prompt
_OPPONENTS = 4000  # about, for the truth


def _opponent(make: Callable[[], Kinds]) -> Trial:
    """Another model, whose responses are the better of two of the base's: three to each prompt."""
    kinds = make()
    budgets = np.array([0.05, 0.2, 0.6])
    value = np.arange(2 * _RESPONSES + 1) / (2.0 * _RESPONSES)
    # Points that fill the cube evenly in place of random ones, so that the truth errs far less than the intervals.
    log_points = max(8, round(math.log2(_OPPONENTS / len(kinds.laws))))
    points = scipy.stats.qmc.Sobol(_RESPONSES, scramble=False).random_base2(log_points)
    ranks = np.sqrt(points + 0.5 / len(points))  # of the better of two
    each = [
        _wins_over(kinds, kind, np.asarray(law.quantile(row))) for kind, law in enumerate(kinds.laws) for row in ranks
    ]
    on_average = _wins(value, np.array(each), budgets)

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, shape)
        other = [_better_of_two(kinds, rng, kind) for kind in which.tolist()]
        # Of few prompts all is said of these very prompts, against these very responses.
        few = few_prompts(np.array([len(row) for row in rows]))
        pairs = zip(which.tolist(), other, strict=True)
        these = np.array([_wins_over(kinds, kind, theirs) for kind, theirs in pairs]) if few else None
        base, of_four, limit = on_average if these is None else _wins(value, these, budgets)
        # As the command does, but for what it says beside.
        other_table, base_table = RewardTable.from_arrays(np.stack(other)), RewardTable.from_arrays(rows)
        counted = against_opponent(base_table, "reward", other_table)
        try:
            counted.check_varies("win rate")
            fit = fit_frontier(counted, "win rate", n_boot=REPLICATES, rng=int(rng.integers(2**31)))
        except InputError:  # every response wins, or none
            return {}
        # Best-of-4 by the reward keeps what wins most, so that it is best-of-4 by wins too.
        best, said = fit.share([BestOfN(4)], "reward"), {}
        low, high = (float(end[0]) for end in (best.gain_low, best.gain_high))
        said["rise of best-of-4's win rate over an opponent"] = Said(low, high, of_four)
        if best.reward_low is not None and best.reward_high is not None:
            low, high = (float(end[0]) for end in (best.reward_low, best.reward_high))
            said["win rate of best-of-4 over an opponent"] = Said(low, high, base + of_four)
        at = fit.at(budgets, strict=False) if fit.supported_end > 0.0 else None
        for k, budget in enumerate(budgets.tolist()):
            name = f"largest rise of the win rate over an opponent at {budget:g}"
            if at is None or not at.supported[k]:
                said[name] = Said(0.0, 0.0, float(limit[k]), False)
                continue
            said[name] = Said(float(at.gain_low[k]), float(at.gain_high[k]), float(limit[k]))
        return said

    return trial


def _wins_over(kinds: Kinds, kind: int, theirs: FloatArray) -> FloatArray:
    """The masses of a prompt's win rates over these responses, in half wins."""
    law, rising = kinds.laws[kind], np.sort(theirs)
    wins = np.searchsorted(rising, law.reward, "left") + np.searchsorted(rising, law.reward, "right")
    mass = np.bincount(wins, law.prob, 2 * _RESPONSES + 1)
    return np.asarray(mass / mass.sum())


def _wins(value: FloatArray, each: FloatArray, budgets: FloatArray) -> tuple[float, float, FloatArray]:
    """The base's win rate, what best-of-4 adds to it, and the most that budgets add."""
    below = np.cumsum(each, axis=1) - each
    of_four = float((((below + each) ** 4 - below**4 - each) @ value).mean())
    return float((each @ value).mean()), of_four, _limit_of_rows(value, each, budgets)


def _limit_of_rows(value: FloatArray, prob: FloatArray, budgets: FloatArray) -> FloatArray:
    """The largest mean gain for each mean KL, by the dual, of laws on the same few values."""
    gain = value - (prob @ value)[:, None]

    def dual(log_lam: float, budget: float) -> float:
        lam = math.exp(log_lam)
        return float(budget + np.log((prob * np.exp(lam * gain)).sum(axis=1)).mean()) / lam

    least = partial(scipy.optimize.minimize_scalar, dual, bounds=(-3.0, 5.0), method="bounded", options={"xatol": 1e-6})
    return np.array([least(args=(budget,)).fun for budget in budgets.tolist()])


def _better_of_two(kinds: Kinds, rng: Generator, kind: int) -> FloatArray:
    drawn = kinds.draw(rng, kind, 2 * _RESPONSES).reshape(2, _RESPONSES)
    return np.asarray(drawn.max(axis=0))


TOPIC = Topic("opponents", of_each("an opponent", _opponent), TRIED, PIECE)
