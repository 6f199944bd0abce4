"""The spread of a capacity between raters: each left out in turn, or all drawn anew with one more of a kind not seen.

Where each is left out, the optimal input law is followed in closed form. With the rows ``P'`` of a table without one
rater, ``C(P') = I(p, P') + ½ dᵀ A d + …``: ``p`` is the law that is optimal for the whole table, ``d`` how unequal
``KL(P'_u‖q')`` have become under it, and A how the optimal law responds. So no capacity is solved again, and what is
left out is of third order in the change of the rows.

Raters of a kind that no one of R raters is of may still be a share of ``1 - 0.025^{1/R}`` of all. So, as Clopper and
Pearson's interval draws a coin's, weights of the raters are drawn as the gaps of ordered uniform numbers, with a gap
more: for the lower end that of a rater who gives every target the same labels and so tells nothing, for the upper end
that of one who gives each target the label that speaks most for it. The rater more gives as many labels as the rater of
a label does on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, response
from alignlib.tables import RaterTable

__all__ = ["Tell", "ends_over_raters", "leave_out_raters"]

Tell = Callable[[str, int, int], None]  # of what, how many are done, and of how many

_IN_USE = 1e-9
_DRAWS = 1000
_AT_ONCE = 2_000_000
_SEED = 0  # of the draws: an interval belongs to its table


def leave_out_raters(
    table: RaterTable,
    counts: FloatArray,
    each: tuple[ConfusionEstimate, ...],
    weight: FloatArray,
    tell: Tell | None = None,
) -> tuple[FloatArray, int]:
    """Return jackknife standard errors over raters, of each context and last of the average, and lone targets.

    Parameters
    ----------
    table : RaterTable
        At least three raters.
    counts : array (contexts, targets, labels)
        The labels that count.
    each : tuple of ConfusionEstimate
        Estimates of the contexts.
    weight : array (contexts,)
        Law of the context.
    tell : callable, optional
        Told ``"leave out"``, how many raters have been, and of how many.

    Returns
    -------
    errors : array (contexts + 1,)
        In nats.
    alone : int
        Targets all of whose labels in a context are one rater's: without that rater their rows stay as they are.

    Raises
    ------
    InputError
        If there are fewer than three raters.
    """
    raters = len(table.raters)
    if raters < 3:
        raise InputError(f"by_rater needs at least 3 raters to leave out in turn; the table has {raters}.")
    order = np.argsort(table.rater, kind="stable")
    ends = np.searchsorted(table.rater[order], np.arange(raters + 1))
    whole = [_Context(context, one.input_prob) for context, one in zip(counts, each, strict=True)]
    values = np.empty((raters, len(whole)))
    for rater in range(raters):
        labels = order[ends[rater] : ends[rater + 1]]
        for i, context in enumerate(whole):
            mine = labels[table.context[labels] == i]
            values[rater, i] = context.without(table.target[mine], table.label[mine])
        if tell is not None:
            tell("leave out", rater + 1, raters)
    every = np.column_stack([values, values @ weight])
    errors = np.sqrt((raters - 1) / raters * ((every - every.mean(axis=0)) ** 2).sum(axis=0))
    return errors, sum(len(context.alone) for context in whole)


class _Context:
    """The rows of one context in use, and what follows from leaving labels out of some of them."""

    def __init__(self, counts: FloatArray, input_prob: FloatArray) -> None:
        self.place = np.full(len(counts), -1)
        used = np.flatnonzero(input_prob > _IN_USE)
        self.place[used] = np.arange(used.size)
        self.counts = counts[used]
        self.prob = input_prob[used] / input_prob[used].sum()
        self.size = self.counts.sum(axis=1)
        self.rows = self.counts / self.size[:, None]
        self.output = self.prob @ self.rows
        seen = self.output > 0
        self.response = response(self.rows[:, seen], self.output[seen])
        self.entropy = scipy.special.xlogy(self.rows, self.rows).sum(axis=1)
        self.alone: set[int] = set()

    def without(self, target: IntArray, label: IntArray) -> float:
        """Capacity to second order without some labels of targets."""
        at = self.place[target]
        at, label = at[at >= 0], label[at >= 0]
        rows, entropy, output = self.rows, self.entropy, self.output
        if at.size:
            touched, index = np.unique(at, return_inverse=True)
            taken = np.zeros((touched.size, rows.shape[1]))
            np.add.at(taken, (index, label), 1.0)
            rest = self.counts[touched] - taken
            size = rest.sum(axis=1)
            self.alone |= set(touched[size == 0].tolist())
            kept = touched[size > 0]
            fresh = rest[size > 0] / size[size > 0, None]
            output = np.maximum(output + self.prob[kept] @ (fresh - rows[kept]), 0.0)
            rows, entropy = rows.copy(), entropy.copy()
            rows[kept], entropy[kept] = fresh, scipy.special.xlogy(fresh, fresh).sum(axis=1)
            output = np.where(rows.any(axis=0), output, 0.0)
        log_output = np.log(np.where(output > 0, output, 1.0))
        divergence = entropy - rows @ log_output
        information = float(self.prob @ divergence)
        uneven = divergence - information
        return information + 0.5 * float(uneven @ self.response @ uneven)


def ends_over_raters(
    table: RaterTable,
    counts: FloatArray,
    each: tuple[ConfusionEstimate, ...],
    weight: FloatArray,
    level: float,
    tell: Tell | None = None,
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
    tell : callable, optional
        Told ``"draw"``, how many draws are done, and of how many.

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
        told = None if tell is None else partial(_of_all, tell, i * _DRAWS, len(counts) * _DRAWS)
        alone, without, ideal = cells.information(gaps, more, told)
        # The counted channel lies as far above the raters' own as channels drawn from it lie above it.
        bias = max(float(alone.mean()) - one.plug_in, 0.0)
        drawn[0, :, i], drawn[1, :, i] = without - 2.0 * bias, ideal - 2.0 * bias
    low, high = (np.column_stack([each_end, each_end @ weight]) for each_end in drawn)
    return np.quantile(low, 0.5 - level / 2.0, axis=0), np.quantile(high, 0.5 + level / 2.0, axis=0)


def _of_all(tell: Tell, before: int, of: int, done: int) -> None:
    tell("draw", before + done, of)


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

    def information(
        self, gaps: FloatArray, more: FloatArray, told: Callable[[int], None] | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Information of the input law on each drawn channel: of the raters alone, and with the one more of each kind.

        Parameters
        ----------
        gaps : array (draws, raters)
            Weights of the raters.
        more : array (draws,)
            Labels of the rater more, as a multiple of those of the table.
        told : callable, optional
            Told how many draws are done.
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
            if told is not None:
                told(min(start + step, len(gaps)))
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
