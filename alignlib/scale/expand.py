"""Prompts in bins whose bins tell every sample: they are taken as samples, and nothing is open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins
from alignlib.scale.further import Further
from alignlib.scale.summary import Summary

__all__ = ["expanded", "not_told"]


def not_told(summary: Summary) -> BoolArray:
    """Return which prompts are in bins that do not tell every sample, shape (prompts,).

    A bin tells its samples where they are up to two, or all are equal. Of a further column one value is told, or equal
    ones; of two different ones, the sum of products with the steps of the first column says which is whose.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = {"r": np.array([0.0, 0.1, 2.0, 0.1, 0.2, 0.3])}
    >>> not_told(Summary.of(pa.array(["a", "b"]), np.array([3, 3]), rows, widths=[1.0], exact_up_to=0)).tolist()
    [False, True]
    """
    bins = summary.bins
    told = (bins.count <= 2) | (bins.least == bins.most)
    for one in bins.others:
        told &= np.isfinite(one.least) & ((bins.count == 1) | (one.least == one.most) | (_order(bins, one) != 0))
    found = np.zeros(len(summary.sizes), dtype=np.bool_)
    found[bins.row[~told]] = True
    return found


def expanded(summary: Summary) -> Summary:
    """Return a summary with the samples of prompts in bins that tell every sample.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = {"r": np.array([2.0, 0.1, 0.0]), "g": np.array([5.0, 3.0, 4.5])}
    >>> binned = Summary.of(pa.array(["a"]), np.array([3]), rows, widths=[1.0, 1.0], exact_up_to=0)
    >>> [one.tolist() for one in expanded(binned).values]
    [[2.0, 0.1, 0.0], [5.0, 3.0, 4.5]]
    """
    small = summary.binned & ~not_told(summary)
    if not small.any():
        return summary
    inside = small[summary.bins.row]
    bins = summary.bins.take(np.flatnonzero(inside))
    first = np.cumsum(bins.count) - bins.count
    columns = [_pairs(bins, first, bins.least, bins.most)]
    for one in bins.others:
        apart = (bins.count == 2) & (_order(bins, one) < 0)
        columns.append(_pairs(bins, first, *(np.where(apart, *ends) for ends in
                                             ((one.most, one.least), (one.least, one.most)))))  # fmt: skip
    kept = ~summary.binned
    row = np.concatenate([np.repeat(np.flatnonzero(kept), summary.sizes[kept]), np.repeat(bins.row, bins.count)])
    values = [np.concatenate([held, more]) for held, more in zip(summary.values, columns, strict=True)]
    order = np.lexsort((-values[0], row))
    return replace(
        summary,
        binned=summary.binned & ~small,
        values=tuple(one[order] for one in values),
        bins=summary.bins.take(np.flatnonzero(~inside)),
    )


def _pairs(bins: Bins, first: IntArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return the samples of bins: one value or equal ones, or two."""
    found = np.repeat(lower, bins.count)
    two = bins.count == 2
    found[first[two] + 1] = upper[two]
    return found


def _order(bins: Bins, one: Further) -> IntArray:
    """Return 1 where a further column of two samples rises with the first, -1 where it falls, and 0 if not known.

    ``2 Σuh - Σu Σh = (u₂ - u₁)(h₂ - h₁)``, of whole numbers below 2⁵⁷.
    """
    two = bins.count == 2
    products = 2 * ((one.cross_high[two] << STEPS) + one.cross_low[two]) - bins.total[two] * one.high[two]
    found = np.zeros(len(two), dtype=np.int64)
    found[two] = np.sign(products)
    return found
