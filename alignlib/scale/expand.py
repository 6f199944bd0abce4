"""From bins back to samples, of prompts with few of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins
from alignlib.scale.bounds import inside_bins
from alignlib.scale.summary import Summary

__all__ = ["expanded", "unknown_ties"]

_UNEVEN = 1e-3  # arms differ by so much at least: that they would be equal nothing says
_KNOWN = 3  # samples of a bin that are as they were


def expanded(summary: Summary, most: int) -> Summary:
    """Return a summary with the samples of prompts in bins that have no more than ``most``, set within their bins.

    Of a bin with up to three samples they are what they were, within a step of ``w/2²⁴``; of more, the least and the
    largest are, and the others lie about their mean, as evenly as keeps their variance: no two are equal unless all of
    them are, within a step. Further columns get the mean of the bin.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    most : int
        The most samples of a prompt that is expanded.
    """
    small = summary.binned & (summary.sizes <= most)
    if not small.any():
        return summary
    inside = small[summary.bins.row]
    bins = summary.bins.take(np.flatnonzero(inside))
    columns = [_samples(bins, summary.widths[0])]
    columns += [np.repeat(bins.other_mean(j, width), bins.count) for j, width in enumerate(summary.widths[1:])]
    kept = ~summary.binned
    row = np.concatenate([np.repeat(np.flatnonzero(kept), summary.sizes[kept]), np.repeat(bins.row, bins.count)])
    values = [np.concatenate([one, more]) for one, more in zip(summary.values, columns, strict=True)]
    order = np.lexsort((-values[0], row))
    return replace(
        summary,
        binned=summary.binned & ~small,
        values=tuple(one[order] for one in values),
        bins=summary.bins.take(np.flatnonzero(~inside)),
    )


def unknown_ties(summary: Summary, most: int) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Return where prompts that `expanded` expands may have ties of which nothing is known.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    most : int
        The most samples of a prompt that is expanded.

    Returns
    -------
    below, upto : array (bins,)
        Samples of the prompt that lie below the bin, and up to its end.
    row, size : array of int (bins,)
        The prompt, and its number of samples.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = {"r": np.array([0.0, 0.1, 0.2, 0.3, 2.0])}
    >>> summary = Summary.of(pa.array(["a"]), np.array([5]), rows, widths=[1.0], exact_up_to=0)
    >>> [one.tolist() for one in unknown_ties(summary, 5)]
    [[0.0], [4.0], [0], [5]]
    """
    bins = summary.bins
    before = np.cumsum(bins.count) - bins.count
    first = np.searchsorted(bins.row, bins.row)  # of the same prompt
    small = summary.sizes[bins.row] <= most
    place = np.flatnonzero(small & (bins.count > _KNOWN) & (bins.least < bins.most))
    below = (before[place] - before[first[place]]).astype(np.float64)
    return below, below + bins.count[place], bins.row[place], summary.sizes[bins.row[place]]


def _samples(bins: Bins, width: float) -> FloatArray:
    """Return the samples of bins, one bin after another."""
    least, most, others, m, v = inside_bins(bins, width)
    ends = np.cumsum(bins.count)
    starts = ends - bins.count
    rest = others.astype(np.int64)
    pairs = rest // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        arm = np.where(pairs > 0, np.sqrt(v * rest / (2 * pairs)), 0.0)
        step = 2.0**-STEPS
        room = np.maximum(np.minimum(m - least, most - m) - step, 0.0)
        arm[arm < step] = 0.0  # they are equal
        # Arms from 1 - δ to 1 + δ, over the root of their mean square: δ = 1 is an even law, whose ends are √3 away.
        square = np.clip(np.where(arm > 0.0, np.square(room / arm), 1.0), 1.0, 3.0)
        uneven = (square - 1.0) / (1.0 + np.sqrt(1.0 - (1.0 - square / 3.0) * (1.0 - square)))
        uneven = np.maximum(uneven, _UNEVEN)
        inverse = 1.0 / np.maximum(pairs, 1)
        arm /= np.sqrt(1.0 + np.square(uneven) / 3.0 * (1.0 - np.square(inverse)))
    arm = np.minimum(arm, room / (1.0 + uneven * (1.0 - inverse)))
    found = np.repeat(m, bins.count)
    place = np.arange(int(ends[-1])) - np.repeat(starts, bins.count) - 2  # of the others, from 0
    of_bin = np.repeat(np.arange(len(starts)), bins.count)
    paired = np.flatnonzero((place >= 0) & (place < 2 * pairs[of_bin]))
    place, its = place[paired], of_bin[paired]
    along = (2 * (place // 2) + 1.0) / pairs[its] - 1.0
    found[paired] += np.where(place % 2 == 0, 1.0, -1.0) * arm[its] * (1.0 + uneven[its] * along)
    found = width * (found + bins.index[of_bin]) + 0.5 * np.ldexp(width, -STEPS)
    np.clip(found, bins.least[of_bin], bins.most[of_bin], out=found)
    found[starts] = bins.least
    two = bins.count > 1
    found[starts[two] + 1] = bins.most[two]
    return np.asarray(found)
