"""Capacities from ratings, and the Fano floor that follows: channels, populations of raters, and tables of them.

Channels of 2 to 10 labels, errors of 0.05 to 40 %, labels as rare as 0.002; labels that are independent, and raters who
differ (3 to 200 of them, 50 to 5,000 items, evenly shared or not). Half of the laws are drawn by a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray, IntArray
from alignlib.answers.capacity import ask_capacity
from alignlib.bottleneck import capacity, fano_floor
from alignlib.tables import RaterTable
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["CHANNELS", "KINDS", "RATED", "RATERS", "RATINGS", "rated"]

_RATERS = 40_000  # of a population, whose mean channel is taken for the truth
_BY_RULE = 8  # channels; and populations of raters, half as many and one more
Kind = Callable[[Generator], FloatArray]


def wrong(labels: int, error: float) -> FloatArray:
    """Errors of one rate to every other label."""
    return np.asarray((1.0 - error) * np.eye(labels) + error * (1.0 - np.eye(labels)) / (labels - 1))


def neighbours(labels: int, error: float) -> FloatArray:
    """Errors to the next marks only, as on a scale."""
    rows = (1.0 - error) * np.eye(labels)
    for u in range(labels):
        near = [v for v in (u - 1, u + 1) if 0 <= v < labels]
        rows[u, near] += error / len(near)
    return np.asarray(rows)


def seldom(rate: float, hit: float) -> FloatArray:
    """Three targets of which the third has a label of its own, given at ``hit``, by mistake at ``rate``."""
    left = np.array([[0.9, 0.1], [0.15, 0.85], [0.4, 0.6]])
    last = np.array([rate, rate, hit])
    return np.asarray(np.column_stack([left * (1.0 - last[:, None]), last]))


CHANNELS: dict[str, FloatArray] = {
    "2 labels, .05 % and 3 %": np.array([[0.9995, 0.0005], [0.03, 0.97]]),
    "5 marks, 10 % to neighbours": neighbours(5, 0.1),
    "7 marks, 40 % to neighbours": neighbours(7, 0.4),
    "9 labels, .5 %": wrong(9, 0.005),
    "10 labels, 25 %": wrong(10, 0.25),
    "a label at .002 and .2": seldom(0.002, 0.2),
    "a label at .002 and .01": seldom(0.002, 0.01),
    "2 targets, 6 labels": np.array([[0.5, 0.3, 0.1, 0.06, 0.03, 0.01], [0.002, 0.05, 0.1, 0.2, 0.3, 0.348]]),
}


def _tempers(rng: Generator) -> FloatArray:  # skill spread over a wide range
    return wrong(4, 0.75 * float(rng.beta(0.8, 3.2)))


def _lean(rng: Generator) -> FloatArray:  # each leans towards one label of his own
    rows = 0.75 * wrong(5, 0.05)
    rows[:, rng.integers(5)] += 0.25
    return np.asarray(rows)


def _one_of_ten_blind(rng: Generator) -> FloatArray:
    return np.full((3, 3), 1.0 / 3.0) if rng.random() < 0.1 else wrong(3, 0.08)


def _one_of_four_exchanges(rng: Generator) -> FloatArray:  # two labels, the other way round
    rows = wrong(3, 0.1)
    return rows[[1, 0, 2]] if rng.random() < 0.25 else rows


def _rare_flag(rng: Generator) -> FloatArray:  # a flag that some use and most do not
    return seldom(0.002, float(rng.beta(0.5, 3.0)))


KINDS: dict[str, Kind] = {
    "skill spread widely": _tempers,
    "each leans to one label": _lean,
    "1 of 10 answers blindly": _one_of_ten_blind,
    "1 of 4 exchanges labels": _one_of_four_exchanges,
    "a flag that few use": _rare_flag,
}


def _drawn_channel(rng: Generator, targets: int, labels: int) -> FloatArray:
    """Rows of a Dirichlet law of random concentration, mixed with a label of each target's own."""
    rows = rng.dirichlet(np.full(labels, 10.0 ** rng.uniform(-1.0, 0.5)), size=targets)
    hit = rng.uniform()
    own = np.eye(labels)[np.arange(targets) % labels]
    return np.asarray((1.0 - hit) * rows + hit * own)


