r"""Channels that could have given a table of counts, drawn: what the interval of its capacity is read off.

A row of counts is drawn as a Dirichlet law with the counts as parameters, as Clopper and Pearson's interval draws a
coin's: for the lower end of the capacity with one label more where it harms most, for the upper end without. That label
stands for errors that could have occurred and did not, so that a table without errors has an interval of some width. It
goes to one target drawn by how much it would matter, and to each other one in a quarter of the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_number
from alignlib._core.same import SameFields

__all__ = ["CapacityDraws"]

_DRAWS = 1000
_ALSO_ELSEWHERE = 0.25
_AT_ONCE = 2_000_000
# A label seen once understates what its kind adds to the bias of entropy, ½: E[X log X] - μ log μ for rare kinds.
_SEEN_ONCE = 1.27
_SEED = 0  # of the draws: an interval belongs to its table


@dataclass(frozen=True, eq=False)
class CapacityDraws(SameFields):
    """Draws for the lower and for the upper end of a capacity, each shape (draws,), in nats.

    Attributes
    ----------
    low, high : array (draws,)
        Draws for the lower and for the upper end, in nats.

    Examples
    --------
    >>> counts = np.array([[90.0, 10.0], [10.0, 90.0]])
    >>> draws = CapacityDraws.of(counts, np.array([0.5, 0.5]), 0.3681, 0.0043)
    >>> bool(np.quantile(draws.low, 0.025) < 0.3681 < np.quantile(draws.high, 0.975))
    True
    """

    low: FloatArray
    high: FloatArray

    @classmethod
    def of(
        cls,
        counts: FloatArray,
        prob: FloatArray,
        plug_in: float,
        bias: float,
        *,
        inflation: float = 1.0,
        number: int = 0,
    ) -> CapacityDraws:
        """Draw for one table.

        Parameters
        ----------
        counts : array (targets, labels)
            Labels of the targets in use, every label seen.
        prob : array (targets,)
            The optimal input law.
        plug_in, bias : float
            Capacity of the counted frequencies, and its bias to second order.
        inflation : float
            How much larger the variance is than that of independent labels, >= 1: as if there were fewer of them.
        number : int
            The table's number: those that are averaged have draws of their own.
        """
        counts, prob = _by_content(counts, prob)  # what targets and labels are called does not move an interval
        rng = np.random.default_rng([_SEED, number])
        if counts.shape[1] == 1:
            return cls(np.zeros(_DRAWS), _of_an_unseen_label(rng, float(counts.sum(axis=1).min()) / inflation))
        table = _Cells.of(counts, prob)
        single = table.row[table.count == 1.0]
        lone = float((prob / counts.sum(axis=1))[single].sum())
        # How many labels were seen once is chance: to the square root of their number there may be none.
        by_chance = lone / max(single.size, 1) ** 0.5
        own = table.own_bias(1.0 / inflation)
        low = table.draw(rng, 1.0 / inflation, extra=True) - own - bias - (_SEEN_ONCE - 0.5) * lone
        high = table.draw(rng, 1.0 / inflation, extra=False) - own - bias + 0.5 * by_chance
        return cls(low, high)

    @classmethod
    def average(cls, each: list[CapacityDraws], weight: FloatArray) -> CapacityDraws:
        """Average independent tables, draw by draw.

        Parameters
        ----------
        each : list of CapacityDraws
            One for each context, with equally many draws.
        weight : array (contexts,)
            Weight of each in the average.
        """
        return cls(
            np.asarray(weight @ np.array([one.low for one in each])),
            np.asarray(weight @ np.array([one.high for one in each])),
        )

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two quantiles that leave half of ``1 - level`` outside each.

        Parameters
        ----------
        level : float
            Coverage aimed at, in (0, 1).

        Returns
        -------
        low, high : float
            In nats.

        Raises
        ------
        InputError
            If ``level`` is outside (0, 1).
        """
        level = as_number("level", level, 0.0, 1.0, open_low=True, open_high=True)
        return float(np.quantile(self.low, 0.5 - level / 2)), float(np.quantile(self.high, 0.5 + level / 2))


