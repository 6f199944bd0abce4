"""How often intervals of a capacity hold it: ``python -m benchmarks.capacity_coverage [TABLES]``.

Channels of 2 to 10 labels, errors of 0.05 to 40 %, labels as rare as 0.002; labels that are independent, and raters who
differ (3 to 200 of them, 50 to 5,000 items, evenly shared or not). The laws were chosen after the intervals were
made. A row says how often the interval held the truth, and how often it lay above and below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray, IntArray
from alignlib.bottleneck import capacity, estimate_capacity
from alignlib.tables import RaterTable

_RATERS = 40_000  # of a population, whose mean channel is taken for the truth
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
SHAPES = ((3, 50, 3, True), (6, 400, 3, True), (15, 600, 2, False), (60, 1500, 2, True), (200, 5000, 1, False))


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


def _row(name: str, tables: int, truth: float, draw: Callable[[Generator], RaterTable], by_rater: bool) -> str:
    rng = np.random.default_rng(list(name.encode()))
    found = [estimate_capacity(draw(rng), by_rater=by_rater) for _ in range(tables)]
    low, high = np.array([(one.mean_low, one.mean_high) for one in found]).T
    above, below = float((low > truth).mean()), float((high < truth - 1e-12).mean())
    sure = np.mean([one.supported for one in found])
    return (
        f"{name:<56} {truth:>7.4f} {1.0 - above - below:>6.3f} {above:>6.3f} {below:>6.3f} "
        f"{np.median(high - low):>7.4f} {sure:>9.2f}"
    )


def main(tables: int = 200) -> None:
    """Print one row for each law and shape."""
    print(f"{'law and shape':<56} {'truth':>7} {'held':>6} {'above':>6} {'below':>6} {'width':>7} {'supported':>9}")
    for name, rows in CHANNELS.items():
        for n in (100, 500, 3000):
            target = np.repeat(np.arange(len(rows)), n)
            ends = np.cumsum(rows, axis=1)

            def draw(rng: Generator, target: IntArray = target, ends: FloatArray = ends) -> RaterTable:
                label = (rng.random(target.size)[:, None] > ends[target]).sum(axis=1)
                return RaterTable.from_arrays(target, np.minimum(label, ends.shape[1] - 1))

            print(_row(f"{name}, {n} labels a target", tables, capacity(rows).value, draw, False), flush=True)
    for name, kind in KINDS.items():
        rng = np.random.default_rng(21)
        truth = capacity(np.mean([kind(rng) for _ in range(_RATERS)], axis=0)).value
        for raters, items, each, even in SHAPES:

            def table(
                rng: Generator,
                kind: Kind = kind,
                shape: tuple[int, int, int, bool] = (raters, items, each, even),
            ) -> RaterTable:
                return rated(kind, *shape, rng)

            said = f"{name}, {raters} raters, {items} items × {each}{'' if even else ', uneven'}"
            print(_row(said, tables, truth, table, True), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
