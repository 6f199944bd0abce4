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

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib.estimation import Fit, GoldEstimate, few_prompts, fit_frontier
from alignlib.rules import BestOfN, Rules
from alignlib.tables import RewardTable
from benchmarks.coverage import blind_laws, later_blind_laws  # noqa: F401 - they register laws that others chose
from benchmarks.coverage.others import other_intervals, other_limits
from benchmarks.coverage.populations import POPULATIONS, Population
from benchmarks.coverage.tally import Tally
from benchmarks.coverage.truth import Truth, early_gold_of, gold_of

__all__ = ["PARTS", "PART_OF", "SHAPES", "Shape", "draw_table", "try_tables"]

BUDGETS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
OWN = np.array([0.5, 1.0])  # of the end of the table's own support
DRAWS = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
TILTS = np.array([0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 2.0])
# Some statements are asked by themselves: every prompt's own limit and two whole curves of gold are more than half of
# the work, and few tables may do for them.
PART_OF = {"limit on every prompt": "prompts", "turn along N": "turns", "turn along λ": "turns"}
PARTS = ("", "prompts", "turns")
_OTHERS_EVERY = 3
_TURNS_FROM, _OWN_FROM = 10, 6  # samples of a prompt
_NOISE = 0.5  # of gold about its mean, in units of the prompt's scale
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

    def has(self, part: str) -> bool:
        """Tell whether its tables have a part's statements: few samples of a prompt show no turn, nor its own limit."""
        fewest = self.samples // 4 if self.tied else self.samples
        return {"": True, "prompts": self.prompts > 1 and fewest >= _OWN_FROM, "turns": fewest >= _TURNS_FROM}[part]

    def counts(self, scale: FloatArray | IntArray) -> IntArray:
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
    """Return a table with columns reward, gold and early (a gold that turns early), and the kinds of its prompts."""
    kinds = rng.choice(population.chance.size, size=shape.prompts, p=population.chance)
    scale = population.scale[kinds]
    counts = shape.counts(scale)
    z = np.empty((shape.prompts, int(counts.max())))
    for i, law in enumerate(population.laws):
        mine = np.flatnonzero(population.which[kinds] == i)
        z[mine] = law.sample(rng, (mine.size, z.shape[1]))
    noise = _NOISE * rng.standard_normal(z.shape)
    columns = {"reward": z, "gold": gold_of(z) + noise, "early": early_gold_of(z) + noise}
    columns = {name: scale[:, None] * values for name, values in columns.items()}
    if not shape.tied:
        return RewardTable.from_arrays(columns), kinds
    cut = {n: [row[:k] for row, k in zip(rows, counts, strict=True)] for n, rows in columns.items()}
    return RewardTable.from_arrays(cut), kinds


@lru_cache(maxsize=8)
def _rules(k: int) -> Rules:
    """Return best of the first k draws; the same objects, which have been checked."""
    return BestOfN.along(DRAWS[:k])


@lru_cache(maxsize=64)
def _population(name: str) -> Population:
    return POPULATIONS[name]()


@lru_cache(maxsize=256)
def _truth_of_law(name: str, law: int) -> Truth:
    return Truth(Population.of(_population(name).laws[law]), DRAWS, TILTS)


@lru_cache(maxsize=64)
def _truth_of_all(name: str) -> Truth:
    return Truth(_population(name), DRAWS, TILTS)


@lru_cache(maxsize=128)
def _truth(name: str, kinds: tuple[int, ...] | None) -> Truth:
    """Return what is true of a population, or of a table's very prompts, of these kinds."""
    if kinds is None:
        return _truth_of_all(name)
    population = _population(name)
    if len(kinds) == 1:
        return _truth_of_law(name, int(population.which[kinds[0]])).scaled(float(population.scale[kinds[0]]))
    return _truth_of_all(name).of_prompts(np.array(kinds))


@lru_cache(maxsize=128)
def _limits_of(name: str, kinds: tuple[int, ...] | None) -> tuple[FloatArray, FloatArray | None]:
    """Return the limits at all budgets, on average and on every prompt."""
    truth, one = _truth(name, kinds), kinds is not None and len(kinds) == 1
    return truth.limit(BUDGETS), None if one else truth.limit_on_every_prompt(BUDGETS)