def _drawn_kind(number: int) -> Kind:
    """Two to five kinds of raters, of random shares, each with a drawn channel."""
    rng = np.random.default_rng([14, number])
    kinds, targets, labels = (int(rng.integers(2, 6)) for _ in range(3))
    share = rng.dirichlet(np.ones(kinds))
    channels = [_drawn_channel(rng, targets, labels) for _ in range(kinds)]
    return lambda rng: channels[int(rng.choice(kinds, p=share))]


CHANNELS |= {
    f"blind by rule: channel {number}": _drawn_channel(rng, int(rng.integers(2, 9)), int(rng.integers(2, 11)))
    for number, rng in ((number, np.random.default_rng([13, number])) for number in range(1, _BY_RULE + 1))
}
KINDS |= {f"blind by rule: raters {number}": _drawn_kind(number) for number in range(1, _BY_RULE // 2 + 2)}
# Raters, items, labels of each item, and whether raters share the items evenly.
RATED = {
    "3 raters, 50 items × 3": (3, 50, 3, True),
    "6 raters, 400 items × 3": (6, 400, 3, True),
    "15 raters, 600 items × 2, uneven": (15, 600, 2, False),
    "60 raters, 1500 items × 2": (60, 1500, 2, True),
    "200 raters, 5000 items × 1, uneven": (200, 5000, 1, False),
}
LABELS = {f"{n} labels a target": n for n in (30, 100, 500, 3000)}


def rated(kind: Kind, raters: int, items: int, each: int, even: bool, rng: Generator) -> RaterTable:
    """Return a table in which every item has labels of ``each`` raters, drawn evenly or by unequal zeal."""
    channels = np.cumsum([kind(rng) for _ in range(raters)], axis=2)
    targets = channels.shape[1]
    truth = np.concatenate([np.repeat(np.arange(targets), 2), rng.integers(targets, size=items - 2 * targets)])
    zeal = np.ones(raters) if even else rng.gamma(0.7, size=raters) + 0.05
    order = np.argsort(rng.gumbel(size=(items, raters)) + np.log(zeal), axis=1)
    who: IntArray = order[:, -each:].reshape(-1)
    target = np.repeat(truth, each)
    label = (rng.random(target.size)[:, None] > channels[who, target]).sum(axis=1)
    return RaterTable.from_arrays(target, np.minimum(label, channels.shape[2] - 1), rater=who)


def _independent(rows: FloatArray) -> Trial:
    truth, ends = capacity(rows).value, np.cumsum(rows, axis=1)

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        target = np.repeat(np.arange(len(rows)), LABELS[shape])
        label = (rng.random(target.size)[:, None] > ends[target]).sum(axis=1)
        table = RaterTable.from_arrays(target, np.minimum(label, ends.shape[1] - 1))
        return _said(table, truth, len(rows), by_rater=False)

    return trial


def _by_raters(kind: Kind) -> Trial:
    rng = np.random.default_rng(21)
    mean = np.mean([kind(rng) for _ in range(_RATERS)], axis=0)
    truth = capacity(mean).value

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        return _said(rated(kind, *RATED[shape], rng), truth, len(mean), by_rater=True)

    return trial


def _said(table: RaterTable, truth: float, targets: int, *, by_rater: bool) -> dict[str, Said]:
    answer = ask_capacity(table, by_rater=by_rater)
    (found,) = answer.contexts
    whose = ", raters left out" if by_rater else ""
    said = {"capacity" + whose: Said(found.low, found.high, truth, found.supported)}
    if found.targets == targets:
        floor = float(fano_floor(truth, targets))
        said["Fano floor" + whose] = Said(found.floor_low, found.floor_high, floor, found.supported)
    return said


RATINGS = Topic("ratings", {name: partial(_independent, rows) for name, rows in CHANNELS.items()}, tuple(LABELS))
RATERS = Topic("raters", {name: partial(_by_raters, kind) for name, kind in KINDS.items()}, tuple(RATED))
