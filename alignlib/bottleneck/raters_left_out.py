"""The spread of a capacity between raters: each left out in turn, the optimal input law followed in closed form.

With the rows ``P'`` of a table without one rater, ``C(P') = I(p, P') + ½ dᵀ A d + …``: ``p`` is the law that is optimal
for the whole table, ``d`` how unequal ``KL(P'_u‖q')`` have become under it, and A how the optimal law responds. So no
capacity is solved again, and what is left out is of third order in the change of the rows.
"""

from __future__ import annotations

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, response
from alignlib.tables import RaterTable

__all__ = ["leave_out_raters"]

_IN_USE = 1e-9


def leave_out_raters(
    table: RaterTable, counts: FloatArray, each: tuple[ConfusionEstimate, ...], weight: FloatArray
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
