"""Limits in win rates and in other divergences than KL, rules by draws, wins over an opponent, gold from a correlation.

All are said of tables of rewards, whose kinds of prompts are those of `kinds`. A law here is a kind of prompts with a
question; each statement is counted as what its command says of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import scipy.optimize
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib.answers.findings import ask
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
from alignlib.hacking import gold_range, measure_gold, promise_gold
from alignlib.laws import FiniteLaw, PromptAverage, win_rates
from alignlib.laws.optima import optima
from alignlib.rules import (
    BestOfN,
    BestOfPoisson,
    ChiSquaredPessimism,
    LearntThreshold,
    RejectionSampling,
    Rule,
    SoftBestOfN,
    ThresholdStopping,
)
from alignlib.tables import RewardTable
from benchmarks.coverage.kinds import KINDS, SHAPES, Kinds
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPICS", "limit_of_kinds"]

_REPLICATES = 400
_RESPONSES = 3  # of an opponent, to each prompt
_OPPONENTS = 4000  # drawn for the truth
_CORRELATION = 0.7
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
    truth = limit_of_kinds([law for law in laws if isinstance(law, FiniteLaw)], budgets, divergence)
    of_four = float(np.mean([BestOfN(4).on(law).win_rate for law in kinds.laws]))
    bounded = kinds.bounded if not math.isinf(divergence.slope_at_infinity) and not wins else None
    what = "largest win rate" if wins else "limit"

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        rows = kinds.table(rng, *SHAPES[shape])[1]
        fit = fit_frontier(rows, divergence=divergence, win_rate=wins, bounded=bounded, n_boot=_REPLICATES, rng=rng)
        said = {}
        if wins:
            best = fit.share([BestOfN(4)])
            said["win rate of best-of-4"] = Said(float(best.gain_low[0]) + 0.5, float(best.gain_high[0]) + 0.5, of_four)
        at = fit.at(list(budgets), strict=False) if fit.supported_end > 0.0 else None
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


def _rules(make: Callable[[], Kinds]) -> Trial:
    kinds = make()
    lam = 1.0 / math.sqrt(np.mean([law.variance(0.0) for law in kinds.laws]))
    rules: list[Rule] = [
        SoftBestOfN(6.0, lam),
        ChiSquaredPessimism(6.0, lam),
        BestOfPoisson(2.0),
        ThresholdStopping(2.0),
        RejectionSampling(2.0),
        LearntThreshold(6.0, 2.0),
    ]
    on = [[rule.on(law) for law in kinds.laws] for rule in rules]
    gain = [float(np.mean([one.gain for one in row])) for row in on]
    limit = PromptAverage(kinds.laws).gain_at_kl(np.array([np.mean([one.spent() for one in row]) for row in on]))

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        rows = kinds.table(rng, *SHAPES[shape])[1]
        asked = [k for k, rule in enumerate(rules) if rule.needs <= rows.shape[1]]  # of the samples of a prompt
        found = fit_frontier(rows, n_boot=_REPLICATES, rng=rng).share([rules[k] for k in asked])
        said = {}
        for j, k in enumerate(asked):
            low, high = float(found.gain_low[j]), float(found.gain_high[j])
            said[f"gain of {rules[k].name}"] = Said(low, high, gain[k])
            if found.share_low is not None and found.share_high is not None and found.supported is not None:
                low, high = float(found.share_low[j]), float(found.share_high[j])
                part = gain[k] / float(np.asarray(limit)[k])
                said[f"share of {rules[k].name}"] = Said(low, high, part, bool(found.supported[j]))
        return said

    return trial


def _opponent(make: Callable[[], Kinds]) -> Trial:
    """Another model, whose responses are the better of two of the base's: three to each prompt."""
    kinds = make()
    budgets = np.array([0.05, 0.2, 0.6])
    rng = np.random.default_rng(16)
    laws = []
    for number in range(_OPPONENTS // len(kinds.laws) * len(kinds.laws)):
        law = kinds.laws[number % len(kinds.laws)]
        theirs = np.sort(_better_of_two(kinds, rng, number % len(kinds.laws)))
        wins = np.searchsorted(theirs, law.reward, "left") + np.searchsorted(theirs, law.reward, "right")
        mass = np.bincount(wins, law.prob, 2 * _RESPONSES + 1)
        laws.append(mass)
    value = np.arange(2 * _RESPONSES + 1) / (2.0 * _RESPONSES)
    each = np.array(laws)
    each /= each.sum(axis=1, keepdims=True)
    limit = _limit_of_rows(value, each, budgets)
    below = np.cumsum(each, axis=1) - each
    of_four = float((((below + each) ** 4 - below**4 - each) @ value).mean())
    base = float((each @ value).mean())

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, *SHAPES[shape])
        other = np.stack([_better_of_two(kinds, rng, int(kind)) for kind in which])
        found = ask(
            RewardTable.from_arrays(rows),
            "reward",
            opponent=RewardTable.from_arrays(other),
            kl=budgets,
            rules=[BestOfN(4)],
            n_boot=_REPLICATES,
            rng=int(rng.integers(2**31)),
        ).counted
        best, said = found.rules, {}
        # Best-of-4 by the reward keeps what wins most, so that it is best-of-4 by wins too.
        low, high = (float(end[0]) for end in (best.gain_low, best.gain_high))
        said["rise of best-of-4's win rate over an opponent"] = Said(low, high, of_four)
        if best.reward_low is not None and best.reward_high is not None:
            whole = (float(end[0]) for end in (best.reward_low, best.reward_high))
            said["win rate of best-of-4 over an opponent"] = Said(*whole, base + of_four)
        for k, budget in enumerate(budgets.tolist()):
            name = f"largest rise of the win rate over an opponent at {budget:g}"
            at = None if found.limit is None else found.limit
            place = [] if at is None else np.flatnonzero(np.isclose(at.spent, budget)).tolist()
            if at is None or not place:
                said[name] = Said(0.0, 0.0, float(limit[k]), False)
                continue
            j = place[0]
            said[name] = Said(float(at.gain_low[j]), float(at.gain_high[j]), float(limit[k]), bool(at.supported[j]))
        return said

    return trial


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


