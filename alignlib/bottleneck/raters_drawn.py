r"""Raters drawn anew, with one more of a kind that none of them is of: the ends of a capacity over raters.

Raters of a kind that no one of R raters is of may still be a share of ``1 - 0.025^{1/R}`` of all. So, as Clopper and
Pearson's interval draws a coin's, weights of the raters are drawn as the gaps of ordered uniform numbers, with a gap
more: for the lower end that of a rater who gives every target the same labels and so tells nothing, for the upper end
that of one who gives each target the label that speaks most for it. The rater more gives as many labels as the rater of
a label does on average.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate
from alignlib.tables import RaterTable

__all__ = ["ends_over_raters"]

_DRAWS = 1000
_AT_ONCE = 2_000_000
_IN_USE = 1e-9
_SEED = 0  # of the draws: an interval belongs to its table


def ends_over_raters(
    table: RaterTable, counts: FloatArray, each: tuple[ConfusionEstimate, ...], weight: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper ends of the capacity of each context, and last of their average, shape (contexts + 1,).

    Parameters
    ----------
    table : RaterTable
        The labels with their raters.
    counts : array (contexts, targets, labels)
        The labels that count.
    each : tuple of ConfusionEstimate
        Estimates of the contexts.
    weight : array (contexts,)
        Law of the context.
    level : float
        Coverage of the interval, in (0, 1).

    Returns
    -------
    low, high : array (contexts + 1,)
        In nats.
    """
    raters = len(table.raters)
    table = _by_content(table, counts)
    rng = np.random.default_rng([_SEED, raters])
    given = np.bincount(table.rater, minlength=raters).astype(np.float64)
    gaps = rng.standard_exponential(size=(_DRAWS, raters))
    # As a share of the table's labels: the gap of the rater more times the size of a label's rater.
    more = rng.standard_exponential(size=_DRAWS) * float(given @ given / given.sum() ** 2)
    drawn = np.empty((2, _DRAWS, len(counts)))
    for i, (context, one) in enumerate(zip(counts, each, strict=True)):
        cells = _Cells(table, i, context, one)
        alone, without, ideal = cells.information(gaps, more)
        # The counted channel lies as far above the raters' own as channels drawn from it lie above it.
        bias = max(float(alone.mean()) - one.plug_in, 0.0)
        drawn[0, :, i], drawn[1, :, i] = without - 2.0 * bias, ideal - 2.0 * bias
    low, high = (np.column_stack([each_end, each_end @ weight]) for each_end in drawn)
    return np.quantile(low, 0.5 - level / 2.0, axis=0), np.quantile(high, 0.5 + level / 2.0, axis=0)


def _by_content(table: RaterTable, counts: FloatArray) -> RaterTable:
    """Return the table with its raters in an order that does not depend on their names: draws go to each in turn."""
    alike = counts[table.context, table.target, table.label]  # labels like this one, whoever gave them
    sums = [np.bincount(table.rater, np.sqrt(alike) ** k, len(table.raters)) for k in (3, 2, 1, 0)]
    place = np.argsort(np.lexsort([values.round(6) for values in sums]))
    return replace(table, rater=place[table.rater])


class _Cells:
    """The labels that each rater gave the targets in use of one context."""

    def __init__(self, table: RaterTable, context: int, counts: FloatArray, one: ConfusionEstimate) -> None:
        used = np.flatnonzero(one.input_prob > _IN_USE)
        place = np.full(len(counts), -1)
        place[used] = np.arange(used.size)
        mine = (table.context == context) & (place[table.target] >= 0)
        flat = place[table.target[mine]] * counts.shape[1] + table.label[mine]
        cells, where = np.unique(flat, return_inverse=True)
        self.row, self.column = cells // counts.shape[1], cells % counts.shape[1]
        self.prob = one.prob
        self.size = counts[used].sum(axis=1)
        self.by_rater = scipy.sparse.csr_array(
            (np.ones(where.size), (table.rater[mine], where)), shape=(len(table.raters), cells.size)
        )
        ones, cell = np.ones(cells.size), np.arange(cells.size)
        self.to_row = scipy.sparse.csr_array((ones, (cell, self.row)), shape=(cells.size, used.size))
        self.to_column = scipy.sparse.csr_array((ones, (cell, self.column)), shape=(cells.size, counts.shape[1]))
        law = counts[used] / self.size[:, None]
        spoken = law / np.maximum(self.prob @ law, np.finfo(float).tiny)
        best = np.argmax(spoken, axis=1)
        self.best = np.searchsorted(cells, np.arange(used.size) * counts.shape[1] + best)

    def information(self, gaps: FloatArray, more: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Information of the input law on each drawn channel: of the raters alone, and with the one more of each kind.

        Parameters
        ----------
        gaps : array (draws, raters)
            Weights of the raters.
        more : array (draws,)
            Labels of the rater more, as a multiple of those of the table.
        """
        alone, useless, ideal = np.empty((3, len(gaps)))
        step = max(1, _AT_ONCE // max(self.row.size, 1))
        for start in range(0, len(gaps), step):
            some = slice(start, start + step)
            mass = gaps[some] @ self.by_rater
            size = mass @ self.to_row
            law = mass / size[:, self.row]
            share = more[some, None] * self.size / (size + more[some, None] * self.size)
            alone[some] = self._of(law)
            useless[some] = self._with_useless(law, share)
            law *= (1.0 - share)[:, self.row]
            law[:, self.best] += share
            ideal[some] = self._of(law)
        return alone, useless, ideal

    def _of(self, law: FloatArray) -> FloatArray:
        joint = law * self.prob[self.row]
        output = joint @ self.to_column
        xlogx = scipy.special.xlogy
        return np.asarray(xlogx(joint, law).sum(axis=1) - xlogx(output, output).sum(axis=1))

    def _with_useless(self, law: FloatArray, share: FloatArray) -> FloatArray:
        """Information where ``P_u`` becomes ``(1 - s_u) P_u + s_u q``: who tells nothing gives labels as all do."""
        xlogx, prob = scipy.special.xlogy, self.prob[self.row]
        output = (law * prob) @ self.to_column
        theirs = share[:, self.row] * output[:, self.column]
        kept = (1.0 - share)[:, self.row] * law
        mixed = kept + theirs
        # Labels that a target never got are those of the rater more alone: the rest of Σ_y s_u q log(s_u q).
        everywhere = xlogx(share, share) + share * xlogx(output, output).sum(axis=1, keepdims=True)
        unseen = everywhere @ self.prob - (prob * xlogx(theirs, theirs)).sum(axis=1)
        total = (kept * prob) @ self.to_column + (share @ self.prob)[:, None] * output
        return np.asarray((prob * xlogx(mixed, mixed)).sum(axis=1) + unseen - xlogx(total, total).sum(axis=1))