def _by_content(counts: FloatArray, prob: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the table with its rows and columns in an order that depends on their counts only."""
    rows = np.lexsort((*np.sort(counts, axis=1).T, prob.round(9), counts.sum(axis=1)))
    columns = np.lexsort((*np.sort(counts, axis=0), counts.sum(axis=0)))
    counts = counts[rows][:, columns]
    # Rows, then columns, that are alike but for their order.
    again = np.lexsort((*counts.T, *np.sort(counts, axis=1).T, prob[rows].round(9), counts.sum(axis=1)))
    rows, counts = rows[again], counts[again]
    return counts[:, np.lexsort((*counts, *np.sort(counts, axis=0), counts.sum(axis=0)))], prob[rows]


def _of_an_unseen_label(rng: np.random.Generator, size: float) -> FloatArray:
    """Information of two equally likely targets, one of which gives with some rate a label that nobody has seen yet."""
    rate = rng.beta(1.0, size, size=_DRAWS)
    kept = scipy.special.xlogy(1.0 - rate, (1.0 - rate) / (1.0 - 0.5 * rate)) - np.log1p(-0.5 * rate)
    return np.asarray(0.5 * (kept + rate * np.log(2.0)))


@dataclass(frozen=True, eq=False)
class _Cells(SameFields):
    """The cells of a table that hold a label, or would get one more: target, label and count of each."""

    prob: FloatArray
    size: FloatArray
    row: IntArray
    column: IntArray
    count: FloatArray
    worst: IntArray
    best: IntArray
    harm: FloatArray

    @classmethod
    def of(cls, counts: FloatArray, prob: FloatArray) -> _Cells:
        size = counts.sum(axis=1)
        q = prob @ (counts / size[:, None])
        score = np.log((counts + 1.0) / (size + 1.0)[:, None] / q)
        worst = score.argmin(axis=1)
        best = np.where(counts > 0, counts / q, -1.0).argmax(axis=1)
        targets = np.arange(len(counts))
        held = counts > 0
        held[targets, worst] = True
        row, column = np.nonzero(held)
        place = np.full(counts.shape, -1)
        place[row, column] = np.arange(row.size)
        harm = prob / size * (score[targets, best] - score[targets, worst])
        harm = harm / harm.sum() if harm.sum() > 0 else np.full(harm.size, 1.0 / harm.size)
        count = counts[row, column]
        return cls(prob, size, row, column, count, place[targets, worst], place[targets, best], harm)

    def own_bias(self, share: float) -> float:
        """How far the information of such draws lies above that of the counts, to second order."""

        def excess(x: FloatArray) -> FloatArray:  # E[g log g] - x log x of a gamma variable of shape x
            at = np.where(x > 0, x, 1.0)
            return np.where(x > 0, at * (scipy.special.digamma(at + 1.0) - np.log(at)), 0.0)

        count, size = self.count * share, self.size * share
        by_row = np.bincount(self.row, excess(count), self.size.size) - excess(size)
        frequency = count / size[self.row]
        q = np.bincount(self.column, self.prob[self.row] * frequency)
        spread = self.prob[self.row] ** 2 * frequency * (1.0 - frequency) / (2.0 * size[self.row] * q[self.column])
        return float(self.prob @ (by_row / size) - spread.sum())

    def draw(self, rng: np.random.Generator, share: float, *, extra: bool) -> FloatArray:
        """Information of the input law on each drawn channel."""
        found = np.empty(_DRAWS)
        step = max(1, min(_DRAWS, _AT_ONCE // self.count.size))
        # Cells lie target by target, and every target and every label has one: sums over either are over stretches.
        rows = np.searchsorted(self.row, np.arange(self.size.size))
        by_column = np.argsort(self.column, kind="stable")
        columns = np.searchsorted(self.column[by_column], np.arange(int(self.column.max()) + 1))
        for start in range(0, _DRAWS, step):
            many = min(step, _DRAWS - start)
            mass = rng.standard_gamma(self.count * share, size=(many, self.count.size))
            one = rng.standard_exponential(size=(many, self.size.size))
            harmed = np.zeros(one.shape, dtype=np.bool_)
            if extra:
                harmed = rng.random(one.shape) < _ALSO_ELSEWHERE
                harmed[np.arange(many), rng.choice(self.size.size, size=many, p=self.harm)] = True
            mass[:, self.worst] += np.where(harmed, one, 0.0)
            mass[:, self.best] += np.where(harmed, 0.0, one)
            law = mass / np.add.reduceat(mass, rows, axis=1)[:, self.row]
            joint = law * self.prob[self.row]
            output = np.add.reduceat(joint[:, by_column], columns, axis=1)
            entropies = scipy.special.xlogy(joint, law).sum(axis=1) - scipy.special.xlogy(output, output).sum(axis=1)
            found[start : start + many] = entropies
        return found