def _promises(make: Callable[[], Kinds]) -> Trial:
    """The worst and the best gold of a given correlation under best-of-4, and a gold of which few rows are judged."""
    kinds = make()
    variance = float(np.mean([law.variance(0.0) for law in kinds.laws]))
    four = [BestOfN(4).on(law) for law in kinds.laws]
    gain = float(np.mean([one.gain for one in four])) / math.sqrt(variance)
    low, high = gold_range(_CORRELATION, gain, float(np.mean([one.spent(CHI_SQUARED) for one in four])))
    # A gold that falls where the proxy is high, and noise: its gain and its correlation are sums over the laws.
    means, tops = [law.base_reward for law in kinds.laws], [law.quantile(0.85) for law in kinds.laws]

    def gold_of(kind: int, rewards: FloatArray) -> FloatArray:
        top = float(np.asarray(tops[kind]))
        return np.where(rewards < top, rewards, 2.0 * top - rewards) - means[kind]

    laws_of_gold = [FiniteLaw(gold_of(k, law.reward), law.prob) for k, law in enumerate(kinds.laws)]
    noise = 0.5 * math.sqrt(variance)
    of_gold = math.sqrt(float(np.mean([law.variance(0.0) for law in laws_of_gold])) + noise**2)
    moved = float(np.mean([_moved(law, gold_of(k, law.reward)) for k, law in enumerate(kinds.laws)])) / of_gold
    covariance = np.mean(
        [law.prob @ ((law.reward - law.base_reward) * gold_of(k, law.reward)) for k, law in enumerate(kinds.laws)]
    )
    correlation = float(covariance) / (of_gold * math.sqrt(variance))

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, *SHAPES[shape])
        fit = fit_frontier(rows, n_boot=_REPLICATES, rng=rng)
        one = promise_gold(fit, _CORRELATION, rules=[BestOfN(4)], kl=[1e-9])
        sure = not one.notes
        said = {
            "gold promised from a correlation": Said(float(one.promised[0]), float(one.most[0]), float(low[0]), sure),
            "most gold from a correlation": Said(float(one.promised[0]), float(one.most[0]), float(high[0]), sure),
        }
        judged = rows[:, :5]
        gold = np.stack([gold_of(int(k), row) for k, row in zip(which, judged, strict=True)])
        gold = gold + noise * rng.standard_normal(gold.shape)
        subset = measure_gold(RewardTable.from_arrays(reward=judged, gold=gold), "reward", "gold", level=0.975)
        two = promise_gold(fit, subset.range, rules=[BestOfN(4)], kl=[1e-9], level=0.975)
        said["correlation from few rows, at 97.5 %"] = Said(subset.low, subset.high, correlation)
        said["gold from few rows"] = Said(float(two.promised[0]), float(two.most[0]), moved, not two.notes)
        return said

    return trial


def _moved(law: FiniteLaw, gold: FloatArray) -> float:
    """The gold that best-of-4 by the proxy gains, ties at random."""
    return float((BestOfN(4).on(law).policy - law.prob) @ gold)


def _by_question() -> dict[str, Callable[[], Trial]]:
    found: dict[str, Callable[[], Trial]] = {}
    for name, make in KINDS.items():
        for question in _questions(make()):
            found[f"{name}, {question[0]}"] = partial(_limits, make, question)
    return found


def _of_each(what: str, trial: Callable[[Callable[[], Kinds]], Trial]) -> dict[str, Callable[[], Trial]]:
    return {f"{name}, {what}": partial(trial, make) for name, make in KINDS.items()}


TOPICS = (
    Topic("budgets", _by_question(), tuple(SHAPES), 25),
    Topic("rules by draws", _of_each("rules by draws", _rules), tuple(SHAPES), 25),
    Topic("opponents", _of_each("an opponent", _opponent), tuple(SHAPES), 25),
    Topic("promises", _of_each("gold from a correlation", _promises), tuple(SHAPES), 25),
)
