"""From bins back to samples, of prompts with few of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.scale.bins import STEPS, Bins
from alignlib.scale.bounds import inside_bins
from alignlib.scale.summary import Summary

__all__ = ["expanded"]


def expanded(summary: Summary, most: int) -> Summary:
    """Return a summary with the samples of prompts in bins that have no more than ``most``, set within their bins.

    Of a bin with up to three samples they are what they were, within a step of ``w/2²⁴``; of more, the least and the
    largest are, and the others lie about their mean so that their variance is kept. Further columns get the mean of
    the bin.

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


def _samples(bins: Bins, width: float) -> FloatArray:
    """Return the samples of bins, one bin after another."""
    least, most, others, m, v = inside_bins(bins, width)
    ends = np.cumsum(bins.count)
    starts = ends - bins.count
    rest = others.astype(np.int64)
    pairs = rest // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        arm = np.where(pairs > 0, np.sqrt(v * rest / (2 * pairs)), 0.0)
    arm = np.minimum(arm, np.minimum(m - least, most - m))
    found = np.repeat(m, bins.count)
    place = np.arange(int(ends[-1])) - np.repeat(starts, bins.count) - 2  # of the others, from 0
    of_bin = np.repeat(np.arange(len(starts)), bins.count)
    paired = (place >= 0) & (place < 2 * pairs[of_bin])
    found[paired] += (np.where(place % 2 == 0, 1.0, -1.0) * arm[of_bin])[paired]
    found = width * (found + bins.index[of_bin]) + 0.5 * np.ldexp(width, -STEPS)
    np.clip(found, bins.least[of_bin], bins.most[of_bin], out=found)
    found[starts] = bins.least
    two = bins.count > 1
    found[starts[two] + 1] = bins.most[two]
    return np.asarray(found)