def try_tables(name: str, shape: Shape, first: int, count: int, n_boot: int = 500, part: str = "") -> dict[str, Any]:
    """Try a part's statements on tables number ``first`` to ``first + count - 1`` of a population and shape."""
    population = _population(name)
    tallies = {what: Tally(at) for what, at in _POINTS.items() if PART_OF.get(what, "") == part}
    ends: list[float] = []
    for number in range(first, first + count):
        rng = np.random.default_rng([zlib.crc32(f"{name} {shape.name}".encode()), number])
        table, kinds = draw_table(population, shape, rng)
        # Of few prompts all is said of these very prompts.
        fixed = tuple(sorted(kinds.tolist())) if few_prompts(table.n_samples) else None
        try:
            fit = fit_frontier(table, "reward", n_boot=n_boot)
        except InputError:  # a reward that does not vary
            ends.append(0.0)
            continue
        ends.append(fit.supported_end)
        limits = _limits_of(name, fixed) if population.finite and part != "turns" else None
        if part == "turns":
            _try_turns(fit, _truth(name, fixed), tallies, finite=population.finite)
        elif part == "prompts" and limits is not None and limits[1] is not None:
            _try_limit(fit.per_prompt, limits[1], tallies["limit on every prompt"], others=False)
        elif part == "":
            _try_table(fit, _truth(name, fixed), limits, tallies, others=number % _OTHERS_EVERY == 0)
    statements = {what: one.record() for what, one in tallies.items() if one.counts[0].any()}
    found = {"law": name, "shape": shape.name, "first": first, "tables": count, "ends": ends, "statements": statements}
    return found | ({"part": part} if part else {})


def _try_turns(fit: Fit, truth: Truth, tallies: dict[str, Tally], *, finite: bool) -> None:
    turn = truth.turn_n if truth.turn_n < float(fit.table.n_samples.min()) else np.inf
    _try_turn(lambda: fit.gold("early"), turn, tallies["turn along N"])
    if finite:  # a tilt by a reward that has no limit does not exist
        _try_turn(lambda: fit.tilted_gold("early"), truth.turn_lam, tallies["turn along λ"])


def _try_table(
    fit: Fit,
    truth: Truth,
    limits: tuple[FloatArray, FloatArray | None] | None,
    tallies: dict[str, Tally],
    *,
    others: bool,
) -> None:
    """Try the statements on one table; ``limits`` where there are any."""
    counts = fit.table.n_samples
    fewest = int(counts.min()) // (2 if few_prompts(counts) else 1)
    draws = DRAWS[fewest >= DRAWS]
    if limits is not None:
        _try_limit(fit, limits[0], tallies["limit"], others=others)
        _try_own_end(fit, truth, tallies["limit, own end"])
    if draws.size == 0:
        return
    every, k = np.ones(draws.size, dtype=bool), slice(0, draws.size)
    rules = fit.share(_rules(draws.size))
    tallies["gain of best-of-N"].add(rules.gain_low, rules.gain_high, truth.gain[k], every)
    shares = limits is not None and rules.share_low is not None
    if shares:
        assert rules.share_low is not None
        assert rules.share_high is not None
        assert rules.supported is not None
        tallies["share of the limit"].add(rules.share_low, rules.share_high, truth.share[k], rules.supported)
    gold = _try_gold(lambda: fit.gold("gold", _rules(draws.size)), truth.gold_n[k], tallies["gold along N"])
    if others and not fit.fixed_prompts:
        found = other_intervals(fit, draws)
        ours = (rules.gain_low, rules.gain_high)
        tallies["gain of best-of-N"].compare({"ours": ours, **found.gain}, truth.gain[k], every)
        if shares and found.share and rules.supported is not None:
            ours = (np.asarray(rules.share_low), np.asarray(rules.share_high))
            tallies["share of the limit"].compare({"ours": ours, **found.share}, truth.share[k], rules.supported)
        if gold is not None:
            ours = (gold.gold_low, gold.gold_high)
            tallies["gold along N"].compare({"ours": ours, **found.gold}, truth.gold_n[k], gold.supported)
    if limits is not None:  # a tilt by a reward that has no limit does not exist
        _try_gold(lambda: fit.tilted_gold("gold", truth.lam), truth.gold_lam, tallies["gold along λ"])


def _try_limit(fit: Fit, gain: FloatArray, tally: Tally, *, others: bool) -> None:
    if fit.supported_end > 0.0:
        found = fit.at(BUDGETS, strict=False)
        tally.add(found.gain_low, found.gain_high, gain, found.supported)
        if others and found.supported.any() and not fit.fixed_prompts:
            ours = (found.gain_low, found.gain_high)
            tally.compare({"ours": ours, **other_limits(fit, BUDGETS)}, gain, found.supported)


def _try_own_end(fit: Fit, truth: Truth, tally: Tally) -> None:
    if fit.supported_end > 0.0:
        budgets = OWN * fit.supported_end
        found = fit.at(budgets, strict=False)
        tally.add(found.gain_low, found.gain_high, truth.limit(budgets), np.ones(OWN.size, dtype=bool))


def _try_gold(found: Callable[[], GoldEstimate], truth: FloatArray, tally: Tally) -> GoldEstimate | None:
    try:
        gold = found()
    except InputError:
        return None
    tally.add(gold.gold_low, gold.gold_high, truth, gold.supported)
    return gold


def _try_turn(found: Callable[[], GoldEstimate], truth: float, tally: Tally) -> None:
    try:
        gold = found()
    except InputError:
        return
    hedge, first = gold.hedge, float(gold.parameter[0])  # what falls from the start turns at the first place looked at
    low, high, at = (np.array([min(value, 1e12)]) for value in (hedge.low, hedge.high, max(truth, first)))
    tally.add(low, high, at, np.array([hedge.turns_down == "yes"]))
