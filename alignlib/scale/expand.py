"""From bins back to samples: of prompts with few of them, and shares of one prompt that has many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins
from alignlib.scale.bounds import arranged, inside_bins
from alignlib.scale.further import Further
from alignlib.scale.keys import keys_of
from alignlib.scale.summary import Summary

__all__ = ["expanded", "shared"]


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


def shared(summary: Summary, groups: int, rng: np.random.Generator) -> Summary:
    """Return a summary whose prompts are groups among which the samples of the one prompt in bins are dealt at random.

    Samples are where `arranged` has them; sums of further columns go with the numbers.

    Parameters
    ----------
    summary : Summary
        Of one prompt, in bins.
    groups : int
        Prompts of the result.
    rng : Generator
        Source of randomness.
    """
    bins, width = summary.bins, summary.widths[0]
    value, exact_count, place = arranged(bins, width)
    left = np.floor(exact_count).astype(np.int64)
    odd = np.flatnonzero(exact_count > left)  # shares of a bin that are not whole: one more to the first
    short = np.round(np.bincount(place[odd], (exact_count - left)[odd], len(bins.row))).astype(np.int64)
    first = odd[np.unique(place[odd], return_index=True)[1]]
    left[first] += short[place[first]]
    rows, atoms, counts = [], [], []
    for group in range(groups):
        taken = rng.binomial(left, 1.0 / (groups - group))
        left -= taken
        held = np.flatnonzero(taken)
        rows.append(np.full(len(held), group))
        atoms.append(held)
        counts.append(taken[held])
    row, atom, count = (np.concatenate(parts) for parts in (rows, atoms, counts))
    of_bin = bins.count[place[atom]]

    def part(values: IntArray) -> IntArray:
        whole, rest = np.divmod(values[place[atom]], of_bin)
        return np.asarray(whole * count + (rest / of_bin * count).astype(np.int64))

    names = pa.array([f"group {k + 1}" for k in range(groups)])
    keys = keys_of(names)
    order = np.argsort(keys)
    rank = np.empty(groups, dtype=np.int64)
    rank[order] = np.arange(groups)
    others = tuple(
        Further(
            part(its.high),
            part(its.low),
            part(its.cross_high),
            part(its.cross_low),
            its.least[place[atom]],
            its.most[place[atom]],
        )
        for its in bins.others
    )
    sizes = np.bincount(row, count, groups).astype(np.int64)[order]
    return replace(
        summary,
        names=names.take(pa.array(order)).cast(pa.large_string()),
        keys=keys[order],
        sizes=sizes,
        binned=np.ones(groups, dtype=bool),
        bins=Bins.of_atoms(rank[row], value[atom], count, width, others),
        values=(np.empty(0),) * len(summary.columns),
    )
