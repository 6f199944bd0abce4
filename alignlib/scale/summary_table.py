"""A table of rewards over a summary that need not fit into memory: read piece by piece, again for every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.scale.dealt import Dealt
from alignlib.scale.engine import Engine, Here
from alignlib.scale.heads import Head, measured, together
from alignlib.scale.joining import MOST_GATHERED
from alignlib.scale.kept import Kept
from alignlib.scale.kept_members import KeptMembers
from alignlib.scale.passes import PassOverBins, PassOverBlocks, Piece, blocks_of
from alignlib.scale.summary import Summary
from alignlib.tables import MemberTables, RewardTable

__all__ = ["SummaryTable"]


_AT_ONCE = 32  # pieces that a worker gets together, at most


class _Names(Sequence[Any]):
    """The names of prompts, which are read from their pieces when they are asked for."""

    def __init__(self, pieces: Sequence[Piece], heads: Sequence[Head]) -> None:
        self._pieces = [piece for piece, head in zip(pieces, heads, strict=True) if head.prompts]
        self._ends = np.cumsum([head.prompts for head in heads if head.prompts])
        kinds = {head.kind for head in heads if head.prompts}
        self.type = next(iter(kinds)) if len(kinds) == 1 else pa.large_string()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, (int, np.integer)):
            piece = int(np.searchsorted(self._ends, place, side="right"))
            inside = int(place) - (int(self._ends[piece - 1]) if piece else 0)
            return self._pieces[piece]().names[inside].as_py()
        held = np.empty(len(self), dtype=object)
        held[:] = [one for piece in self._pieces for one in piece().names.to_pylist()]
        return held[place]


class _Columns(Mapping[str, FloatArray]):
    """Columns by name, put together in memory when asked for."""

    def __init__(self, names: Sequence[str], gather: Callable[[str], FloatArray]) -> None:
        self._names, self._gather = tuple(names), gather

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self._names:
            raise KeyError(name)
        return self._gather(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class SummaryTable(RewardTable):
    """Rewards in pieces of a summary, each with its own prompts, in the order of their keys.

    A fit of it is a fit of the samples: blocks of prompts are loaded for each pass and forgotten. What asks for a whole
    column at once gets it while it is small, and a sentence beyond.

    Parameters
    ----------
    pieces : list of callable
        Each loads a `Summary`; prompts of one are in no other.
    heads : list of Head
        What is known of them.
    columns : tuple of str
        Names of the rewards.
    dropped : int
        Rows that were left out.
    notes : tuple of str
        Sentences on how the tables were read.
    engine : Engine
        Who does the passes; they add up to the same whoever does.
    aside : mapping of str to SummaryTable or Dealt, optional
        The same samples in bins by another of the columns; of few prompts, dealt into groups, by each.
    groups : Kept, optional
        The groups into which the samples of few prompts were dealt: a file keeps these.
    ensemble : MemberTables, optional
        Members of an ensemble in tables of their own.
    members : tuple of str
        Names of the rewards of which an ensemble may be.

    Raises
    ------
    InputError
        If there is no piece, or heads are not as many.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> rows = np.random.default_rng(1).standard_normal((100, 64))
    >>> held = Summary.of(pa.array(np.arange(100)), np.full(100, 64), {"reward": rows.reshape(-1)})
    >>> table = SummaryTable([lambda: held], [Head.of(held)], held.columns)
    >>> abs(float((fit_frontier(table).at(0.5).gain - fit_frontier(rows).at(0.5).gain)[0])) < 1e-12
    True
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        heads: Sequence[Head],
        columns: Sequence[str],
        *,
        dropped: int = 0,
        notes: tuple[str, ...] = (),
        engine: Engine | None = None,
        aside: Mapping[str, SummaryTable | Dealt] | None = None,
        groups: Kept | None = None,
        ensemble: MemberTables | None = None,
        members: tuple[str, ...] = (),
    ) -> None:
        require(len(heads) > 0, "heads must hold at least one; got none.", "heads")
        as_many = f"pieces must be as many as heads, {len(heads)}; got {len(pieces)}."
        require(len(pieces) == len(heads), as_many, "pieces")
        require(any(head.prompts for head in heads), "pieces must hold a prompt; got none.", "pieces")
        numbers = [head.prompts for head in heads]
        sizes = together([head.sizes for head in heads], numbers)
        ends = np.cumsum(numbers)
        put = partial(object.__setattr__, self)
        put("prompts", _Names(pieces, heads))
        put("columns", _Columns(columns, self._gathered))
        put("dropped", dropped)
        put("notes", notes)
        put("_sizes", sizes)
        put("_pieces", list(pieces))
        put("_bounds", [(int(end) - number, int(end)) for end, number in zip(ends, numbers, strict=True)])
        put("_means", np.concatenate([head.means for head in heads], axis=1))
        put("_ends", np.array([head.ends for head in heads]))
        put("_alike", sum(head.alike for head in heads))
        apart = together([head.apart for head in heads], numbers)
        dealt = any(isinstance(one, Dealt) for one in (aside or {}).values())
        put("_apart", np.broadcast_to(np.array([True]), sum(numbers)) if dealt else apart)
        put("_engine", Here() if engine is None else engine)
        put("_kept", {})
        put("_aside", dict(aside or {}))
        put("_groups", groups)
        put("_ensemble", ensemble)
        put("members", members)

    _sizes: IntArray
    _pieces: list[Piece]
    _bounds: list[tuple[int, int]]
    _means: FloatArray
    _ends: FloatArray
    _alike: IntArray
    _apart: BoolArray
    _engine: Engine
    _kept: dict[str, FloatArray]
    _aside: dict[str, SummaryTable | Dealt]
    _groups: Kept | None
    _ensemble: MemberTables | None
    members: tuple[str, ...]

    @property
    def ensemble(self) -> MemberTables | None:
        """Members of an ensemble in tables of their own, where this one does not hold them."""
        return self._ensemble

    @property
    def groups(self) -> int | None:
        """Into how many groups samples of few prompts in bins were dealt when they were read."""
        return min((one.groups for one in self._aside.values() if isinstance(one, Dealt)), default=None)

    @property
    def offsets(self) -> IntArray:
        """Where the samples of each prompt begin, and where those of the last end."""
        return np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the engine behind, and what was put together in memory."""
        return self.__dict__ | {"_engine": Here(), "_kept": {}, "columns": tuple(self.columns)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "columns", _Columns(state["columns"], self._gathered))

    def summaries(self) -> Iterator[Summary]:
        """Yield the pieces; the names of all are text where those of one are."""
        names = self.prompts
        assert isinstance(names, _Names)
        for piece in self._pieces:
            summary = piece()
            yield replace(summary, names=summary.names.cast(names.type)) if len(summary.names) else summary

    def kept(self) -> Iterator[Kept]:
        """Yield what a file of this table keeps, piece by piece: of few prompts their groups, bins by gold, members."""
        members = self._kept_members()
        if self._groups is not None:
            of_pieces = [one for one in members if one is not None]
            its = KeptMembers.merged(of_pieces) if of_pieces else None
            yield Kept(self._groups.summary, self._groups.turned, self._groups.groups, members=its)
            return
        others = [self._aside.get(name) for name in self.columns][1:]
        by_gold: Iterable[Summary | None] = repeat(None)
        if len(others) == 1 and isinstance(others[0], SummaryTable):
            by_gold = others[0].summaries()
        for summary, turned, its in zip(self.summaries(), by_gold, members, strict=False):
            yield Kept(summary, turned, members=its)

    def _kept_members(self) -> Iterator[KeptMembers | None]:
        """Yield what is kept of the members of an ensemble, piece by piece."""
        ensemble = self._ensemble
        if ensemble is None:
            yield from [KeptMembers(self.members) if self.members else None] * len(self._pieces)
            return
        others = [table for name, table in ensemble.members.items() if name not in self.columns]
        tables = [*others, *ensemble.combined.values()]
        scales = tuple(ensemble.scales[name] for name in self.members) if ensemble.combined else ()
        for some in zip(*(one.summaries() for one in tables if isinstance(one, SummaryTable)), strict=True):
            yield KeptMembers(self.members, some[: len(others)], some[len(others) :], scales)

    @property
    def kept_counts(self) -> tuple[int, int]:
        """How many prompts, or groups of few, `kept` tells of, and how many samples.

        Returns
        -------
        rows, samples : int
            Of all pieces together.
        """
        rows = self.n_prompts if self._groups is None else len(self._groups.summary.sizes)
        return rows, int(self._sizes.sum())

    @property
    def n_samples(self) -> IntArray:
        """Number of samples of each prompt."""
        return self._sizes

    def column(self, name: str) -> FloatArray:
        """Return all rewards called ``name``, where they are few enough to be put together in memory."""
        self._place(name)
        return self._gathered(name)

    def _place(self, name: str) -> int:
        self.check_column(name)
        return list(self.columns).index(name)

    def _gathered(self, name: str) -> FloatArray:
        if name in self._kept:
            return self._kept[name]
        self._check_held(name)
        offsets = self.offsets
        if offsets[-1] > MOST_GATHERED:
            raise InputError(
                f"What is asked takes all {offsets[-1]:,} samples of {name!r} at once, more than are put together "
                f"in memory ({MOST_GATHERED:,}); ask for the limit and best-of-N, or of fewer prompts.",
                argument="table",
            )
        found = np.empty(int(offsets[-1]))
        for where, rows in self.blocks(name, 1 << 20):
            found[offsets[where][:, None] + np.arange(rows.shape[1])] = rows
        self._kept[name] = found
        return found

    def held(self) -> RewardTable:
        """Return the same table in memory, for what takes all columns at once.

        Raises
        ------
        InputError
            Where samples are in bins, or too many to be put together.
        """
        columns = {name: self.column(name) for name in self.columns}
        return RewardTable(self.prompts[:], self.offsets, columns, self.dropped, self.notes)

    @property
    def all_held(self) -> bool:
        """Whether every sample is known: held, or told by bins."""
        return not self._apart.any()

    def _check_held(self, name: str) -> None:
        if self._apart.any():
            raise InputError(
                f"What is asked takes every sample of {name!r}, and {counted(int(self._apart.sum()), 'prompt')} have "
                "theirs in bins; ask for the limit and best-of-N in the reward that picks, or in one gold reward with "
                "which parts were read; a larger exact_up_to where parts are read keeps their samples. Bins of "
                "SQL tell no law of gold: read the parts with gold.",
                argument="exact_up_to",
            )

    def _by_another(self, column: str) -> SummaryTable | None:
        """Return the same samples in bins by the column, where those by the first reward do not tell its law."""
        if self._place(column) == 0 or not self._apart.any():
            return None
        aside = self._aside.get(column)
        if aside is None:
            self._check_held(column)
        return aside if isinstance(aside, SummaryTable) else None

    def blocks(
        self, column: str, most: int | None = None, *, held_only: bool = False, by: str | None = None
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield (prompt positions, rewards from the top down by the first column) piece by piece."""
        place, turned = self._place(column), self._by_another(by or column)
        if turned is not None:
            yield from turned.blocks(column, most, held_only=held_only, by=by)
            return
        if not held_only:
            self._check_held(column)
        if self._apart.all():
            return
        for piece, (start, _) in zip(self._pieces, self._bounds, strict=True):
            for where, rows in blocks_of(piece(), [place], most):
                yield where + start, rows[0]

    def each(
        self, work: Callable[..., Any], columns: Sequence[str], most: int, *arrays: npt.NDArray[Any], add: bool = False
    ) -> Iterator[tuple[IntArray, Any]]:
        """Have ``work`` done on every block, by whoever the engine knows; see `RewardTable.each`."""
        places, turned = [self._place(name) for name in columns], self._by_another(columns[0])
        if turned is not None:
            yield from turned.each(work, columns, most, *arrays, add=add)
            return
        tasks, starts = [], []
        for piece, (low, high) in zip(self._pieces, self._bounds, strict=True):
            if not self._apart[low:high].all():
                tasks.append(PassOverBlocks(piece, places, most, work, add, tuple(array[low:high] for array in arrays)))
                starts.append(low)
        for k, found in self._in_order(PassOverBlocks.__call__, tasks):
            for where, result in found:
                yield where + starts[k], result

    def _in_order(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield what the engine does in the order of the tasks: sums then are the same to the last bit."""
        early: dict[int, Any] = {}
        next_one = 0
        for place, found in self._engine.map(work, tasks, at_once=_AT_ONCE):
            early[place] = found
            while next_one in early:
                yield next_one, early.pop(next_one)
                next_one += 1

    def each_counted(
        self, work: Callable[..., Any], column: str, *arrays: npt.NDArray[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Have ``work`` done on the samples in bins of every prompt that has such; see `RewardTable.each_counted`."""
        place = self._place(column)
        if not self._apart.any():
            return
        if column in self._aside:
            yield from self._aside[column].each_counted(work, column, *arrays)
            return
        if place > 0:
            self._check_held(column)
        tasks, starts = [], []
        for piece, (low, high) in zip(self._pieces, self._bounds, strict=True):
            rows = np.flatnonzero(self._apart[low:high])
            if rows.size:
                tasks.append(PassOverBins(piece, rows, work, tuple(array[low:high] for array in arrays)))
                starts.append(low)
        for k, found in self._in_order(PassOverBins.__call__, tasks):
            for row, result in found:
                yield starts[k] + row, result

    def prompt_means(self, column: str) -> FloatArray:
        """Return the mean reward of each prompt."""
        return np.asarray(self._means[self._place(column)])

    def _measured(self, column: str, what: int) -> FloatArray:
        """Return the least or the largest reward of each prompt, from their pieces."""
        place = self._place(column)
        return np.concatenate([measured(piece())[place, what] for piece in self._pieces])

    def prompt_minima(self, column: str) -> FloatArray:
        """Return the least reward of each prompt."""
        return self._measured(column, 1)

    def prompt_maxima(self, column: str) -> FloatArray:
        """Return the largest reward of each prompt."""
        return self._measured(column, 2)

    def extremes(self, column: str) -> tuple[float, float]:
        """Return the least and the largest reward of all samples."""
        ends = self._ends[:, self._place(column)]
        return float(ends[:, 0].min()), float(ends[:, 1].max())

    def constant_prompts(self, column: str) -> BoolArray:
        """Tell for each prompt whether all its samples have one reward."""
        alike, prompts = int(self._alike[self._place(column)]), len(self._sizes)
        if alike in (0, prompts):
            return np.broadcast_to(np.array([alike > 0]), prompts)
        return np.asarray(self.prompt_minima(column) == self.prompt_maxima(column))

    def with_at_least(self, n: int) -> RewardTable:
        """Refuse: prompts are left out where the parts are read."""
        raise InputError("drop_below is taken where the parts are read; pass it there.", argument="drop_below")
