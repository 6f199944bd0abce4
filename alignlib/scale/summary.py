"""The summary of samples: a table in one pass, whose parts merge exactly in any order.

Of a prompt with few samples it holds them all; beyond ``exact_up_to`` it holds `Bins`. Which of the two depends on the
number of samples alone, prompts stand in the order of their keys and samples from the top down, so that the summary of
all rows is the same, byte for byte, from whatever parts it was merged.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.stride_tricks import sliding_window_view

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.scale.bins import Bins, check_width
from alignlib.scale.counting import bins_of_one
from alignlib.scale.keys import KeyArray, bucket_of, keys_of, plain_names

__all__ = ["EXACT_UP_TO", "Summary"]

_ALIKE, _SHORT = 1 << 15, 16  # samples that are copied at once, and of runs that are not worth it
_MANY = 4096  # samples of a prompt that are worth a pass of their own
EXACT_UP_TO = 16_384  # samples of a prompt: so many take no more room than 2,048 bins of eight numbers


@dataclass(frozen=True, eq=False)
class Summary(SameFields):
    """Samples of prompts, all or in bins; made by `of`, `merged` and readers of files.

    Parameters
    ----------
    columns : tuple of str
        Names of the rewards; bins are by the first.
    widths : tuple of float
        Width of the bins of each column, a power of two.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.
    names : Array (prompts,)
        Prompts in the order of their ``keys``.
    keys : array of uint64 (prompts,)
        Their hashes, rising.
    sizes : array (prompts,)
        Their numbers of samples.
    binned : array (prompts,)
        Which of them are in bins.
    values : tuple of array (samples,)
        Rewards of the prompts that are not, by column, one prompt after another, from the top down.
    bins : Bins
        Those of the others.

    Examples
    --------
    >>> one = Summary.of(pa.array(["a", "b"]), np.array([2, 1]), {"reward": np.array([1.0, 3.0, 2.0])})
    >>> two = Summary.of(pa.array(["a"]), np.array([1]), {"reward": np.array([2.0])})
    >>> both = Summary.merged([one, two])
    >>> both == Summary.merged([two, one]), dict(zip(both.names.to_pylist(), both.sizes.tolist())) == {"a": 3, "b": 1}
    (True, True)
    """

    columns: tuple[str, ...]
    widths: tuple[float, ...]
    exact_up_to: int
    names: pa.Array
    keys: KeyArray
    sizes: IntArray
    binned: BoolArray
    values: tuple[FloatArray, ...]
    bins: Bins

    @classmethod
    def of(
        cls,
        names: pa.Array,
        sizes: IntArray,
        columns: dict[str, FloatArray],
        *,
        widths: Sequence[float] | None = None,
        exact_up_to: int = EXACT_UP_TO,
        within: tuple[float, float] | None = None,
    ) -> Summary:
        """Summarise rewards run by run: ``sizes[i]`` samples of the prompt ``names[i]``, which may come again.

        Parameters
        ----------
        names : Array (runs,)
            The prompt of each run, integers or text; one may come again.
        sizes : array of int (runs,)
            Samples of each run.
        columns : dict of str to array (samples,)
            Finite rewards.
        widths : list of float, optional
            Of the bins of each column; 2⁻¹⁰ by default.
        exact_up_to : int
            The most samples of a prompt that are kept one by one.
        within : (float, float), optional
            What rewards of the first column are known to lie between.

        Raises
        ------
        InputError
            If ``widths`` is not one power of two for each column.
        """
        given = (2.0**-10,) * len(columns) if widths is None else tuple(map(check_width, widths))
        require(len(given) == len(columns), f"widths must be one for each of {len(columns)} columns; got {len(given)}.")
        if not pa.types.is_integer(names.type):
            names = names.dictionary_encode()  # most names come many times
        names, keys = plain_names(names), keys_of(names)
        order = np.argsort(keys, kind="stable")
        values = tuple(np.asarray(one, dtype=np.float64) for one in columns.values())
        return cls._settled(tuple(columns), given, exact_up_to, names, keys, sizes, order, values, within)

    @classmethod
    def _settled(
        cls,
        columns: tuple[str, ...],
        widths: tuple[float, ...],
        exact_up_to: int,
        names: pa.Array,
        keys: KeyArray,
        sizes: IntArray,
        order: IntArray,
        values: tuple[FloatArray, ...],
        within: tuple[float, float] | None,
    ) -> Summary:
        """Bring samples into the one order; equal keys, next to each other in ``order``, are one prompt."""
        sorted_keys = keys[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = sorted_keys[1:] != sorted_keys[:-1]
        first = np.flatnonzero(new)
        if len(first) < len(order):
            _check_names(names, order, new, first)
        runs = slice(None) if (np.diff(order) == 1).all() else order
        starts, lengths = (np.cumsum(sizes) - sizes)[runs], sizes[runs]
        prompt = np.cumsum(new) - 1  # of each run
        totals = np.add.reduceat(lengths, first) if len(first) else lengths
        names, keys = names.take(pa.array(order[first])), sorted_keys[first]
        binned = totals > exact_up_to
        inside = binned[prompt]
        bins = _binned(prompt[inside], starts[inside], lengths[inside], values, widths, within)
        if inside.any() or isinstance(runs, np.ndarray):  # else samples stand in order already
            values = _in_runs(values, starts[~inside], lengths[~inside])
        sizes = totals
        values = tuple(one + 0.0 for one in values)  # no negative zeros
        return cls(columns, widths, exact_up_to, names, keys, sizes, binned, _descending(sizes[~binned], values), bins)

    @classmethod
    def merged(cls, parts: Sequence[Summary]) -> Summary:
        """Return the summary of all samples of several; their order makes no difference.

        Parameters
        ----------
        parts : sequence of Summary
            At least one, of the same columns and widths.

        Raises
        ------
        InputError
            Where they differ in columns, widths, or how many samples are kept one by one.
        """
        require(len(parts) > 0, "parts must hold at least one summary; got none.", "parts")
        head = parts[0]
        for part in parts[1:]:
            for name in ("columns", "widths", "exact_up_to"):
                mine, its = getattr(head, name), getattr(part, name)
                require(mine == its, f"Summaries must agree in {name} to be merged; got {mine!r} and {its!r}.", "parts")
        if len(parts) == 1:
            return head
        names = _joined_names([part.names for part in parts])
        exact = [~part.binned for part in parts]
        all_keys = np.concatenate([part.keys for part in parts])
        keys, place = np.unique(all_keys, return_inverse=True)
        order = np.argsort(all_keys, kind="stable")
        new = np.diff(place[order], prepend=-1) != 0
        first = order[new]
        if len(first) < len(order):
            _check_names(names, order, new, np.flatnonzero(new))
        sizes = np.bincount(place, np.concatenate([part.sizes for part in parts]), len(keys)).astype(np.int64)
        bounds = np.cumsum([0, *(len(part.sizes) for part in parts)])
        rows = [place[a:b] for a, b in itertools.pairwise(bounds.tolist())]
        in_bins = sizes > head.exact_up_to
        for row, part in zip(rows, parts, strict=True):
            in_bins[row[part.binned]] = True  # read from a table of bins, however few
        # Samples in the order of their prompts, then those that go into bins apart.
        of_runs = np.concatenate([row[one] for row, one in zip(rows, exact, strict=True)])
        lengths = np.concatenate([part.sizes[one] for part, one in zip(parts, exact, strict=True)])
        starts = np.cumsum(lengths) - lengths
        values = tuple(np.concatenate([part.values[j] for part in parts]) for j in range(len(head.columns)))
        bins = [part.bins.with_rows(row) for row, part in zip(rows, parts, strict=True)]
        late = in_bins[of_runs]
        if late.any():
            its = _in_runs(values, starts[late], lengths[late])
            bins.append(Bins.of(np.repeat(of_runs[late], lengths[late]), its, head.widths))
        runs = np.argsort(of_runs, kind="stable")
        runs = runs[~late[runs]]
        values = _in_runs(values, starts[runs], lengths[runs])
        if len(runs) > np.count_nonzero(~in_bins):  # some prompt is in several parts
            values = _descending(sizes[~in_bins], values)
        return replace(
            head,
            names=plain_names(names.take(pa.array(first))),
            keys=keys,
            sizes=sizes,
            binned=in_bins,
            values=values,
            bins=Bins.merged(bins, len(head.columns) - 1),
        )

    @property
    def n_samples(self) -> int:
        """Number of samples of all prompts."""
        return int(self.sizes.sum())

    def __repr__(self) -> str:
        """Return the sizes."""
        return (
            f"<Summary of {', '.join(self.columns)}: {len(self.sizes)} prompts, {self.n_samples} samples, "
            f"{int(self.binned.sum())} prompts in {len(self.bins.row)} bins>"
        )

    def by_second(self, width: float, bins: Bins) -> Summary:
        """Return the same samples by the second of two columns.

        Parameters
        ----------
        width : float
            Of its bins.
        bins : Bins
            Those of the prompts that are in bins.
        """
        return replace(self.by(self.columns[::-1], bins), widths=(width, self.widths[0]))

    def by(self, columns: Sequence[str], bins: Bins) -> Summary:
        """Return the same samples by the first of some of the columns.

        Parameters
        ----------
        columns : sequence of str
            Those that stay, in their new order.
        bins : Bins
            Those of the prompts that are in bins.
        """
        places = [self.columns.index(name) for name in columns]
        values = _descending(self.sizes[~self.binned], tuple(self.values[j] for j in places))
        widths = tuple(self.widths[j] for j in places)
        return replace(self, columns=tuple(columns), widths=widths, values=values, bins=bins)

    def split(self, bits: int) -> list[Summary]:
        """Return the summaries of buckets of keys, in order; most of few prompts hold none.

        Parameters
        ----------
        bits : int
            There are 2^bits buckets, by the first bits of a key.
        """
        ends = np.searchsorted(bucket_of(self.keys, bits), np.arange((1 << bits) + 1))
        samples = np.concatenate([[0], np.cumsum(np.where(self.binned, 0, self.sizes))])
        places = np.searchsorted(self.bins.row, ends)
        found = []
        for a, b, low, high in zip(
            ends[:-1].tolist(), ends[1:].tolist(), places[:-1].tolist(), places[1:].tolist(), strict=True
        ):
            bins = self.bins.take(np.arange(low, high))
            found.append(
                replace(
                    self,
                    names=self.names.slice(a, b - a),
                    keys=self.keys[a:b],
                    sizes=self.sizes[a:b],
                    binned=self.binned[a:b],
                    values=tuple(one[samples[a] : samples[b]] for one in self.values),
                    bins=replace(bins, row=bins.row - a),
                )
            )
        return found


def _binned(
    prompt: IntArray,
    starts: IntArray,
    sizes: IntArray,
    values: tuple[FloatArray, ...],
    widths: Sequence[float],
    within: tuple[float, float] | None,
) -> Bins:
    """Return the bins of runs of samples, long ones where they lie; the prompts of runs rise."""
    if len(sizes) * _MANY > int(sizes.sum()):
        return Bins.of(np.repeat(prompt, sizes), _in_runs(values, starts, sizes), widths)
    found = []
    for place, start, end in zip(prompt.tolist(), starts.tolist(), (starts + sizes).tolist(), strict=True):
        its = bins_of_one([one[start:end] for one in values], widths, within)
        found.append(replace(its, row=np.full(len(its.row), place)))
    return Bins.merged(found, len(values) - 1)


def _joined_names(parts: Sequence[pa.Array]) -> pa.Array:
    if len({part.type for part in parts}) > 1:
        parts = [part.cast(pa.large_string()) for part in parts]
    return pa.concat_arrays(parts)


def _check_names(names: pa.Array, order: IntArray, new: BoolArray, first: IntArray) -> None:
    """Refuse two names of one key, which chance brings about once in 10⁷ tables of a million prompts."""
    same = pc.equal(names.take(pa.array(order)), names.take(pa.array(order[first[np.cumsum(new) - 1]])))
    if not pc.all(same).as_py():
        at = int(np.argmin(same.to_numpy(zero_copy_only=False)))
        raise InputError(f"Prompt {names[int(order[at])].as_py()!r} has the key of another prompt; rename it.")


def _in_runs(values: tuple[FloatArray, ...], starts: IntArray, sizes: IntArray) -> tuple[FloatArray, ...]:
    """Return the samples of runs, one run after another."""
    if len(starts) * _MANY < int(sizes.sum()):  # long runs are copied as they are
        runs = [slice(start, start + size) for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)]
        return tuple(np.concatenate([one[run] for run in runs]) for one in values)
    edges = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    if max(len(edges) * _ALIKE, len(sizes) * _SHORT) > int(sizes.sum()):
        places = _ranges(starts, sizes)
        return tuple(one[places] for one in values)
    found, ends = tuple(np.empty(int(sizes.sum())) for _ in values), np.cumsum(sizes)
    for one, whole in zip(values, found, strict=True):  # many of one size in turn: a third of the time
        for low, high in itertools.pairwise(edges):
            size = int(sizes[low])
            at_once = max(_ALIKE // max(size, 1), 1)
            for a in range(low, high, at_once):
                b = min(a + at_once, high)
                whole[ends[a] - size : ends[b - 1]] = sliding_window_view(one, size)[starts[a:b]].reshape(-1)
    return found


def _ranges(starts: IntArray, sizes: IntArray) -> IntArray:
    """Return ``starts[i], …, starts[i] + sizes[i] - 1`` for each i, one after another."""
    before = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes))


def _descending(sizes: IntArray, values: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Sort the samples of each prompt from the top down by the first column, ties by the next."""
    if not len(sizes):
        return values
    if len(values) == 1:
        n = int(sizes[0])
        if (sizes == n).all():
            rows = -values[0].reshape(-1, n)
            rows.sort(axis=1)
            return (np.subtract(0.0, rows, out=rows).reshape(-1),)  # no negative zeros
        found = np.empty_like(values[0])
        starts = np.cumsum(sizes) - sizes
        for size in np.unique(sizes).tolist():
            places = starts[sizes == size][:, None] + np.arange(size)
            found[places] = -np.sort(-values[0][places], axis=1) + 0.0
        return (found,)
    row = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((*(-one for one in values[::-1]), row))
    return tuple(one[order] for one in values)
