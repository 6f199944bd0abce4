"""One piece of the study: some tables of one population and shape, and how often each statement held.

A statement is tried on every table. It is *said to hold* (``claimed``) where the samples are said to support it, and it
*holds* where its interval has the truth; beyond the support the interval printed is the one that is still guaranteed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib.estimation import Fit, GoldEstimate, fit_frontier
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from benchmarks.coverage import blind_laws, later_blind_laws  # noqa: F401 - they register laws that others chose
from benchmarks.coverage.populations import POPULATIONS, Population
from benchmarks.coverage.truth import Truth, gold_of

__all__ = ["SHAPES", "TURNS_EVERY", "Shape", "draw_table", "try_tables"]

BUDGETS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
OWN = np.array([0.5, 1.0])  # of the end of the table's own support
DRAWS = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
TILTS = np.array([0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 2.0])
_ACCURACY = 3e-5  # of the truths, which are sums over fine bins
TURNS_EVERY = 2  # tables: the two whole curves of gold are a third of the work
_NOISE = 0.5  # of gold about its mean, in units of the prompt's scale


@dataclass(frozen=True)
class Shape:
    """``prompts`` prompts of ``samples`` each; ``tied`` says that the louder prompts have fewer, down to a quarter."""

    prompts: int
    samples: int
    tied: bool = False

    @property
    def name(self) -> str:
        """Such as 200 × 64."""
        return (
            f"{self.prompts} × {self.samples // 4}–{self.samples}" if self.tied else f"{self.prompts} × {self.samples}"
        )

    def counts(self, scale: FloatArray) -> IntArray:
        """Return the number of samples of each prompt."""
        if not self.tied:
            return np.full(self.prompts, self.samples)
        most = np.repeat(np.round(self.samples * np.array([1.0, 0.6, 0.4, 0.25])).astype(np.int64), self.prompts // 4)
        counts = np.empty(self.prompts, dtype=np.int64)
        counts[np.argsort(scale, kind="stable")] = most
        return counts


SHAPES = (
    Shape(200, 64),
    Shape(100, 16),
    Shape(30, 64),
    Shape(10, 1000),
    Shape(2000, 8),
    Shape(1, 2000),
    Shape(20_000, 4),
    Shape(40, 40, tied=True),
    Shape(200, 64, tied=True),
)


def draw_table(population: Population, shape: Shape, rng: np.random.Generator) -> tuple[RewardTable, IntArray]:
    """Return a table with columns reward and gold, and the kinds of its prompts."""
    kinds = rng.choice(population.chance.size, size=shape.prompts, p=population.chance)
    scale = population.scale[kinds]
    counts = shape.counts(scale)
    z = np.empty((shape.prompts, int(counts.max())))
    for i, law in enumerate(population.laws):
        mine = np.flatnonzero(population.which[kinds] == i)
        z[mine] = law.sample(rng, (mine.size, z.shape[1]))
    gold = scale[:, None] * (gold_of(z) + _NOISE * rng.standard_normal(z.shape))
    rewards = scale[:, None] * z
    if not shape.tied:
        return RewardTable.from_arrays(reward=rewards, gold=gold), kinds
    cut = [[row[:k] for row, k in zip(rows, counts, strict=True)] for rows in (rewards, gold)]
    return RewardTable.from_arrays(reward=cut[0], gold=cut[1]), kinds


@lru_cache(maxsize=64)
def _population(name: str) -> Population:
    return POPULATIONS[name]()


@lru_cache(maxsize=256)
def _truth_of_law(name: str, law: int) -> Truth:
    return Truth(Population.of(_population(name).laws[law]), DRAWS, TILTS)


@lru_cache(maxsize=64)
def _truth_of_all(name: str) -> Truth:
    return Truth(_population(name), DRAWS, TILTS)


def _truth(name: str, kind: int | None) -> Truth:
    """Return what is true of a population, or of one kind of its prompts."""
    if kind is None:
        return _truth_of_all(name)
    population = _population(name)
    return _truth_of_law(name, int(population.which[kind])).scaled(float(population.scale[kind]))


class _Tally:
    """Counts of one statement at each of its points: tried, claimed, held, held where claimed; and widths."""

    def __init__(self, points: FloatArray) -> None:
        self.points = points
        self.counts = np.zeros((4, points.size), dtype=np.int64)
        self.widths: list[list[float]] = [[] for _ in points]
        self.misses = np.zeros((2, points.size), dtype=np.int64)  # the interval too high, too low

    def add(self, low: FloatArray, high: FloatArray, truth: FloatArray, claimed: BoolArray) -> None:
        """Count intervals at the first so many points."""
        k = np.arange(low.size)
        room = _ACCURACY * np.abs(truth)
        holds = (low <= truth + room) & (truth <= high + room)
        self.counts[:, k] += np.array([np.ones(low.size), claimed, holds, holds & claimed], dtype=np.int64)
        self.misses[:, k] += np.array([(low > truth + room) & claimed, (high < truth - room) & claimed], dtype=np.int64)
        for i in k[claimed]:
            self.widths[i].append(float((high[i] - low[i]) / max(abs(truth[i]), 1e-12)))

    def record(self) -> dict[str, Any]:
        """Return the counts, and the median width in units of the truth."""
        tried, claimed, held, both = self.counts.tolist()
        return {
            "at": self.points.tolist(), "tried": tried, "claimed": claimed, "held": held, "held_claimed": both,
            "too_high": self.misses[0].tolist(), "too_low": self.misses[1].tolist(),
            "width": [float(np.median(w)) if w else None for w in self.widths],
        }  # fmt: skip


def try_tables(name: str, shape: Shape, first: int, count: int, n_boot: int = 500) -> dict[str, Any]:
    """Try every statement on tables number ``first`` to ``first + count - 1`` of a population and shape."""
    population = _population(name)
    tallies = {what: _Tally(at) for what, at in _POINTS.items()}
    ends: list[float] = []
    for number in range(first, first + count):
        rng = np.random.default_rng([zlib.crc32(f"{name} {shape.name}".encode()), number])
        table, kinds = draw_table(population, shape, rng)
        truth = _truth(name, int(kinds[0]) if shape.prompts == 1 else None)
        ends.append(
            _try_table(table, truth, tallies, n_boot, finite=population.finite, turns=number % TURNS_EVERY == 0)
        )
    statements = {what: one.record() for what, one in tallies.items() if one.counts[0].any()}
    return {"law": name, "shape": shape.name, "first": first, "tables": count, "ends": ends, "statements": statements}


_POINTS = {
    "limit": BUDGETS,
    "limit, own end": OWN,
    "limit on every prompt": BUDGETS,
    "gain of best-of-N": DRAWS,
    "share of the limit": DRAWS,
    "gold along N": DRAWS,
    "gold along λ": TILTS,
    "turn along N": np.zeros(1),
    "turn along λ": np.zeros(1),
}


def _try_table(
    table: RewardTable, truth: Truth, tallies: dict[str, _Tally], n_boot: int, *, finite: bool, turns: bool
) -> float:
    fewest = int(table.n_samples.min()) // (2 if table.n_prompts == 1 else 1)
    draws = DRAWS[fewest >= DRAWS]
    try:
        fit = fit_frontier(table, "reward", n_boot=n_boot)
    except InputError:  # a reward that does not vary
        return 0.0
    if finite:
        _try_limit(fit, truth.limit, tallies["limit"], tallies["limit, own end"])
        if table.n_prompts > 1 and table.n_samples.min() >= 6:
            _try_limit(fit.per_prompt, truth.limit_on_every_prompt, tallies["limit on every prompt"])
    if draws.size == 0:
        return fit.supported_end
    every, k = np.ones(draws.size, dtype=bool), slice(0, draws.size)
    rules = fit.share(BestOfN.along(draws))
    tallies["gain of best-of-N"].add(rules.gain_low, rules.gain_high, truth.gain[k], every)
    if finite and rules.share_low is not None and rules.share_high is not None and rules.supported is not None:
        tallies["share of the limit"].add(rules.share_low, rules.share_high, truth.share[k], rules.supported)
    _try_gold(lambda: fit.gold("gold", BestOfN.along(draws)), truth.gold_n[k], tallies["gold along N"])
    most = float(table.n_samples.min())
    if turns:
        _try_turn(lambda: fit.gold("gold"), truth.turn_n if truth.turn_n < most else np.inf, tallies["turn along N"])
    if finite:  # a tilt by a reward that has no limit does not exist
        _try_gold(lambda: fit.tilted_gold("gold", truth.lam), truth.gold_lam, tallies["gold along λ"])
    if finite and turns:
        _try_turn(lambda: fit.tilted_gold("gold"), truth.turn_lam, tallies["turn along λ"])
    return fit.supported_end


def _try_limit(
    fit: Fit, truth: Callable[[FloatArray], FloatArray], tally: _Tally, at_own: _Tally | None = None
) -> None:
    end = fit.supported_end
    if end > 0.0:
        budgets = np.append(BUDGETS, OWN * end)
        found, gain, k = fit.at(budgets, strict=False), truth(budgets), BUDGETS.size
        tally.add(found.gain_low[:k], found.gain_high[:k], gain[:k], found.supported[:k])
        if at_own is not None:
            at_own.add(found.gain_low[k:], found.gain_high[k:], gain[k:], np.ones(OWN.size, dtype=bool))


def _try_gold(found: Callable[[], GoldEstimate], truth: FloatArray, tally: _Tally) -> None:
    try:
        gold = found()
    except InputError:
        return
    tally.add(gold.gold_low, gold.gold_high, truth, gold.supported)


def _try_turn(found: Callable[[], GoldEstimate], truth: float, tally: _Tally) -> None:
    try:
        gold = found()
    except InputError:
        return
    hedge, first = gold.hedge, float(gold.parameter[0])  # what falls from the start turns at the first place looked at
    low, high, at = (np.array([min(value, 1e12)]) for value in (hedge.low, hedge.high, max(truth, first)))
    tally.add(low, high, at, np.array([hedge.turns_down == "yes"]))
